/** States of the page that have to be good to look at and accessible. */
import type { Tab } from "./browser";
import type { Service } from "./service";
import { expect } from "./test";

export interface State {
  readonly name: string;
  /** The query string. */
  readonly query: string;
  /** Whether the films can be changed in this state. */
  readonly writable?: boolean;
  /** Brings the page into the state. */
  readonly enter?: (tab: Tab, service: Service) => Promise<void>;
}

export const STATES: readonly State[] = [
  { name: "popular", query: "" },
  { name: "search-and-film", query: "?q=godfather&film=tt0068646", enter: (tab) => expect.poll(() => tab.title.textContent()).toBe("The Godfather") },
  { name: "filters", query: "?q=war&genre=Drama&genre=Comedy&decade=1990&rating=6.5&sort=rating" },
  { name: "nothing", query: "?q=zzzzqqqxxx&genre=Western" },
  {
    name: "wire",
    query: "?q=alien&film=tt0078748&wire",
    async enter(tab) {
      await expect.poll(() => tab.wire.getByRole("option").count()).toBeGreaterThan(2);
      await tab.wire.getByRole("option", { name: /^GetMovie / }).first().click();
      await tab.wire.getByText("Metadata").click();
      await tab.wire.getByRole("treeitem").nth(1).click();
      await tab.wire.getByText("The calls of the course").click();
    },
  },
  {
    name: "catalogue",
    query: "",
    async enter(tab) {
      await tab.light.click();
      await expect.poll(() => tab.page.getByRole("dialog", { name: "Catalogue" }).innerText()).toContain("Serving");
    },
  },
  {
    name: "form",
    query: "?film=full&edit",
    writable: true,
    async enter(tab) {
      await tab.sheet.getByRole("textbox", { name: "Title (required)" }).fill("");
      await tab.sheet.getByRole("textbox", { name: "Year" }).fill("1500");
      await tab.sheet.getByRole("button", { name: "Save" }).click();
      await expect.poll(() => tab.sheet.getByRole("alert").textContent()).toContain("2 fields");
    },
  },
  {
    name: "conflict",
    query: "?film=full&edit",
    writable: true,
    async enter(tab, service) {
      const { title } = await service.movie("full");
      await tab.sheet.getByRole("textbox", { name: "Title (required)" }).fill(`${title}, by me`);
      await service.change("full", { title: `${title}, by another` });
      await tab.sheet.getByRole("button", { name: "Save" }).click();
      await expect.poll(() => tab.sheet.getByRole("heading", { name: "Someone else changed this film" }).count()).toBe(1);
    },
  },
];

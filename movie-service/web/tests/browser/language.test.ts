import english from "../../src/text/en.json";
import french from "../../src/text/fr.json";
import type { Tab } from "./support/browser";
import { DOZEN, FULL } from "./support/films";
import { type Folder } from "./support/service";
import { expect, test } from "./support/test";

type Texts = string | readonly string[] | { readonly [key: string]: Texts };

/** Lists the texts of a file: those with values as patterns. */
function patterns(node: Texts): string[] {
  if (typeof node === "string") return [node];
  if (Array.isArray(node)) return node as string[];
  return Object.values(node).flatMap(patterns);
}

const inFrench = new Set(patterns(french));

/** The texts that are in English only, as patterns for a whole text of the page. */
const ENGLISH = patterns(english)
  .filter((text) => !inFrench.has(text) && /[a-z]{3}/i.test(text.replace(/\{\d\}/g, "")))
  .map((text) => `^${text.split(/\{\d\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".+")}$`);

/** Returns the texts of the page that match one of the patterns: in elements, and in attributes for people. */
function find(sources: string[]): string[] {
  const all = new RegExp(sources.join("|"));
  const texts: string[] = [document.title];
  const walk = (root: Node & ParentNode): void => {
    for (const element of root.querySelectorAll("*")) {
      for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) texts.push(node.textContent ?? "");
      for (const name of ["aria-label", "title", "placeholder", "aria-valuetext", "alt"]) texts.push(element.getAttribute(name) ?? "");
      if (element.shadowRoot) walk(element.shadowRoot);
    }
  };
  walk(document);
  return texts.map((text) => text.trim()).filter((text) => text !== "" && all.test(text));
}

const leftovers = (tab: Tab): Promise<string[]> => tab.page.evaluate(find, ENGLISH);

const FRENCH = { locale: "fr-CA" };

const writable = (folder: Folder) => ({ database: folder.sqlite("films.db", [FULL, ...DOZEN]), args: ["--allow-anonymous-writes"] });

test("the language is the first of the browser's that the page has, else English", async ({ films, open }) => {
  const headings = { "fr-FR": "17 470 films", "en-US": "17,470 films", "de-DE": "17,470 films" };
  for (const [locale, heading] of Object.entries(headings)) {
    const tab = await open(films.url, { locale });
    expect((await tab.count.textContent())!.replace(/\s/g, " ")).toBe(heading);
    expect(await tab.page.evaluate(() => document.documentElement.lang)).toBe(heading.includes(",") ? "en" : "fr");
  }
});

test("the switch changes the language of all at once, and what is typed stays", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=alien&genre=Horror`);
  await tab.button(/Français$/).click();
  await expect.poll(() => tab.page.evaluate(() => document.documentElement.lang)).toBe("fr");
  expect(await tab.search.inputValue()).toBe("alien");
  expect(await tab.search.getAttribute("aria-label")).toBe("Chercher des films et des personnes");
  expect(await tab.button("Retirer le filtre Horror").count()).toBe(1);
  expect(tab.query).toEqual({ q: "alien", genre: "Horror", lang: "fr" });
  await tab.page.reload();
  await expect.poll(() => tab.page.getByRole("combobox", { name: "Trier par" }).count()).toBe(1);
  await tab.button(/English$/).click();
  await expect.poll(() => tab.page.getByRole("combobox", { name: "Sort by" }).count()).toBe(1);
});

test("in French, no view of films has English texts", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=godfather&rating=5`, FRENCH);
  await tab.page.locator("film-list").getByRole("link").first().click();
  await expect.poll(() => tab.title.textContent()).toBe("The Godfather");
  expect(await leftovers(tab)).toEqual([]);
  expect(await tab.sheet.innerText()).toContain("Réalisation");
  await tab.search.fill("zzzzqqqxxx");
  await expect.poll(() => tab.page.getByText("Aucun résultat pour « zzzzqqqxxx »").count()).toBe(1);
  expect(await leftovers(tab)).toEqual([]);
});

test("in French, no form has English texts", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await open(`${service.url}?film=full&edit`, FRENCH);
  const title = tab.sheet.getByRole("textbox", { name: "Titre (obligatoire)" });
  await title.fill("Mon titre");
  expect(await leftovers(tab)).toEqual([]);
  await service.change("full", { title: "Leur titre" });
  await tab.sheet.getByRole("button", { name: "Enregistrer" }).click();
  await expect.poll(() => tab.sheet.getByText("Quelqu’un d’autre a modifié ce film").count()).toBe(1);
  expect(await leftovers(tab)).toEqual([]);
  await tab.page.goto(`${service.url}?edit`);
  await tab.sheet.getByRole("textbox", { name: "Année" }).fill("bientôt");
  await tab.sheet.getByRole("button", { name: "Enregistrer" }).click();
  await expect.poll(() => tab.sheet.getByText("Ce n’est pas un nombre.").count()).toBe(1);
  expect(await leftovers(tab)).toEqual([]);
});

test("in French, no dialog and no message has English texts", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await open(`${service.url}?film=full`, FRENCH);
  await tab.sheet.getByRole("button", { name: /^Supprimer/ }).click();
  await expect.poll(() => tab.notices.innerText()).toContain("a été supprimé");
  expect(await leftovers(tab)).toEqual([]);
  await tab.page.getByRole("banner").getByRole("button", { name: /Catalogue/ }).click();
  await expect.poll(() => tab.page.getByText("En service").count()).toBe(1);
  expect(await leftovers(tab)).toEqual([]);
  await tab.button("Jeton d’accès").click();
  expect(await leftovers(tab)).toEqual([]);
});

test("in French, the panel of calls has no English texts", async ({ films, open }) => {
  const tab = await open(`${films.url}?film=nothing&wire`, FRENCH);
  await tab.wire.getByRole("option", { name: /^GetMovie / }).first().click();
  await tab.wire.getByText("Métadonnées").click();
  await tab.wire.getByText("Les appels du cours").click();
  await tab.wire.getByRole("button", { name: "GetMovieByID" }).click();
  await expect.poll(() => tab.wire.getByRole("status").textContent()).toContain("Un MovieData vide");
  await tab.wire.getByRole("treeitem").last().click();
  expect(await leftovers(tab)).toEqual([]);
});

test("the search for English texts finds them", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=godfather&wire`);
  expect(await leftovers(tab)).toEqual(expect.arrayContaining(["Sort by", "Search films and people", "Rating from", "On the wire"]));
});

import { CONNECTION_ERROR, type Tab } from "./support/browser";
import { DOZEN } from "./support/films";
import { expect, test } from "./support/test";

/** Opens the catalogue, and returns what it says, by name. */
async function facts(tab: Tab): Promise<Record<string, string>> {
  const dialog = tab.page.getByRole("dialog", { name: "Catalogue" });
  if (!(await dialog.isVisible())) await tab.light.click();
  await expect.poll(() => dialog.innerText()).not.toContain("Asking…");
  const [names, values] = await Promise.all([dialog.getByRole("term").allTextContents(), dialog.getByRole("definition").allTextContents()]);
  return Object.fromEntries(names.map((name, at) => [name.trim(), values[at]!.trim()]));
}

test("the catalogue shows films, revision, store, version, health and what the caller may do", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.sqlite("films.db", DOZEN), args: ["--allow-anonymous-writes"] });
  const { revision, version } = await service.json("GET", "v1/catalog");
  const tab = await open(service.url);
  await expect.poll(() => tab.light.textContent()).toContain("Live");
  expect(await facts(tab)).toEqual({
    Films: "12", Revision: revision, Store: "sqlite", Writing: "You may add and change films", Version: version, Health: "Serving", "Live changes": "Live",
  });
  await service.change("film-1", { year: 1901 });
  await expect.poll(async () => (await facts(tab)).Revision).toBe(String(Number(revision) + 1));
});

test("a store that is only read says so", async ({ films, open }) => {
  const tab = await open(films.url);
  expect(await facts(tab)).toMatchObject({ Films: "17,470", Store: "json", Writing: "The store is read-only" });
});

test("a service that cannot be reached is said in the catalogue", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", DOZEN) });
  const tab = await open(service.url);
  await expect.poll(() => tab.light.textContent()).toContain("Live");
  tab.expect(CONNECTION_ERROR);
  await service.stop();
  await expect.poll(() => tab.light.textContent()).toContain("Connection lost");
  expect(await facts(tab)).toMatchObject({ Health: "Cannot be reached", "Live changes": "Connection lost" });
  expect(await tab.page.getByRole("dialog", { name: "Catalogue" }).innerText()).toContain("The service cannot be reached.");
});

test("the dialog closes with its button, the Escape key and a press beside it", async ({ films, open }) => {
  const tab = await open(films.url);
  const dialog = tab.page.getByRole("dialog", { name: "Catalogue" });
  const ways = [
    () => dialog.getByRole("button", { name: "Close" }).click(),
    () => tab.press("Escape"),
    () => tab.page.mouse.click(5, 400),
  ];
  for (const close of ways) {
    await tab.light.click();
    await expect.poll(() => dialog.count()).toBe(1);
    await close();
    await expect.poll(() => dialog.count()).toBe(0);
    expect(await tab.light.evaluate((light) => light.matches(":focus"))).toBe(true);
  }
});

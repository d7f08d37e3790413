import { DOZEN, FULL } from "./support/films";
import { expect, test } from "./support/test";

test("a film shows all its fields", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.sqlite("films.db", [FULL, ...DOZEN]) });
  const { etag } = await service.movie("full");
  const tab = await open(service.url);
  await tab.film(FULL.title).click();
  await expect.poll(() => tab.title.textContent()).toBe(FULL.title);
  const text = await tab.sheet.innerText();
  for (const value of [
    FULL.original_title, "1987 · 2 h 14 min", "7.8", "of 10 · 12,345 ratings", ...FULL.genres, "Ada Moreau, Jean Petit", "Claire Dubois, Samuel Okafor",
    "Ada Moreau, Li Wei", ...FULL.countries, ...FULL.languages, FULL.overview, FULL.id, etag, FULL.poster_uri,
  ]) {
    expect(text).toContain(value);
  }
  for (const name of ["Director", "Cast", "Writers", "Countries", "Languages", "Id", "Added", "Changed", "Etag", "Poster"]) {
    expect(text).toContain(name);
  }
  expect(text).toMatch(/Added\s+\d{1,2} \w+ \d{4}|Added\s+\w+ \d{1,2}, \d{4}/);
  expect(await tab.page.title()).toBe(`${FULL.title} – Films`);
});

test("a film of which little is known shows what there is", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", [{ id: "bare", title: "Bare" }]) });
  const tab = await open(`${service.url}?film=bare`);
  await expect.poll(() => tab.title.textContent()).toBe("Bare");
  const text = await tab.sheet.innerText();
  expect(text).toContain("Not rated yet");
  expect(text).not.toMatch(/Director|Cast|undefined|NaN|null|\b0\b/);
});

test.for([
  ["a director", "Jean Petit"],
  ["an actor", "Samuel Okafor"],
  ["a writer", "Li Wei"],
] as const)("%s is a link that searches for the name", async ([, name], { folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", [FULL, ...DOZEN]) });
  const tab = await open(`${service.url}?film=full`);
  await tab.sheet.getByRole("link", { name, exact: true }).click();
  await expect.poll(() => tab.count.textContent()).toBe("1 film");
  expect(await tab.search.inputValue()).toBe(name);
  expect(tab.query).toEqual({ q: name, film: "full" });
  await tab.page.goBack();
  await expect.poll(() => tab.count.textContent()).toBe("13 films");
});

test("a genre is a link that filters by it", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", [FULL, ...DOZEN]) });
  const tab = await open(`${service.url}?film=full`);
  await tab.sheet.getByRole("link", { name: "Mystery", exact: true }).click();
  await expect.poll(() => tab.count.textContent()).toBe("1 film");
  expect(tab.query).toEqual({ genre: "Mystery", film: "full" });
});

test("the films before and after are one press away", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", DOZEN) });
  const tab = await open(service.url);
  await tab.film("Film 1").click();
  const previous = tab.sheet.getByRole("button", { name: "Previous film" });
  const next = tab.sheet.getByRole("button", { name: "Next film" });
  await expect.poll(() => previous.isDisabled()).toBe(true);
  await next.click();
  await expect.poll(() => tab.title.textContent()).toBe("Film 2");
  expect(await tab.sheet.innerText()).toContain("2 of 12");
  await tab.press("ArrowRight", "ArrowRight", "ArrowLeft");
  await expect.poll(() => tab.title.textContent()).toBe("Film 3");
  await previous.click();
  await expect.poll(() => tab.title.textContent()).toBe("Film 2");
  for (let film = 3; film <= 12; film++) await next.click();
  await expect.poll(() => tab.title.textContent()).toBe("Film 12");
  expect(await next.isDisabled()).toBe(true);
  await tab.page.goBack();
  await expect.poll(() => tab.sheet.count()).toBe(0);
});

test("the focus goes to the film that is shown, and back to its card", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", DOZEN) });
  const tab = await open(service.url);
  await tab.film("Film 3").focus();
  await tab.press("Enter");
  await expect.poll(() => tab.title.textContent()).toBe("Film 3");
  await expect.poll(() => tab.title.evaluate((title) => title.matches(":focus"))).toBe(true);
  await tab.press("Escape");
  await expect.poll(() => tab.sheet.count()).toBe(0);
  await expect.poll(() => tab.film("Film 3").evaluate((card) => card.matches(":focus"))).toBe(true);
});

test("an address of a film that does not exist says so", async ({ films, open }) => {
  const tab = await open(`${films.url}?film=nothing`);
  await expect.poll(() => tab.sheet.getByRole("alert").textContent()).toContain("There is no film with this id.");
  await tab.sheet.getByRole("button", { name: "Close" }).click();
  await expect.poll(() => tab.sheet.count()).toBe(0);
});

test("on a narrow page, a film covers the list", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", DOZEN) });
  const tab = await open(service.url, { viewport: { width: 390, height: 800 } });
  await tab.film("Film 1").click();
  await expect.poll(() => tab.title.textContent()).toBe("Film 1");
  expect((await tab.sheet.boundingBox())!.width).toBe(390);
  await tab.sheet.getByRole("link", { name: "Ada Moreau" }).click();
  await expect.poll(() => tab.sheet.count()).toBe(0);
  expect(await tab.search.inputValue()).toBe("Ada Moreau");
});

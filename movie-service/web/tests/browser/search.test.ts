import type { Locator, Route } from "playwright-core";
import { MovieCatalog } from "../../src/gen/movie/catalog/v1/catalog_pb";
import { MOVIES } from "./support/service";
import { expect, test } from "./support/test";

const { searchMovies } = MovieCatalog.method;

const hasFocus = (locator: Locator) => locator.evaluate((element) => element.matches(":focus"));

test("the search box has the focus when the page is there", async ({ films, open }) => {
  const tab = await open(films.url);
  expect(await hasFocus(tab.search)).toBe(true);
});

test("an empty query shows all films, the ones that most people rated first", async ({ films, open }) => {
  const popular = await films.json("GET", "v1/movies?pageSize=5&orderBy=rating_count%20desc,%20rating%20desc");
  const tab = await open(films.url);
  expect(await tab.count.textContent()).toBe("17,470 films");
  for (const [position, { title }] of popular.movies.entries()) {
    expect(await tab.films.nth(position).textContent()).toContain(title);
  }
});

test("each key searches", async ({ films, open }) => {
  const tab = await open(films.url);
  tab.calls.clear();
  await tab.press("g", "o", "d");
  const searched = () => tab.calls.sent(searchMovies).filter(({ pageToken }) => pageToken === "").map(({ query }) => query);
  await expect.poll(searched).toEqual(["g", "go", "god"]);
  await tab.page.keyboard.type("father");
  await expect.poll(() => tab.films.first().textContent()).toContain("The Godfather");
  expect(tab.query).toEqual({ q: "godfather" });
});

test("a key aborts the call of the key before, and the last one counts", async ({ films, open }) => {
  const tab = await open(films.url);
  tab.calls.clear();
  const held: Route[] = [];
  await tab.page.route("**/SearchMovies", (route) => void held.push(route));
  const searched = () => tab.calls.sent(searchMovies).filter(({ pageToken }) => pageToken === "").map(({ query }) => query);
  await tab.press("a", "l", "i");
  await expect.poll(() => tab.calls.aborted(searchMovies)).toBe(2);
  await tab.press("e", "n");
  await expect.poll(() => tab.calls.aborted(searchMovies)).toBe(4);
  await held.at(-1)!.continue();
  await expect.poll(() => tab.films.first().textContent()).toContain("Alien");
  expect(searched()).toEqual(["a", "al", "ali", "alie", "alien"]);
});

test("the parts of a title that match are marked", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=dark+kni`);
  expect(await tab.films.first().locator("mark").allTextContents()).toEqual(["Dark", "Knight"]);
});

test("a match in the cast, which no card shows, is named below the title", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=marlon+brando`);
  expect(await tab.films.first().textContent()).toContain("With Marlon Brando");
  expect(await tab.films.first().locator("mark").allTextContents()).toEqual(["Marlon", "Brando"]);
});

test("a film is found in spite of typing errors", async ({ films, open }) => {
  const tab = await open(films.url);
  await tab.page.keyboard.type("godfathre");
  await expect.poll(() => tab.count.textContent()).toBe("7 films");
  expect(await tab.films.first().textContent()).toContain("The Godfather");
  expect(await tab.films.first().locator("mark").allTextContents()).toEqual(["Godfather"]);
});

test("the arrow keys go from the search box to the films and back, and Enter shows a film", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=godfather`);
  await tab.press("ArrowDown");
  await expect.poll(() => hasFocus(tab.films.nth(0))).toBe(true);
  await tab.press("ArrowRight");
  await expect.poll(() => hasFocus(tab.films.nth(1))).toBe(true);
  await tab.press("ArrowUp");
  await expect.poll(() => hasFocus(tab.search)).toBe(true);
  await tab.press("ArrowDown");
  await expect.poll(() => hasFocus(tab.films.nth(0))).toBe(true);
  await tab.press("ArrowRight", "Enter");
  await expect.poll(() => tab.title.textContent()).toBe("The Godfather Part II");
});

test("Enter in the search box shows the best film, also while it is still searched for", async ({ films, open }) => {
  const tab = await open(films.url);
  await tab.page.keyboard.type("skyfall");
  await tab.press("Enter");
  await expect.poll(() => tab.title.textContent()).toBe("Skyfall");
});

test("the key / focuses the search box, Escape clears it", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=godfather`);
  await tab.films.first().focus();
  await tab.press("/");
  expect(await hasFocus(tab.search)).toBe(true);
  expect(await tab.search.inputValue()).toBe("godfather");
  await tab.press("Escape");
  await expect.poll(() => tab.count.textContent()).toBe("17,470 films");
  expect(await tab.search.inputValue()).toBe("");
  expect(await hasFocus(tab.search)).toBe(true);
  await tab.page.keyboard.type("a/b");
  expect(await tab.search.inputValue()).toBe("a/b");
});

test("the address has the state, so that it can be shared", async ({ films, open }) => {
  const tab = await open(films.url);
  await tab.page.keyboard.type("love");
  await tab.filters.getByRole("checkbox", { name: /^Comedy/ }).check();
  await tab.page.getByRole("combobox").selectOption("Title");
  await tab.films.first().click();
  await expect.poll(() => tab.title.count()).toBe(1);
  const other = await open(tab.page.url());
  expect(await other.search.inputValue()).toBe("love");
  expect(await other.filters.getByRole("checkbox", { name: /^Comedy/ }).isChecked()).toBe(true);
  expect(await other.page.getByRole("combobox").inputValue()).toBe("title");
  expect(await other.count.textContent()).toBe(await tab.count.textContent());
  expect(await other.films.allTextContents()).toEqual(await tab.films.allTextContents());
  await expect.poll(() => other.title.textContent()).toBe(await tab.title.textContent());
});

test("back and forward go through what was shown; the letters of a word are one step", async ({ films, open }) => {
  const tab = await open(films.url);
  await tab.page.keyboard.type("alien");
  await expect.poll(() => tab.films.first().textContent()).toContain("Alien");
  await tab.press("Enter");
  await expect.poll(() => tab.title.textContent()).toBe("Alien");
  await tab.page.goBack();
  await expect.poll(() => tab.sheet.count()).toBe(0);
  expect(await tab.search.inputValue()).toBe("alien");
  await tab.page.goBack();
  await expect.poll(() => tab.count.textContent()).toBe("17,470 films");
  expect(await tab.search.inputValue()).toBe("");
  await tab.page.goForward();
  await tab.page.goForward();
  await expect.poll(() => tab.title.textContent()).toBe("Alien");
  expect(await tab.search.inputValue()).toBe("alien");
});

test("a search that finds nothing says so, and leads back to all films", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=zzzzqqqxxx`);
  expect(await tab.page.getByRole("heading", { name: "Nothing found for “zzzzqqqxxx”" }).count()).toBe(1);
  await tab.button("Show all films").click();
  await expect.poll(() => tab.count.textContent()).toBe("17,470 films");
});

test("screen readers are told how many films there are", async ({ films, open }) => {
  const tab = await open(films.url);
  const said = tab.page.locator("page-notices").getByRole("status");
  await tab.page.keyboard.type("godfathre");
  await expect.poll(() => said.textContent()).toBe("7 films");
});

test("without search, the titles that begin with the words are shown", async ({ serve, open }) => {
  const service = await serve({ database: MOVIES, args: ["--search", "off"] });
  const tab = await open(service.url);
  await tab.page.keyboard.type("the m");
  await expect.poll(() => tab.count.textContent()).toBe("1 film");
  expect(await tab.films.first().textContent()).toContain("The Martian");
  expect(await tab.page.getByText("This service runs without search: these").count()).toBe(1);
});

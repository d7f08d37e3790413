import type { Tab } from "./support/browser";
import type { Service } from "./support/service";
import { expect, test } from "./support/test";

interface Facet {
  readonly field: string;
  readonly values: { value: string; count: number }[];
}

const FACETS = ["genres", "decades", "countries", "languages"];

/** Returns what the service counts for a search, by the name of the group on the page. */
async function counts(service: Service, parameters = ""): Promise<Record<string, Facet["values"]>> {
  const path = `v1/movies:search?pageSize=1&${FACETS.map((name) => `facets=${name}`).join("&")}${parameters}`;
  const { facets }: { facets: Facet[] } = await service.json("GET", path);
  const names: Record<string, string> = { genres: "Genre", decades: "Decade", countries: "Country", languages: "Language" };
  return Object.fromEntries(facets.map(({ field, values }) => [names[field], values]));
}

/** Returns the first values that a group shows, with their counts. */
const shown = (tab: Tab, group: string) =>
  tab.filters.getByRole("group", { name: group }).locator("label").evaluateAll((labels) =>
    labels.map((label) => ({
      value: label.querySelector(".name")!.textContent!,
      count: Number(label.querySelector(".count")!.textContent!.replaceAll(",", "")),
    })),
  );

const box = (tab: Tab, group: string, value: string) =>
  tab.filters.getByRole("group", { name: group }).getByRole("checkbox", { name: new RegExp(`^${value} [\\d,]+$`) });

const chip = (tab: Tab, name: string) => tab.button(`Remove the filter ${name}`);

test("the values of each filter have the counts of the service", async ({ films, open }) => {
  const expected = await counts(films);
  const tab = await open(films.url);
  await expect.poll(() => shown(tab, "Genre")).toEqual(expected.Genre!.slice(0, 8));
  expect(await shown(tab, "Country")).toEqual(expected.Country!.slice(0, 8));
  expect(await shown(tab, "Language")).toEqual(expected.Language!.slice(0, 8));
  const decades = expected.Decade!.map(({ value, count }) => ({ value: `${value}s`, count })).sort((a, b) => b.value.localeCompare(a.value));
  expect(await shown(tab, "Decade")).toEqual(decades.slice(0, 8));
});

test("all values of a filter are shown on request", async ({ films, open }) => {
  const { Genre } = await counts(films);
  const tab = await open(films.url);
  await tab.button(`Show all ${Genre!.length} (Genre)`).click();
  await expect.poll(() => shown(tab, "Genre")).toEqual(Genre);
  await tab.button("Show fewer (Genre)").click();
  await expect.poll(async () => (await shown(tab, "Genre")).length).toBe(8);
});

test("a value that is chosen becomes a chip, which removes it", async ({ films, open }) => {
  const tab = await open(films.url);
  await tab.button(/^Show all .*\(Genre\)$/).click();
  const { Genre } = await counts(films);
  const western = Genre!.find(({ value }) => value === "Western")!;
  await box(tab, "Genre", "Western").check();
  await expect.poll(() => tab.count.textContent()).toBe(`${western.count} films`);
  expect(tab.query).toEqual({ genre: "Western" });
  await chip(tab, "Western").click();
  await expect.poll(() => tab.count.textContent()).toBe("17,470 films");
  expect(await box(tab, "Genre", "Western").isChecked()).toBe(false);
  expect(await chip(tab, "Western").count()).toBe(0);
});

test("values of one filter add up, filters narrow each other, and the counts follow", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=war`);
  await box(tab, "Genre", "Drama").check();
  await box(tab, "Genre", "Comedy").check();
  await box(tab, "Decade", "1990s").check();
  const filter = "&query=war&filter.genres=Drama&filter.genres=Comedy&filter.decades=1990";
  const { totalSize } = await films.json("GET", `v1/movies:search?pageSize=1${filter}`);
  await expect.poll(() => tab.count.textContent()).toBe(`${totalSize} films`);
  const expected = await counts(films, filter);
  await expect.poll(() => shown(tab, "Country")).toEqual(expected.Country!.slice(0, 8));
  expect((await shown(tab, "Genre")).slice(0, 4)).toEqual(expected.Genre!.slice(0, 4));
  await tab.button("Remove all").click();
  const { totalSize: all } = await films.json("GET", "v1/movies:search?pageSize=1&query=war");
  await expect.poll(() => tab.count.textContent()).toBe(`${all} films`);
  expect(tab.query).toEqual({ q: "war" });
});

test("countries and languages can be chosen", async ({ films, open }) => {
  const { totalSize } = await films.json("GET", "v1/movies?pageSize=1&filter.countries=France&filter.languages=German");
  const tab = await open(films.url);
  await box(tab, "Country", "France").check();
  await box(tab, "Language", "German").check();
  await expect.poll(() => tab.count.textContent()).toBe(`${totalSize} films`);
  expect(await chip(tab, "France").count()).toBe(1);
  expect(await chip(tab, "German").count()).toBe(1);
});

test("the lowest rating is chosen with a slider", async ({ films, open }) => {
  const { totalSize } = await films.json("GET", "v1/movies?pageSize=1&filter.ratingMin=8.5");
  const tab = await open(films.url);
  const slider = tab.page.getByRole("slider", { name: "Rating from" });
  await slider.fill("8.5");
  await expect.poll(() => tab.count.textContent()).toBe(`${totalSize} films`);
  expect(await slider.getAttribute("aria-valuetext")).toBe("Rating from 8.5");
  await chip(tab, "Rating from 8.5").click();
  await expect.poll(() => tab.count.textContent()).toBe("17,470 films");
  expect(await slider.inputValue()).toBe("0");
});

test.for([
  ["Rating", "rating desc, rating_count desc"],
  ["Newest first", "year desc, rating_count desc"],
  ["Oldest first", "year, rating_count desc"],
  ["Title", "title"],
] as const)("films can be sorted: %s", async ([name, order], { films, open }) => {
  const { movies } = await films.json("GET", `v1/movies?pageSize=12&orderBy=${encodeURIComponent(order)}`);
  const tab = await open(films.url);
  await tab.page.getByRole("combobox", { name: "Sort by" }).selectOption(name);
  const titles = () => tab.films.locator(".title").allTextContents();
  await expect.poll(async () => (await titles()).slice(0, 12)).toEqual(movies.map(({ title }: { title: string }) => title));
});

test("a search is sorted by relevance at first, and can be sorted by year", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=godfather`);
  const sort = tab.page.getByRole("combobox", { name: "Sort by" });
  expect(await sort.locator("option:checked").textContent()).toBe("Relevance");
  await sort.selectOption("Oldest first");
  await expect.poll(() => tab.films.first().textContent()).toContain("3 Godfathers");
  expect(tab.query).toEqual({ q: "godfather", sort: "oldest" });
});

test("filters that leave no film say so", async ({ films, open }) => {
  const tab = await open(`${films.url}?genre=Western&language=Japanese&decade=1900`);
  expect(await tab.page.getByText("Fewer filters would find more.").count()).toBe(1);
  await tab.button("Show all films").click();
  await expect.poll(() => tab.count.textContent()).toBe("17,470 films");
});

test("on a narrow page, the filters are in a dialog", async ({ films, open }) => {
  const tab = await open(films.url, { viewport: { width: 390, height: 800 } });
  expect(await tab.filters.count()).toBe(0);
  await tab.button("Filters").click();
  const dialog = tab.page.getByRole("dialog", { name: "Filters" });
  await dialog.getByRole("checkbox", { name: /^Drama/ }).check();
  const { totalSize } = await films.json("GET", "v1/movies?pageSize=1&filter.genres=Drama");
  const count = `${totalSize.toLocaleString("en")} films`;
  await dialog.getByRole("button", { name: `Show the films (${count})` }).click();
  await expect.poll(() => dialog.count()).toBe(0);
  expect(await tab.count.textContent()).toBe(count);
});

import { MovieCatalog } from "../../src/gen/movie/catalog/v1/catalog_pb";
import { expect, test } from "./support/test";

const { listMovies } = MovieCatalog.method;

/** A frame takes at most 50 ms; the tests fail far beyond, since the machine may be busy. */
const FRAME_LIMIT_MS = 4 * 50;

/** The most elements that the document may have, in all trees. */
const MAX_ELEMENTS = 3000;

function countElements(): number {
  const inTree = (root: Document | ShadowRoot): number =>
    [...root.querySelectorAll("*")].reduce((count, { shadowRoot }) => count + 1 + (shadowRoot ? inTree(shadowRoot) : 0), 0);
  return inTree(document);
}

/** Scrolls down in steps, one a frame, and returns the times between the frames, the longest first. */
async function scroll({ steps, pixels }: { steps: number; pixels: number }): Promise<number[]> {
  const frame = () => new Promise<number>((done) => requestAnimationFrame(done));
  const times = [await frame()];
  for (let step = 0; step < steps; step++) {
    scrollBy(0, pixels);
    times.push(await frame());
  }
  return times.slice(1).map((time, at) => time - times[at]!).sort((a, b) => b - a);
}

test("all 17,470 films can be scrolled to, and the document stays small", async ({ films, open }) => {
  const tab = await open(films.url);
  expect(await tab.page.evaluate(countElements)).toBeLessThan(MAX_ELEMENTS);
  await tab.films.first().focus();
  await tab.press("End");
  const last = tab.page.locator('film-list li[aria-posinset="17470"]');
  await expect.poll(() => last.count(), { timeout: 50_000 }).toBe(1);
  expect(await last.getAttribute("aria-setsize")).toBe("17470");
  expect(await last.locator(".title").textContent()).not.toBe("");
  expect(await tab.page.evaluate(countElements)).toBeLessThan(MAX_ELEMENTS);
  const listed = tab.calls.sent(listMovies);
  expect(Math.max(...listed.map(({ pageSize }) => pageSize))).toBeLessThanOrEqual(500);
});

test("each film is in the list once, in the order of the service", async ({ films, open }) => {
  const { movies } = await films.json("GET", "v1/movies?pageSize=400&orderBy=rating_count%20desc,%20rating%20desc");
  const expected = new Map<string, string>(movies.map(({ title }: { title: string }, at: number) => [String(at + 1), title]));
  const tab = await open(films.url);
  const seen = new Map<string, string>();
  while (seen.size < 300) {
    await tab.page.mouse.wheel(0, 500);
    const rows = await tab.page.locator("film-list li:not(.skeleton)").evaluateAll((items) =>
      items.map((item) => [item.getAttribute("aria-posinset")!, item.querySelector(".title")!.textContent!] as const),
    );
    for (const [position, title] of rows) {
      if (expected.has(position)) expect([position, title]).toEqual([position, expected.get(position)]);
      seen.set(position, title);
    }
  }
  expect(await tab.page.evaluate(countElements)).toBeLessThan(MAX_ELEMENTS);
});

test("scrolling is smooth", { retry: 2 }, async ({ films, open }) => {
  const tab = await open(films.url);
  const times = await tab.page.evaluate(scroll, { steps: 240, pixels: 120 });
  const [longest] = times;
  const late = times.filter((time) => time > 50).length;
  console.log(`scrolling: longest frame ${longest!.toFixed(1)} ms, ${late} of ${times.length} frames over 50 ms`);
  expect(await tab.page.evaluate(() => scrollY)).toBeGreaterThan(20_000);
  expect(longest).toBeLessThan(FRAME_LIMIT_MS);
});

test("the way back to a list goes to where it was left", async ({ films, open }) => {
  const tab = await open(films.url);
  await tab.page.mouse.wheel(0, 4000);
  await expect.poll(() => tab.page.evaluate(() => scrollY)).toBe(4000);
  await tab.press("/");
  await tab.page.keyboard.type("alien");
  await expect.poll(() => tab.films.first().textContent()).toContain("Alien");
  expect(await tab.page.evaluate(() => scrollY)).toBe(0);
  await tab.page.goBack();
  await expect.poll(() => tab.count.textContent()).toBe("17,470 films");
  await expect.poll(() => tab.page.evaluate(() => scrollY)).toBe(4000);
});

test("the keys Home, End and the page keys move between films", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=star+wars`);
  const active = async () => Number(await tab.page.locator("film-list li:focus-within").getAttribute("aria-posinset"));
  await tab.films.first().focus();
  await tab.press("PageDown");
  await expect.poll(active).toBeGreaterThan(3);
  await tab.press("Home");
  await expect.poll(active).toBe(1);
  await tab.press("End");
  const total = Number(await tab.page.locator("film-list li").first().getAttribute("aria-setsize"));
  await expect.poll(active).toBe(total);
});

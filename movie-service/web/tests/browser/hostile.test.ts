import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { MovieCatalog } from "../../src/gen/movie/catalog/v1/catalog_pb";
import { expect, test } from "./support/test";

const TITLES = {
  unbroken: "W".repeat(64),
  script: "<script>window.attacked = true</script>",
  image: `"><img src=x onerror="window.attacked = true">`,
  template: "${window.attacked = true} {{attacked}} <!--?lit$1$-->",
  arabic: "المصير: قصة فيلسوف",
  hebrew: "ואלס עם באשיר",
  mixed: "الفيلم (Film 3) 2001",
  japanese: "千と千尋の神隠し",
  chinese: "臥虎藏龍",
  korean: "기생충",
  emoji: "👩‍👩‍👧‍👦 🎬 family",
  combining: "Z̷̢̛͙a̴̡̛͎l̸̢̛͍g̵̡̛̰o̴̧̨",
  override: "\u202Etxet desrever",
  newline: "One line\nand another\ttab",
};

const films = (extra: object = {}) => Object.entries(TITLES).map(([id, title]) => ({ id, title, director: title, genres: [title.slice(0, 100)], cast: [title.slice(0, 100)], ...extra }));

const isAttacked = () => "attacked" in window;

test.for([1280, 320])("titles of all kinds are shown as they are, at %i pixels", async (width, { folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", films()) });
  const tab = await open(service.url, { viewport: { width, height: 2400 } });
  for (const title of Object.values(TITLES)) {
    await expect.poll(() => tab.films.locator(".title").allTextContents()).toContain(title);
  }
  expect(await tab.page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
  expect(await tab.page.evaluate(isAttacked)).toBe(false);
});

test.for(Object.keys(TITLES))("a film with a hostile title is shown, searched and filtered by: %s", async (id, { folder, serve, open }) => {
  const title = TITLES[id as keyof typeof TITLES];
  const service = await serve({ database: folder.json("films.json", films({ overview: `${title}\n`.repeat(20), original_title: title, writers: [title.slice(0, 100)] })) });
  const tab = await open(`${service.url}?film=${id}&wire`, { viewport: { width: 375, height: 800 } });
  await expect.poll(() => tab.title.textContent()).toBe(title);
  expect(await tab.sheet.evaluate((sheet) => sheet.scrollWidth <= sheet.clientWidth)).toBe(true);
  await tab.sheet.getByRole("link").first().click();
  await expect.poll(() => tab.query.genre ?? tab.query.q).toBeTruthy();
  await expect.poll(() => tab.films.locator(".title").allTextContents()).toContain(title);
  expect(await tab.page.evaluate(() => document.documentElement.scrollWidth)).toBe(375);
  expect(await tab.page.evaluate(isAttacked)).toBe(false);
});

test("titles that are written from right to left are laid out so", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", films()) });
  const tab = await open(service.url, { viewport: { width: 1280, height: 2400 } });
  const direction = (title: string) => tab.films.locator(".title", { hasText: title }).evaluate((element) => getComputedStyle(element).direction);
  expect(await direction(TITLES.arabic)).toBe("rtl");
  expect(await direction(TITLES.hebrew)).toBe("rtl");
  expect(await direction(TITLES.japanese)).toBe("ltr");
  await tab.search.fill(TITLES.hebrew.slice(0, 4));
  await expect.poll(() => tab.films.count()).toBe(1);
  expect(await tab.films.locator("mark").count()).toBeGreaterThan(0);
  expect(await tab.search.evaluate((element) => getComputedStyle(element).direction)).toBe("rtl");
});

test.for(["script", "image", "template"] as const)("words that look like a program are only words: %s", async (id, { folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", films()) });
  const tab = await open(`${service.url}?${new URLSearchParams({ q: TITLES[id], genre: TITLES[id], country: TITLES[id], film: TITLES[id] })}`);
  await expect.poll(() => tab.sheet.getByRole("alert").count()).toBe(1);
  expect(await tab.search.inputValue()).toBe(TITLES[id]);
  expect(await tab.page.evaluate(isAttacked)).toBe(false);
});

test("an overview of 4,000 characters is shown whole", async ({ folder, serve, open }) => {
  const overview = "A word, then another one. ".repeat(160).slice(0, 3990) + " The end.";
  const service = await serve({ database: folder.json("films.json", [{ id: "long", title: "Long", overview }]) });
  const tab = await open(`${service.url}?film=long`, { viewport: { width: 320, height: 640 } });
  const text = tab.sheet.getByText("The end.");
  await expect.poll(() => text.textContent()).toBe(overview);
  await text.scrollIntoViewIfNeeded();
  const { clientHeight, scrollHeight } = await text.evaluate(({ clientHeight, scrollHeight }) => ({ clientHeight, scrollHeight }));
  expect(scrollHeight).toBeLessThanOrEqual(clientHeight + 1);
});

test("addresses with anything in them show a page", async ({ films, open }) => {
  for (const query of ["?rating=NaN&sort=%00&decade=1e9&genre=&lang=xx", "?q=%F0%9F&film=%ff%fe", `?q=${"a".repeat(4000)}`, "?film=__proto__&sort=constructor&lang=toString"]) {
    const tab = await open(`${films.url}${query}`);
    expect(await tab.count.textContent()).toMatch(/film/i);
    await tab.page.close();
  }
});

test("a catalogue without films says so", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.sqlite("films.db", []), args: ["--allow-anonymous-writes"] });
  const tab = await open(service.url);
  expect(await tab.count.textContent()).toBe("No films");
  expect(await tab.page.getByText("The catalogue has no films yet.").count()).toBe(1);
  await tab.search.fill("alien");
  await expect.poll(() => tab.page.getByText("Nothing found for “alien”").count()).toBe(1);
  await tab.search.fill("");
  await tab.button("Add a film").click();
  await tab.sheet.getByRole("textbox", { name: "Title (required)" }).fill("The first film");
  await tab.sheet.getByRole("button", { name: "Save" }).click();
  await expect.poll(() => tab.count.textContent()).toBe("1 film");
});

const { searchMovies, listMovies } = MovieCatalog.method;

test("with 300 ms of delay, each key still searches, and the last one counts", async ({ films, open }) => {
  const tab = await open(films.url);
  const session = await tab.page.context().newCDPSession(tab.page);
  await session.send("Network.emulateNetworkConditions", { offline: false, latency: 300, downloadThroughput: -1, uploadThroughput: -1 });
  tab.calls.clear();
  await tab.search.pressSequentially("the godfather", { delay: 40 });
  await tab.press("Enter");
  await expect.poll(() => tab.title.textContent()).toBe("The Godfather");
  expect(await tab.search.inputValue()).toBe("the godfather");
  // The space after "the" does not change what is searched for.
  expect(tab.calls.sent(searchMovies).length).toBeGreaterThanOrEqual(12);
  expect(tab.calls.aborted(searchMovies)).toBeGreaterThan(5);
  await tab.press("Escape");
  await tab.search.fill("");
  await expect.poll(() => tab.count.textContent()).toBe("17,470 films");
  await tab.films.first().focus();
  await tab.press("PageDown", "PageDown", "PageDown", "PageDown");
  await expect.poll(() => tab.page.locator("film-list li:focus-within .title").count()).toBe(1);
  expect(tab.calls.sent(listMovies).length).toBeGreaterThan(1);
});

test("with 300 ms of delay, a page is not empty, and says that films are on their way", async ({ films, open }) => {
  const tab = await open(films.url);
  await tab.page.route("**/ListMovies", async (route) => {
    await new Promise((done) => setTimeout(done, 300));
    await route.continue();
  });
  await tab.page.goto(`${films.url}?sort=title`, { waitUntil: "commit" });
  await expect.poll(() => tab.count.textContent()).toBe("Films…");
  expect(await tab.page.locator("film-list .skeleton").count()).toBeGreaterThan(0);
  await expect.poll(() => tab.count.textContent()).toBe("17,470 films");
});

/** The films of the largest catalogue that is tested. */
const MILLION = 1_000_000;

async function writeMillion(path: string): Promise<void> {
  const file = createWriteStream(path);
  file.write('{"movies":[');
  for (let at = 0; at < MILLION; at++) {
    const film = { id: `m${at}`, title: `Film number ${at}`, director: `Person ${at % 50_000}`, year: 1900 + (at % 120), rating: (at % 100) / 10, genres: [`Genre ${at % 25}`], rating_count: 1 + (at % 999) };
    if (!file.write(`${at ? "," : ""}${JSON.stringify(film)}`)) await once(file, "drain");
  }
  file.end("]}");
  await once(file, "finish");
}

// The file of films takes 150 MB, and a debug build a minute.
test("a million films can be searched, filtered and scrolled", { timeout: 300_000 }, async ({ folder, serve, open }) => {
  await writeMillion(folder.file("films.json"));
  const service = await serve({ database: folder.file("films.json") });
  const tab = await open(service.url);
  expect(await tab.count.textContent()).toBe("1,000,000 films");
  await tab.search.fill("film number 123456");
  await expect.poll(() => tab.films.first().textContent(), { timeout: 60_000 }).toContain("Film number 123456");
  await tab.search.fill("");
  await tab.page.getByRole("checkbox", { name: /^Genre 11 / }).check();
  await expect.poll(() => tab.count.textContent()).toBe("40,000 films");
  await tab.button("Remove all").click();
  await expect.poll(() => tab.count.textContent()).toBe("1,000,000 films");
  expect(await tab.page.getByText("The first 50,000 can be shown.").count()).toBe(1);
  await tab.page.mouse.wheel(0, 30_000);
  await expect.poll(() => tab.page.locator("film-list li:not(.skeleton)").count()).toBeGreaterThan(0);
});

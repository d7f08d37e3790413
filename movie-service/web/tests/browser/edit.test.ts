import type { Locator } from "playwright-core";
import { MovieCatalog } from "../../src/gen/movie/catalog/v1/catalog_pb";
import type { Tab } from "./support/browser";
import { DOZEN, FULL } from "./support/films";
import { type Folder, MOVIES, type MovieJson } from "./support/service";
import { expect, test } from "./support/test";

const { createMovie, updateMovie } = MovieCatalog.method;

const writable = (folder: Folder) => ({ database: folder.sqlite("films.db", [FULL, ...DOZEN]), args: ["--allow-anonymous-writes"] });

const field = (tab: Tab, name: string): Locator => tab.sheet.getByRole("textbox", { name, exact: false });
const save = (tab: Tab) => tab.sheet.getByRole("button", { name: "Save", exact: true });

async function openForm(tab: Tab): Promise<void> {
  await tab.sheet.getByRole("button", { name: "Edit" }).click();
  await expect.poll(() => field(tab, "Title (required)").count()).toBe(1);
}

test("a film can be added, with every field", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await open(service.url);
  await tab.button("Add a film").click();
  const values: [string, string][] = [
    ["Title (required)", "Brand new"], ["Original title", "Tout neuf"], ["Year", "2024"], ["Runtime", "95"], ["Director", "A One, B Two"],
    ["Genres", "Drama, Comedy"], ["Rating (0 to 10)", "7.25"], ["Ratings", "31"], ["Countries", "France"], ["Languages", "French, English"],
    ["Cast", "Actor One\nActor Two"], ["Writers", "Writer One"], ["Overview", "First line.\nSecond line."],
    ["Address of a poster", "https://posters.example/new.png"], ["Id", "brand-new"],
  ];
  for (const [name, value] of values) await field(tab, name).first().fill(value);
  await save(tab).click();
  await expect.poll(() => tab.title.textContent()).toBe("Brand new");
  expect(await tab.notices.textContent()).toContain("Brand new was added.");
  expect(await service.movie("brand-new")).toMatchObject({
    title: "Brand new", originalTitle: "Tout neuf", year: 2024, runtimeMinutes: 95, director: "A One, B Two", genres: ["Drama", "Comedy"], rating: 7.25,
    ratingCount: "31", countries: ["France"], languages: ["French", "English"], cast: ["Actor One", "Actor Two"], writers: ["Writer One"],
    overview: "First line.\nSecond line.", posterUri: "https://posters.example/new.png",
  });
  await expect.poll(() => tab.count.textContent()).toBe("14 films");
});

test("a change sends the changed fields only, with the etag", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const before = await service.movie("full");
  const tab = await open(`${service.url}?film=full`);
  await openForm(tab);
  expect(await field(tab, "Cast").inputValue()).toBe("Claire Dubois\nSamuel Okafor");
  await field(tab, "Year").fill("1988");
  await field(tab, "Genres").fill("");
  await save(tab).click();
  await expect.poll(() => tab.notices.textContent()).toContain("The Lighthouse at the End was saved.");
  const [sent, ...others] = tab.calls.sent(updateMovie);
  expect(others).toEqual([]);
  expect(sent!.updateMask!.paths.sort()).toEqual(["genres", "year"]);
  expect(sent!.movie).toMatchObject({ id: "full", etag: before.etag, year: 1988, title: "", overview: "", cast: [] });
  const { etag, updateTime, genres, ...rest } = before as MovieJson & { updateTime: string };
  const stored = await service.movie("full");
  expect(stored).toMatchObject({ ...rest, year: 1988 });
  expect(stored.genres ?? []).toEqual([]);
  expect(await tab.sheet.innerText()).toContain("1988");
  expect(await tab.film(FULL.title).textContent()).toContain("1988");
});

test("a form without changes sends nothing", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await open(`${service.url}?film=full`);
  await openForm(tab);
  await save(tab).click();
  await expect.poll(() => tab.title.textContent()).toBe(FULL.title);
  expect(tab.calls.sent(updateMovie)).toEqual([]);
});

test("a conflict shows both versions side by side, of which each field is chosen", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await open(`${service.url}?film=full`);
  await openForm(tab);
  await field(tab, "Title (required)").fill("My title");
  await field(tab, "Overview").fill("My overview");
  await service.change("full", { title: "Their title", year: 1999 });
  await save(tab).click();
  await expect.poll(() => tab.sheet.getByRole("heading", { name: "Someone else changed this film" }).count()).toBe(1);
  expect((await service.movie("full")).title).toBe("Their title");
  const version = (group: string, name: RegExp) => tab.sheet.getByRole("group", { name: group, exact: true }).getByRole("radio", { name });
  const groups = tab.sheet.getByRole("group");
  expect(await groups.locator("legend").allTextContents()).toEqual(["Title", "Year", "Overview"]);
  // Each field starts with the version of the one who changed it; where both did, with this caller's.
  expect(await version("Title", /^Your version My title/).isChecked()).toBe(true);
  expect(await version("Year", /^Saved version 1999/).isChecked()).toBe(true);
  expect(await version("Overview", /^Your version My overview/).isChecked()).toBe(true);
  const [theirs, mine] = await Promise.all([/^Saved version Their title/, /^Your version My title/].map((name) => version("Title", name).boundingBox()));
  expect(Math.abs(theirs!.y - mine!.y)).toBeLessThan(4);
  expect(mine!.x).toBeGreaterThan(theirs!.x);
  await version("Title", /^Saved version/).check();
  await save(tab).click();
  await expect.poll(() => tab.title.textContent()).toBe("Their title");
  expect(await service.movie("full")).toMatchObject({ title: "Their title", year: 1999, overview: "My overview" });
  expect(tab.calls.sent(updateMovie).at(-1)!.updateMask!.paths).toEqual(["overview"]);
});

test("a film can be deleted, and the deletion undone", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const { etag, createTime, updateTime, ...fields } = (await service.movie("full")) as MovieJson & { createTime: string; updateTime: string };
  const tab = await open(`${service.url}?film=full`);
  await tab.sheet.getByRole("button", { name: `Delete ${FULL.title}` }).click();
  await expect.poll(() => tab.count.textContent()).toBe("12 films");
  expect(await tab.film(FULL.title).count()).toBe(0);
  await expect(service.movie("full")).rejects.toThrow("404");
  await tab.notices.getByRole("button", { name: "Undo" }).click();
  await expect.poll(() => tab.title.textContent()).toBe(FULL.title);
  expect(await service.movie("full")).toMatchObject(fields);
  await expect.poll(() => tab.count.textContent()).toBe("13 films");
});

test("a film that changed since it was shown is not deleted", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await open(`${service.url}?film=full`);
  await tab.page.route("**/DeleteMovie", async (route) => {
    await service.change("full", { year: 1999 });
    await route.continue();
  });
  await tab.sheet.getByRole("button", { name: `Delete ${FULL.title}` }).click();
  await expect.poll(() => tab.notices.textContent()).toContain("Someone else has just changed this film.");
  expect((await service.movie("full")).year).toBe(1999);
  expect(await tab.film(FULL.title).count()).toBe(1);
});

test("all violations are shown at their fields, at once", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await open(`${service.url}?edit`);
  await field(tab, "Year").fill("1500");
  await field(tab, "Rating (0 to 10)").fill("11");
  await field(tab, "Address of a poster").fill("http://posters.example/a.png");
  await field(tab, "Genres").fill("Drama, Drama");
  await save(tab).click();
  await expect.poll(() => tab.sheet.getByRole("alert").textContent()).toBe("5 fields need your attention.");
  for (const name of ["Title (required)", "Year", "Rating (0 to 10)", "Address of a poster", "Genres"]) {
    const input = field(tab, name).first();
    expect([name, await input.getAttribute("aria-invalid")]).toEqual([name, "true"]);
    const described = (await input.getAttribute("aria-describedby"))!.split(" ").at(-1)!;
    expect(await tab.page.locator(`[id="${described}"]`).textContent()).toMatch(/\w{3}/);
  }
  expect(await field(tab, "Director").getAttribute("aria-invalid")).not.toBe("true");
  expect(await field(tab, "Title (required)").evaluate((input) => input.matches(":focus"))).toBe(true);
  // What is corrected is no longer said to be wrong.
  await field(tab, "Year").fill("2000");
  await expect.poll(() => field(tab, "Year").getAttribute("aria-invalid")).not.toBe("true");
  expect(await field(tab, "Genres").first().inputValue()).toBe("Drama, Drama");
});

test("texts that are no numbers are said together with what else is wrong", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await open(`${service.url}?edit`);
  await field(tab, "Year").fill("soon");
  await save(tab).click();
  await expect.poll(() => tab.sheet.getByText("This is not a number.").count()).toBe(1);
  expect(await field(tab, "Title (required)").getAttribute("aria-invalid")).toBe("true");
});

test("a submit that is repeated because its response was lost makes one film", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await open(`${service.url}?edit`);
  tab.expect(/net::ERR_CONNECTION_RESET/);
  await tab.page.route("**/CreateMovie", async (route) => {
    await route.fetch();
    await route.abort("connectionreset");
  }, { times: 1 });
  await field(tab, "Title (required)").fill("Only once");
  await save(tab).click();
  await expect.poll(() => tab.sheet.getByRole("alert").textContent()).toContain("The service cannot be reached.");
  expect(await field(tab, "Title (required)").inputValue()).toBe("Only once");
  await save(tab).click();
  await expect.poll(() => tab.title.textContent()).toBe("Only once");
  const ids = tab.calls.sent(createMovie).map(({ requestId }) => requestId);
  expect(ids).toEqual([ids[0], ids[0]]);
  expect(ids[0]).not.toBe("");
  const { movies } = await service.json("GET", "v1/movies?filter.titlePrefix=Only");
  expect(movies.map(({ title }: MovieJson) => title)).toEqual(["Only once"]);
});

test("a double press makes one film", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await open(`${service.url}?edit`);
  await field(tab, "Title (required)").fill("Pressed twice");
  await save(tab).dblclick();
  await expect.poll(() => tab.title.textContent()).toBe("Pressed twice");
  const { movies } = await service.json("GET", "v1/movies?filter.titlePrefix=Pressed");
  expect(movies.length).toBe(1);
});

test("what was typed is kept when the form is closed and opened again", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await open(`${service.url}?film=full`);
  await openForm(tab);
  await field(tab, "Title (required)").fill("Half typed");
  await tab.sheet.getByRole("button", { name: "Close" }).click();
  await expect.poll(() => tab.title.textContent()).toBe(FULL.title);
  await openForm(tab);
  expect(await field(tab, "Title (required)").inputValue()).toBe("Half typed");
  await tab.sheet.getByRole("button", { name: "Discard" }).click();
  await openForm(tab);
  expect(await field(tab, "Title (required)").inputValue()).toBe(FULL.title);
});

test("where nothing can be written, nothing can be edited", async ({ serve, open }) => {
  const service = await serve({ database: MOVIES });
  const tab = await open(`${service.url}?film=a8034f44-aee4-44cf-b32c-74cf452aaaae&edit`);
  await expect.poll(() => tab.title.textContent()).toBe("The Martian");
  expect(await tab.button("Add a film").count()).toBe(0);
  expect(await tab.sheet.getByRole("button", { name: /Edit|Delete/ }).count()).toBe(0);
  expect(await save(tab).count()).toBe(0);
});

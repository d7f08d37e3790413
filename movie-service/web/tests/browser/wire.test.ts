import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Locator } from "playwright-core";
import type { Tab } from "./support/browser";
import { DOZEN } from "./support/films";
import { MOVIES } from "./support/service";
import { expect, test } from "./support/test";

const MARTIAN = "a8034f44-aee4-44cf-b32c-74cf452aaaae";

/** Runs a command in a shell, and returns what it prints as JSON. */
async function shell(command: string): Promise<any> {
  const { stdout } = await promisify(execFile)("bash", ["-c", command], { timeout: 20_000 });
  return JSON.parse(stdout);
}

async function openWire(tab: Tab): Promise<Locator> {
  await tab.button("On the wire").click();
  await expect.poll(() => tab.wire.getByRole("option").count()).toBeGreaterThan(0);
  return tab.wire;
}

/** Chooses the newest call to a method. */
const choose = (wire: Locator, method: string) => wire.getByRole("option", { name: new RegExp(`^${method} `) }).first().click();

/** Returns the bytes of the message with this number, as shown in hexadecimal; messages and trailers of a response count from 1. */
async function bytesOf(wire: Locator, part: "Request" | "Response", number = 1): Promise<string> {
  const message = wire.getByRole("region", { name: part }).locator("wire-message").nth(number - 1);
  return (await message.getByRole("gridcell").allTextContents()).join("");
}

test("the panel opens beside the page, lists the calls, and is in the address", async ({ films, open }) => {
  const tab = await open(films.url);
  const wire = await openWire(tab);
  expect(tab.query).toEqual({ wire: "1" });
  for (const method of ["GetCatalog", "ListMovies", "SearchMovies", "WatchMovies"]) {
    expect(await wire.getByRole("option", { name: new RegExp(`^${method} `) }).count()).toBeGreaterThan(0);
  }
  await tab.search.fill("godfather");
  await expect.poll(() => wire.getByRole("option").first().textContent()).toContain("SearchMovies");
  await expect.poll(() => tab.films.first().textContent()).toContain("The Godfather");
  await wire.getByRole("button", { name: "Close the panel" }).click();
  await expect.poll(() => tab.wire.count()).toBe(0);
  const other = await open(`${films.url}?wire`);
  await expect.poll(() => other.wire.getByRole("heading", { name: "On the wire" }).count()).toBe(1);
});

test("a call shows its path, status, times and sizes", async ({ films, open }) => {
  const tab = await open(films.url);
  const wire = await openWire(tab);
  await choose(wire, "GetCatalog");
  const text = await wire.locator("wire-call").innerText();
  expect(text).toContain("GetCatalog OK");
  expect(text).toContain("POST /movie.catalog.v1.MovieCatalog/GetCatalog");
  expect(text).toContain("unary: one message in each direction");
  expect(text).toMatch(/Headers after\s+[\d.]+ ms/);
  expect(text).toMatch(/First message after\s+[\d.]+ ms/);
  expect(text).toMatch(/End after\s+[\d.]+ ms/);
  expect(text).toMatch(/Sent\s+5 bytes/);
  expect(text).toMatch(/Received\s+\d+ bytes, messages: 1/);
  expect(text).toContain("grpc-status 0");
  await wire.getByText("Metadata").click();
  const metadata = await wire.locator("wire-call table").allInnerTexts();
  expect(metadata[0]).toMatch(/content-type\s+application\/grpc-web\+proto/);
  expect(metadata[1]).toMatch(/content-type\s+application\/grpc-web/);
  expect(metadata[2]).toMatch(/grpc-status\s+0/);
});

test("the bytes are those that went over the wire, and each field is explained", async ({ films, open }) => {
  const tab = await open(films.url);
  const sent = tab.page.waitForRequest("**/GetMovie");
  await tab.page.goto(`${films.url}?film=tt0068646&wire`);
  const response = await (await sent).response();
  const body = await response!.body();
  await expect.poll(() => tab.title.textContent()).toBe("The Godfather");
  await choose(tab.wire, "GetMovie");
  expect(await bytesOf(tab.wire, "Request")).toBe((await sent).postDataBuffer()!.toString("hex"));
  const messageEnd = 5 + body.readUInt32BE(1);
  expect(await bytesOf(tab.wire, "Response")).toBe(body.subarray(0, messageEnd).toString("hex"));
  const request = tab.wire.getByRole("region", { name: "Request" });
  const response1 = tab.wire.getByRole("region", { name: "Response" });
  expect(await request.getByRole("treeitem").allInnerTexts()).toEqual([expect.stringMatching(/prefix\s+not compressed, 11 bytes follow/), expect.stringMatching(/1\s+id\s+string\s+"tt0068646"/)]);
  await request.getByRole("treeitem").nth(1).click();
  await expect.poll(() => request.locator("dl").innerText()).toMatch(/0a\s+tag: 1 << 3 \| 2: field 1, wire type 2[\s\S]*09\s+length: 9 bytes follow[\s\S]*text in UTF-8: "tt0068646"/);
  const year = response1.getByRole("treeitem", { name: /year/ });
  await year.click();
  await expect.poll(() => response1.locator("wire-message").first().locator("dl").innerText()).toContain("= 1972");
  const json = JSON.parse(await response1.locator("pre").first().innerText());
  expect(json).toMatchObject({ id: "tt0068646", title: "The Godfather", year: 1972 });
  const trailers = response1.locator("wire-message").nth(1);
  await trailers.getByText(/^Trailers: \d+ bytes$/).click();
  await expect.poll(() => bytesOf(tab.wire, "Response", 2)).toBe(body.subarray(messageEnd).toString("hex"));
  expect(await trailers.getByRole("treeitem", { name: /grpc-status/ }).innerText()).toContain("0");
});

test("a byte that is chosen marks its field, and the other way round", async ({ films, open }) => {
  const tab = await open(`${films.url}?film=tt0068646&wire`);
  await expect.poll(() => tab.title.textContent()).toBe("The Godfather");
  await choose(tab.wire, "GetMovie");
  const request = tab.wire.getByRole("region", { name: "Request" });
  await request.getByRole("gridcell").nth(8).click();
  await expect.poll(() => request.locator('[role=treeitem][aria-selected="true"]').innerText()).toContain("id");
  expect(await request.locator(".cell.selected").count()).toBe(11);
  await tab.press("Home");
  await expect.poll(() => request.locator('[role=treeitem][aria-selected="true"]').innerText()).toContain("prefix");
  expect(await request.locator(".cell.selected").count()).toBe(5);
});

test("an error shows its status, reason and details", async ({ films, open }) => {
  const tab = await open(`${films.url}?film=nothing`);
  const wire = await openWire(tab);
  await choose(wire, "GetMovie");
  const text = await wire.locator("wire-call").innerText();
  expect(text).toContain("NOT_FOUND");
  expect(text).toContain("grpc-status 5");
  expect(text).toMatch(/Reason\s+MOVIE_NOT_FOUND/);
  expect(text).toContain("google.rpc.ErrorInfo");
  expect(text).toContain('"domain": "movie-service"');
  expect(text).toContain("google.rpc.ResourceInfo");
});

test("a call that the page aborted, and a stream that runs, are told apart", async ({ films, open }) => {
  const tab = await open(films.url);
  const wire = await openWire(tab);
  const watch = wire.getByRole("option", { name: /^WatchMovies/ });
  await expect.poll(() => watch.textContent()).toContain("running");
  await tab.page.route("**/SearchMovies", () => new Promise(() => {}));
  await tab.search.focus();
  await tab.press("a", "b");
  await expect.poll(() => wire.getByRole("option").nth(1).textContent()).toMatch(/SearchMovies.*cancelled by the page/s);
});

test("the messages of a stream are shown as they arrive", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.sqlite("films.db", DOZEN), args: ["--allow-anonymous-writes"] });
  const tab = await open(service.url);
  await expect.poll(() => tab.light.textContent()).toContain("Live");
  const wire = await openWire(tab);
  await choose(wire, "WatchMovies");
  expect(await wire.locator("wire-call").innerText()).toContain("server streaming");
  await service.change("film-1", { title: "Film 1 over the wire" });
  const second = wire.getByRole("region", { name: "Response" }).locator("wire-message").nth(1);
  await second.locator("summary").click();
  await expect.poll(async () => JSON.parse(await second.locator("pre").innerText())).toMatchObject({ upserted: { title: "Film 1 over the wire" } });
});

const CLIPBOARD = { permissions: ["clipboard-read", "clipboard-write"] };

test("the same call as curl can be copied, and runs", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=it's+%22godfather%22+100%25+%26c&genre=Drama&wire`, CLIPBOARD);
  await choose(tab.wire, "SearchMovies");
  await tab.wire.getByRole("button", { name: "curl", exact: true }).click();
  await tab.wire.getByRole("button", { name: "Copy", exact: true }).click();
  await expect.poll(() => tab.wire.getByRole("button", { name: "Copied" }).count()).toBe(1);
  const command = await tab.page.evaluate(() => navigator.clipboard.readText());
  expect(command).toMatch(/^curl /);
  const { hits, totalSize, facets } = await shell(command);
  expect(`${totalSize} films`).toBe(await tab.count.textContent());
  expect(hits.length).toBeGreaterThan(0);
  expect(facets.length).toBe(4);
});

test("a change as curl runs, too, with the token of the environment", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.sqlite("films.db", DOZEN), args: ["--allow-anonymous-writes"] });
  const tab = await open(`${service.url}?film=film-1&edit&wire`, CLIPBOARD);
  await tab.sheet.getByRole("textbox", { name: "Overview" }).fill(`It's "so" good: $HOME \`id\` \\ !\nTwo lines.`);
  await tab.sheet.getByRole("button", { name: "Save" }).click();
  await expect.poll(() => tab.title.textContent()).toBe("Film 1");
  const { overview } = await service.movie("film-1");
  await choose(tab.wire, "UpdateMovie");
  const command = await tab.wire.locator("wire-code pre").innerText();
  await service.change("film-1", { overview: "Changed elsewhere" });
  // The etag is of the version before.
  const refused = await shell(command);
  expect(refused.error.details[0].reason).toBe("ETAG_STALE");
  const { etag } = await service.movie("film-1");
  const stale = /"etag":"(\\"[0-9a-f]+\\")"/.exec(command)![1]!;
  await shell(command.replace(stale, etag.replaceAll('"', '\\"')));
  expect((await service.movie("film-1")).overview).toBe(overview);
});

test.for([
  ["grpcurl", /^grpcurl [\s\S]*-plaintext[\s\S]*movie\.catalog\.v1\.MovieCatalog\/SearchMovies$/],
  ["Python", /import grpc[\s\S]*SearchMovies/],
  ["Rust", /search_movies/],
] as const)("the same call is shown as %s", async ([language, pattern], { films, open }) => {
  const tab = await open(`${films.url}?q=alien&wire`);
  await choose(tab.wire, "SearchMovies");
  await tab.wire.getByRole("button", { name: language, exact: true }).click();
  await expect.poll(() => tab.wire.locator("wire-code pre").innerText()).toMatch(pattern);
  expect(await tab.wire.locator("wire-code pre").innerText()).toContain("alien");
});

test("the calls of the course can be made with a button each", async ({ serve, open }) => {
  const service = await serve({ database: MOVIES });
  const tab = await open(`${service.url}?wire`);
  const { wire } = tab;
  await wire.getByText("The calls of the course").click();
  for (const name of ["channel", "stub", "servicer"]) {
    expect(await wire.locator("wire-course").getByRole("term").getByText(name, { exact: true }).count()).toBe(1);
  }
  const result = wire.getByRole("status");
  await wire.getByRole("button", { name: "GetMovieByID" }).click();
  await expect.poll(() => result.textContent()).toBe('title: "The Martian"');
  expect(await wire.locator("wire-call").innerText()).toContain("POST /Movie/GetMovieByID");
  const id = Buffer.from(MARTIAN).toString("hex");
  expect(await bytesOf(wire, "Request")).toBe(`00000000260a24${id}`);
  await wire.getByRole("button", { name: "GetListMovies" }).click();
  await expect.poll(() => result.textContent()).toBe("Messages in the stream: 7");
  await expect.poll(() => wire.getByRole("region", { name: "Response" }).locator("wire-message").count()).toBe(8);
  await wire.getByRole("textbox", { name: "id of the movie" }).fill("nobody");
  await wire.getByRole("button", { name: "GetMovieByID" }).click();
  await expect.poll(() => result.textContent()).toContain("An empty MovieData");
});

test("the list of calls can be cleared, and walked through with the arrow keys", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=alien&wire`);
  const options = tab.wire.getByRole("option");
  await options.first().click();
  await tab.press("ArrowDown");
  await expect.poll(() => options.nth(1).getAttribute("aria-selected")).toBe("true");
  const [, method] = /^\s*(\w+)/.exec((await options.nth(1).textContent())!)!;
  await expect.poll(() => tab.wire.locator("wire-call h3").first().textContent()).toContain(method);
  await tab.wire.getByRole("button", { name: "Clear the list" }).click();
  await expect.poll(() => options.count()).toBe(0);
  expect(await tab.wire.getByText("No call yet.").count()).toBe(1);
});

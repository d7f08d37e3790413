import { renameSync, rmSync } from "node:fs";
import { MovieCatalog } from "../../src/gen/movie/catalog/v1/catalog_pb";
import { CONNECTION_ERROR, type Tab } from "./support/browser";
import { DOZEN } from "./support/films";
import { Proxy } from "./support/proxy";
import type { Folder, Service } from "./support/service";
import { expect, test } from "./support/test";

const { watchMovies, listMovies } = MovieCatalog.method;
const WRITABLE = ["--allow-anonymous-writes"];

/** Waits until the light says this. */
const becomes = (tab: Tab, state: string) => expect.poll(() => tab.light.textContent()).toContain(state);

const said = (tab: Tab) => tab.page.locator("page-notices").getByRole("status").textContent();

async function openLive(open: (url: string) => Promise<Tab>, url: string): Promise<Tab> {
  const tab = await open(url);
  await becomes(tab, "Live");
  return tab;
}

const writable = (folder: Folder) => ({ database: folder.sqlite("films.db", DOZEN), args: WRITABLE });

test("a film that changes elsewhere flashes, and its card is updated in place", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await openLive(open, service.url);
  tab.calls.clear();
  const card = tab.page.locator("film-list li", { hasText: "Film 4" });
  expect(await card.getAttribute("class")).not.toContain("flash");
  await service.change("film-4", { title: "Film 4, restored", rating: 9.5 });
  await expect.poll(() => card.getAttribute("class")).toContain("flash");
  expect(await card.innerText()).toContain("Film 4, restored");
  expect(await card.innerText()).toContain("9.5");
  expect(await card.getAttribute("aria-posinset")).toBe("4");
  await expect.poll(() => said(tab)).toBe("Film 4, restored was changed.");
  expect(tab.calls.sent(listMovies)).toEqual([]);
});

test("a shown film that changes elsewhere flashes, and is updated in place", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await openLive(open, `${service.url}?film=film-4`);
  await service.change("film-4", { overview: "Now with an overview." });
  await expect.poll(() => tab.sheet.getByText("Now with an overview.").count()).toBe(1);
  await expect.poll(() => tab.sheet.locator(".changed").count()).toBe(1);
});

test("a film that is deleted elsewhere leaves the list, and is not shown as if it were there", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await openLive(open, `${service.url}?film=film-4`);
  await service.json("DELETE", "v1/movies/film-4");
  await expect.poll(() => tab.sheet.getByRole("alert").textContent()).toContain("This film has just been deleted.");
  expect(await tab.film("Film 4").count()).toBe(0);
  expect(await tab.count.textContent()).toBe("11 films");
});

test("films that are added elsewhere are counted, and shown at a press", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await openLive(open, service.url);
  await service.json("POST", "v1/movies", { id: "new", title: "Film 13" });
  await service.json("POST", "v1/movies", { id: "newer", title: "Film 14" });
  await tab.button("2 more changes: show").click();
  await expect.poll(() => tab.count.textContent()).toBe("14 films");
  expect(await tab.film("Film 14").count()).toBe(1);
  expect(await tab.button(/more change/).count()).toBe(0);
});

test("a service that stops is said, and when it returns, the page goes on by itself", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await openLive(open, service.url);
  tab.expect(CONNECTION_ERROR);
  await service.stop();
  await becomes(tab, "Connection lost");
  await expect.poll(() => said(tab)).toBe("The connection was lost. It is tried again by itself.");
  expect(await tab.films.count()).toBe(12);
  await tab.search.fill("film 7");
  await expect.poll(() => tab.page.getByRole("main").getByRole("alert").textContent()).toContain("The service cannot be reached.");
  await service.start();
  await becomes(tab, "Live");
  await expect.poll(() => tab.films.first().textContent()).toContain("Film 7");
  expect(await tab.page.getByRole("main").getByRole("alert").count()).toBe(0);
  await service.change("film-7", { title: "Film 7, after the return" });
  await expect.poll(() => tab.films.first().textContent()).toContain("Film 7, after the return");
});

test("changes that are made while the connection is cut arrive when it is back", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const proxy = await Proxy.start({ target: service.url });
  const tab = await openLive(open, proxy.url);
  tab.expect(CONNECTION_ERROR);
  tab.calls.clear();
  await proxy.stop();
  await becomes(tab, "Connection lost");
  await service.change("film-2", { title: "Film 2, changed meanwhile" });
  await service.json("DELETE", "v1/movies/film-3");
  const again = await Proxy.start({ target: service.url, port: Number(new URL(tab.page.url()).port) });
  try {
    await becomes(tab, "Live");
    await expect.poll(() => tab.film("Film 2, changed meanwhile").count()).toBe(1);
    await expect.poll(() => tab.film("Film 3").count()).toBe(0);
    // The watch was resumed: nothing had to be read again.
    expect(tab.calls.sent(watchMovies).map(({ start }) => start.case)).not.toContain(undefined);
    expect(tab.calls.sent(listMovies)).toEqual([]);
  } finally {
    await tab.page.close();
    await again.stop();
  }
});

/** Puts another database in the place of the one of a stopped service. */
function replaceDatabase(folder: Folder): void {
  folder.sqlite("other.db", [{ id: "film-1", title: "Film 1 of another history" }]);
  for (const suffix of ["-wal", "-shm", ""]) {
    rmSync(folder.file(`films.db${suffix}`), { force: true });
    try {
      renameSync(folder.file(`other.db${suffix}`), folder.file(`films.db${suffix}`));
    } catch {
      // Not every database has all files.
    }
  }
}

test("a catalogue that was replaced while the service was stopped is read again", async ({ folder, serve, open }) => {
  const service: Service = await serve(writable(folder));
  const tab = await openLive(open, `${service.url}?film=film-1`);
  tab.expect(CONNECTION_ERROR);
  await service.stop();
  await becomes(tab, "Connection lost");
  replaceDatabase(folder);
  await service.start();
  await becomes(tab, "Live");
  await expect.poll(() => tab.count.textContent()).toBe("1 film");
  expect(await tab.films.first().textContent()).toContain("Film 1 of another history");
  await expect.poll(() => tab.title.textContent()).toBe("Film 1 of another history");
});

import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CatalogSchema, type Movie, MovieSchema } from "../../src/gen/movie/catalog/v1/catalog_pb";
import { CatalogInfo } from "../../src/state/catalog";
import { App } from "../../src/state/app";
import type { CatalogStub } from "../../src/service/calls";
import { Editor } from "../../src/state/editor";
import { Notices } from "../../src/state/notices";

const movie = (id: string, etag = "1"): Movie => create(MovieSchema, { id, title: `Film ${id}`, etag });

let app: App;

/** Shows the form of a film. */
function edit(id: string, version = movie(id)): Editor {
  app.film.id = id;
  app.film.movie = version;
  app.navigation.state = { ...app.navigation.state, film: id, edit: true };
  return app.openEditor()!;
}

beforeEach(() => {
  vi.stubGlobal("location", { search: "" });
  vi.stubGlobal("history", { state: null, pushState: vi.fn(), replaceState: vi.fn() });
  vi.stubGlobal("scrollY", 0);
  vi.stubGlobal("addEventListener", vi.fn());
  vi.stubGlobal("document", { baseURI: "http://localhost/" });
  vi.stubGlobal("fetch", () => new Promise(() => {}));
  app = new App();
  app.catalog.catalog = create(CatalogSchema, { canWrite: true });
});

afterEach(() => void vi.unstubAllGlobals());

describe("the forms", () => {
  test("are dropped when they are left without changes, and kept with their texts else", () => {
    const first = edit("a");
    first.type("title", "Mine");
    const second = edit("b");
    expect([edit("a"), edit("b") === second]).toEqual([first, false]);
  });

  test("show the film as it is now, as long as nothing is typed", () => {
    const before = edit("a");
    const after = edit("a", movie("a", "2"));
    expect([after === before, after.movie!.etag]).toEqual([false, "2"]);
    after.type("title", "Mine");
    expect(edit("a", movie("a", "3"))).toBe(after);
  });

  test("of a film that was saved later leave other forms alone", () => {
    const first = edit("a");
    first.type("title", "Mine");
    const second = edit("b");
    second.type("title", "Also mine");
    app.saved(movie("a", "2"), first);
    expect([...app.editors]).toEqual([["b", second]]);
    expect([app.navigation.state.film, app.navigation.state.edit]).toEqual(["b", true]);
  });

  test("of a film that this page deletes are dropped", async () => {
    edit("a").type("title", "Mine");
    vi.spyOn(app.stub, "deleteMovie").mockResolvedValue({} as never);
    await app.delete(movie("a"));
    expect(app.editors.size).toBe(0);
  });
});

test("the best film is shown once it is found, and only of the query that was asked for", () => {
  const found = () => {
    app.list.loading = false;
    app.showBest();
  };
  app.showBest();
  app.list.rows = [{ movie: movie("a"), highlights: [] }];
  app.navigation.state = { ...app.navigation.state, words: "other" };
  found();
  expect(app.navigation.state.film).toBe("");
  found();
  expect(app.navigation.state.film).toBe("a");
});

test("a load of the catalogue ends the one before", async () => {
  const responses: ((_: { movieCount: number }) => void)[] = [];
  const getCatalog = () => new Promise((resolve) => responses.push(resolve));
  const info = new CatalogInfo({ getCatalog } as unknown as CatalogStub, async () => true);
  const loads = [info.load(), info.load()];
  responses[1]!({ movieCount: 2 });
  responses[0]!({ movieCount: 1 });
  await Promise.all(loads);
  expect(info.catalog?.movieCount).toBe(2);
});

test("an error stays until it is dismissed, however many messages follow", () => {
  vi.useFakeTimers();
  const notices = new Notices();
  for (let at = 0; at < 6; at++) notices.show("error", `Error ${at}`);
  notices.show("done", "Done");
  vi.runAllTimers();
  expect(notices.notices.map(({ text }) => text)).toEqual(Array.from({ length: 6 }, (_, at) => `Error ${at}`));
  vi.useRealTimers();
});

test("another caller sees nothing of what the one before could see", () => {
  app.list.rows = [{ movie: movie("a"), highlights: [] }];
  app.film.id = "a";
  app.film.movie = movie("a");
  vi.stubGlobal("document", { baseURI: "http://localhost/", addEventListener: vi.fn(), hidden: true });
  vi.stubGlobal("navigator", { languages: ["en"] });
  app.navigation.state = { ...app.navigation.state, film: "a" };
  app.start();
  app.session.token = "other";
  expect([app.catalog.catalog, app.list.rows, app.film.movie]).toEqual([undefined, [], undefined]);
});

test("the catalogue is read again only if it is older than the watch", () => {
  const load = vi.spyOn(app.catalog, "load").mockResolvedValue();
  app.catalog.catalog = create(CatalogSchema, { revision: 4n });
  app["startedAnew"](4n, false);
  expect(load).not.toHaveBeenCalled();
  app["startedAnew"](5n, false);
  expect(load).toHaveBeenCalledTimes(1);
});

test("an own save that the watch tells of is no news, and a deletion that the list does not show is counted", () => {
  const say = vi.spyOn(app.notices, "say");
  app.list.rows = [{ movie: movie("a"), highlights: [] }];
  app.list.total = 3;
  app.film.id = "a";
  app.film.movie = movie("a");
  app["upserted"](movie("a"));
  expect(say).not.toHaveBeenCalled();
  app["removed"]("z");
  app["removed"]("z");
  expect(app.missed).toBe(1);
});

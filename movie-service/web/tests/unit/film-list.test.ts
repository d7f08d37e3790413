import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { MovieSchema } from "../../src/gen/movie/catalog/v1/catalog_pb";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb";
import type { CatalogStub } from "../../src/service/calls";
import { FilmList } from "../../src/state/film-list";
import { EMPTY_QUERY } from "../../src/state/url";

const error = (code: Code, reason: string) => new ConnectError("no", code, undefined, [{ desc: ErrorInfoSchema, value: { reason } }]);

/** A catalogue of numbered films, whose calls can be made to fail. */
class FakeCatalog {
  failure: Error | undefined;
  readonly calls: { method: string; request: Record<string, unknown>; signal: AbortSignal }[] = [];

  constructor(
    readonly size: number,
    private readonly searchLimit = 1000,
  ) {}

  private answer(method: string, request: Record<string, unknown>, signal: AbortSignal, limit: number) {
    this.calls.push({ method, request, signal });
    if (this.failure) throw this.failure;
    const from = Number(request.pageToken || 0);
    const to = Math.min(from + (request.pageSize as number), this.size, limit);
    const prefix = request.query ? `${request.query} ` : "";
    const movies = Array.from({ length: to - from }, (_, at) => create(MovieSchema, { id: `m${from + at}`, title: `${prefix}Film ${from + at}`, etag: "1" }));
    return { movies, nextPageToken: to < Math.min(this.size, limit) ? String(to) : "", totalSize: this.size };
  }

  readonly stub = {
    listMovies: async (request: Record<string, unknown>, { signal }: { signal: AbortSignal }) => this.answer("list", request, signal, Infinity),
    searchMovies: async (request: Record<string, unknown>, { signal }: { signal: AbortSignal }) => {
      const { movies, ...rest } = this.answer("search", request, signal, this.searchLimit);
      return { hits: movies.map((movie) => ({ movie, highlights: [] })), facets: [{ field: "genres", values: [] }], revision: 7n, ...rest };
    },
  } as unknown as CatalogStub;
}

const words = (text: string) => ({ ...EMPTY_QUERY, words: text });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("the list", () => {
  test("without words has all films, by the listing, and the facets of a search", async () => {
    const catalog = new FakeCatalog(17_470);
    const list = new FilmList(catalog.stub);
    await list.show(EMPTY_QUERY);
    await vi.runAllTimersAsync();
    expect([list.rows.length, list.total, list.reachable]).toEqual([48, 17_470, 17_470]);
    expect([list.facets.length, list.revision]).toEqual([1, 7n]);
    list.need(17_469);
    await vi.runAllTimersAsync();
    expect([list.rows.length, list.rows.at(-1)!.movie.id]).toEqual([17_470, "m17469"]);
    expect(catalog.calls.filter(({ method }) => method === "search")).toHaveLength(1);
    expect(catalog.calls.filter(({ method }) => method === "list").length).toBeLessThan(80);
  });

  test("gets no more pages than are needed", async () => {
    const catalog = new FakeCatalog(17_470);
    const list = new FilmList(catalog.stub);
    await list.show(EMPTY_QUERY);
    const { length } = catalog.calls;
    list.need(40);
    await vi.runAllTimersAsync();
    expect(catalog.calls).toHaveLength(length);
    list.need(50);
    await vi.runAllTimersAsync();
    expect([catalog.calls.length, list.rows.length]).toEqual([length + 1, 148]);
  });

  test("of a search ends after 1,000 films, and says how many there are", async () => {
    const list = new FilmList(new FakeCatalog(5000).stub);
    await list.show(words("a"));
    expect([list.total, list.reachable, list.hasMatches]).toEqual([5000, 1000, true]);
    list.need(4999);
    await vi.runAllTimersAsync();
    expect([list.rows.length, list.reachable]).toEqual([1000, 1000]);
  });

  test("of 1,000,000 films can be scrolled as far as browsers can", async () => {
    const list = new FilmList(new FakeCatalog(1_000_000).stub);
    await list.show(EMPTY_QUERY);
    expect([list.total, list.reachable]).toEqual([1_000_000, 50_000]);
  });

  test("aborts the call before, whose films are not shown", async () => {
    const catalog = new FakeCatalog(10);
    const list = new FilmList(catalog.stub);
    const first = list.show(words("a"));
    const second = list.show(words("al"));
    await Promise.all([first, second]);
    expect(catalog.calls.map(({ request, signal }) => [request.query, signal.aborted])).toEqual([["a", true], ["al", false]]);
    expect([list.query.words, list.loading, list.rows[0]!.movie.title]).toEqual(["al", false, "al Film 0"]);
  });

  test("keeps its films while a search fails, and tries again", async () => {
    const catalog = new FakeCatalog(10);
    const list = new FilmList(catalog.stub);
    await list.show(EMPTY_QUERY);
    catalog.failure = error(Code.ResourceExhausted, "SERVICE_BUSY");
    await list.show(words("a"));
    expect([list.problem?.reason, list.rows.length, list.loading]).toEqual(["SERVICE_BUSY", 10, false]);
    catalog.failure = undefined;
    list.retry();
    await vi.runAllTimersAsync();
    expect([list.problem, catalog.calls.at(-1)!.request.query]).toEqual([undefined, "a"]);
  });

  test("tries the first page of a query again after those of another one, and not a further page", async () => {
    const catalog = new FakeCatalog(500);
    const list = new FilmList(catalog.stub);
    await list.show(EMPTY_QUERY);
    catalog.failure = error(Code.ResourceExhausted, "SERVICE_BUSY");
    await list.show(words("a"));
    catalog.failure = undefined;
    list.need(400);
    list.retry();
    await vi.runAllTimersAsync();
    expect([catalog.calls.at(-1)!.request.pageToken, list.rows[0]!.movie.title]).toEqual(["", "a Film 0"]);
  });

  test("counts again if the counts failed, and keeps its films", async () => {
    const catalog = new FakeCatalog(500);
    const list = new FilmList(catalog.stub);
    const { searchMovies } = catalog.stub;
    catalog.stub.searchMovies = vi.fn().mockRejectedValueOnce(error(Code.ResourceExhausted, "SERVICE_BUSY")).mockImplementation(searchMovies);
    await list.show(EMPTY_QUERY);
    await vi.runAllTimersAsync();
    expect([list.problem?.reason, list.rows.length, list.facets.length]).toEqual(["SERVICE_BUSY", 48, 0]);
    list.retry();
    await vi.runAllTimersAsync();
    expect([list.problem, list.rows.length, list.facets.length]).toEqual([undefined, 48, 1]);
    expect(catalog.calls.filter(({ method }) => method === "list")).toHaveLength(1);
  });

  test("applies changes to the pages that arrive after them", async () => {
    const list = new FilmList(new FakeCatalog(500).stub);
    const shown = list.show(EMPTY_QUERY);
    list.replace(create(MovieSchema, { id: "m1", title: "New", etag: "2" }));
    list.remove("m2");
    await shown;
    expect(list.rows.slice(0, 3).map(({ movie }) => movie.title)).toEqual(["Film 0", "New", "Film 3"]);
    expect([list.total, list.isDeleted("m2"), list.isDeleted("m1")]).toEqual([499, true, false]);
    expect(list.replace(create(MovieSchema, { id: "m60", title: "Newer", etag: "2" }))).toBe(false);
    list.remove("m61");
    list.need(498);
    await vi.runAllTimersAsync();
    expect([list.rows.length, list.total, list.reachable, list.position("m61")]).toEqual([498, 498, 498, -1]);
    expect(list.rows[list.position("m60")]!.movie.title).toBe("Newer");
  });

  test("tries a page again without losing those before, and starts anew if its token has expired", async () => {
    const catalog = new FakeCatalog(500);
    const list = new FilmList(catalog.stub);
    await list.show(EMPTY_QUERY);
    catalog.failure = new ConnectError("cut", Code.Unavailable);
    list.need(100);
    await vi.runAllTimersAsync();
    expect([list.problem?.reason, list.rows.length]).toEqual(["UNREACHABLE", 48]);
    catalog.failure = undefined;
    list.retry();
    await vi.runAllTimersAsync();
    expect([list.problem, list.rows.length]).toEqual([undefined, 148]);
    catalog.failure = error(Code.OutOfRange, "PAGE_TOKEN_EXPIRED");
    list.need(300);
    await vi.advanceTimersByTimeAsync(0);
    expect(catalog.calls.at(-1)!.request.pageToken).toBe("");
  });

  test("of a service without search compares titles", async () => {
    const catalog = new FakeCatalog(10);
    catalog.stub.searchMovies = async () => {
      throw error(Code.Unimplemented, "SEARCH_OFF");
    };
    const list = new FilmList(catalog.stub);
    await list.show(words(" ali "));
    expect([list.searchIsOff, list.problem, list.rows.length]).toEqual([true, undefined, 10]);
    expect(catalog.calls.at(-1)!.request.filter).toMatchObject({ titlePrefix: "ali" });
  });

  test("changes a film in place, which flashes, and takes out a deleted one", async () => {
    const list = new FilmList(new FakeCatalog(3).stub);
    await list.show(EMPTY_QUERY);
    expect(list.replace(create(MovieSchema, { id: "m1", title: "New", etag: "2" }))).toBe(true);
    expect([list.rows[1]!.movie.title, list.flashes.get("m1")]).toEqual(["New", 1]);
    expect(list.replace(create(MovieSchema, { id: "m1", title: "New", etag: "2" }))).toBe(true);
    expect(list.flashes.get("m1")).toBe(1);
    expect(list.replace(create(MovieSchema, { id: "other" }))).toBe(false);
    expect(list.remove("m0")).toBe("Film 0");
    expect(list.remove("m0")).toBeUndefined();
    expect([list.rows.map(({ movie }) => movie.id), list.total, list.position("m2")]).toEqual([["m1", "m2"], 2, 1]);
    const changed = vi.fn();
    list.addEventListener("change", changed);
    await vi.advanceTimersByTimeAsync(2000);
    list.replace(create(MovieSchema, { id: "m1", title: "Newer", etag: "3" }));
    await vi.advanceTimersByTimeAsync(2000);
    expect([list.flashes.get("m1"), changed.mock.calls.length]).toEqual([2, 1]);
    await vi.advanceTimersByTimeAsync(1000);
    expect([list.flashes.size, changed.mock.calls.length]).toEqual([0, 2]);
  });
});

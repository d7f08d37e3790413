import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test, vi } from "vitest";
import { type Movie, MovieSchema } from "../../src/gen/movie/catalog/v1/catalog_pb";
import { BadRequestSchema, ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb";
import type { CatalogStub } from "../../src/service/calls";
import { changedFields, draftOf, FIELD_NAMES, malformedFields, movieOf } from "../../src/state/draft";
import { Editor, requestId } from "../../src/state/editor";

const movie = (fields: MessageInitShape<typeof MovieSchema>): Movie => create(MovieSchema, { id: "m", etag: '"1"', ...fields });

const ALIEN = movie({
  title: "Alien",
  year: 1979,
  rating: 8.5,
  ratingCount: 12n,
  genres: ["Horror", "Sci-Fi"],
  countries: ["Korea, South"],
  cast: ["John Hurt", "Ian Holm"],
});

const error = (code: Code, reason: string, violations: { field: string; description: string }[] = []) =>
  new ConnectError("no", code, undefined, [
    { desc: ErrorInfoSchema, value: { reason } },
    ...(violations.length ? [{ desc: BadRequestSchema, value: { fieldViolations: violations } }] : []),
  ]);

/** A stub whose methods are given, and fail the test if they are not. */
const stub = (methods: Record<string, unknown>) => methods as unknown as CatalogStub;

describe("a draft", () => {
  test("gives back the values of its film", () => {
    expect(movieOf(draftOf(ALIEN), FIELD_NAMES)).toEqual(Object.fromEntries(FIELD_NAMES.map((field) => [field, ALIEN[field]])));
  });

  test("of an unrated film has no rating, and an emptied rating is taken away", () => {
    expect(draftOf(movie({ title: "x" })).rating).toBe("");
    expect(movieOf({ ...draftOf(ALIEN), rating: " " }, ["rating"])).toEqual({ rating: undefined });
  });

  test("takes a comma for a decimal point, and names without what is around them", () => {
    const draft = { ...draftOf(), rating: "7,5", genres: " Drama ,, War ", cast: "A\n\n B, Jr. \n" };
    expect(movieOf(draft, ["rating", "genres", "cast"])).toEqual({ rating: 7.5, genres: ["Drama", "War"], cast: ["A", "B, Jr."] });
  });

  test("names what is no number", () => {
    expect(malformedFields({ ...draftOf(), year: "MCM", runtimeMinutes: "1.5", rating: "good", ratingCount: "-" })).toEqual(["year", "runtimeMinutes", "rating", "ratingCount"]);
    expect(malformedFields({ ...draftOf(), year: "1234567890", ratingCount: "1234567890" })).toEqual(["year"]);
    expect(malformedFields(draftOf(ALIEN))).toEqual([]);
  });

  test("differs from another one in the fields whose texts differ", () => {
    const draft = draftOf(ALIEN);
    expect(changedFields(draft, { ...draft, title: "Alien ", year: "1980" })).toEqual(["year"]);
  });
});

describe("an editor", () => {
  test("sends only the changed fields, with the etag", async () => {
    const updateMovie = vi.fn().mockResolvedValue(ALIEN);
    const editor = new Editor(stub({ updateMovie }), ALIEN);
    editor.type("posterUri", "https://posters.example/a");
    editor.type("year", "");
    expect(await editor.submit()).toEqual({ saved: ALIEN });
    expect(updateMovie.mock.calls).toEqual([
      [{ movie: { id: "m", etag: '"1"', year: 0, posterUri: "https://posters.example/a" }, updateMask: { paths: ["year", "poster_uri"] } }],
    ]);
  });

  test("calls nothing if nothing was changed", async () => {
    expect(await new Editor(stub({}), ALIEN).submit()).toBe("unchanged");
  });

  test("asks the service even if a text is no number, in a way that it refuses with all other violations", async () => {
    const violations = [{ field: "title", description: "expected 1 to 1000 characters" }, { field: "year", description: "expected 1870 to 2200" }];
    const updateMovie = vi.fn().mockRejectedValue(error(Code.InvalidArgument, "INVALID_FIELDS", violations));
    const editor = new Editor(stub({ updateMovie }), ALIEN);
    editor.type("year", "soon");
    editor.type("title", " ");
    expect(await editor.submit()).toBe("failed");
    expect([...editor.violations].sort()).toEqual([["title", "expected 1 to 1000 characters"], ["year", undefined]]);
    expect(updateMovie.mock.calls[0]![0].movie).toMatchObject({ title: "", year: -1 });
    editor.type("title", "Alien");
    editor.type("year", "1979");
    expect(editor.violations.size).toBe(0);
  });

  test("shows all violations at their fields at once, and those without a field as well", async () => {
    const violations = [
      { field: "title", description: "too long" },
      { field: "poster_uri", description: "no URI" },
      { field: "id", description: "taken" },
    ];
    const createMovie = vi.fn().mockRejectedValueOnce(error(Code.InvalidArgument, "INVALID_FIELDS", violations));
    const editor = new Editor(stub({ createMovie }));
    expect(await editor.submit()).toBe("failed");
    expect([...editor.violations]).toEqual([["title", "too long"], ["posterUri", "no URI"], ["id", "taken"]]);
    expect(editor.problem).toBeUndefined();
    createMovie.mockRejectedValueOnce(error(Code.InvalidArgument, "INVALID_FIELDS", [{ field: "request_id", description: "odd" }]));
    await editor.submit();
    expect(editor.problem?.reason).toBe("INVALID_FIELDS");
  });

  test("repeats a submit with the same request id, until an earlier one is known to have made its film", async () => {
    const createMovie = vi.fn().mockRejectedValueOnce(error(Code.Unavailable, "OUTCOME_UNKNOWN"));
    createMovie.mockRejectedValue(error(Code.InvalidArgument, "REQUEST_ID_REUSED"));
    const editor = new Editor(stub({ createMovie }));
    editor.type("title", "Solaris");
    await editor.submit();
    editor.type("title", "Stalker");
    await editor.submit();
    await editor.submit();
    const [first, second, third] = createMovie.mock.calls.map(([request]) => request.requestId as string);
    expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
  });

  test("sends one call for two submits at a time", async () => {
    let answer = (_: Movie) => {};
    const createMovie = vi.fn().mockReturnValue(new Promise<Movie>((resolve) => (answer = resolve)));
    const editor = new Editor(stub({ createMovie }));
    editor.type("title", "Alien");
    const submits = [editor.submit(), editor.submit()];
    answer(ALIEN);
    expect(await Promise.all(submits)).toEqual([{ saved: ALIEN }, "failed"]);
    expect(createMovie).toHaveBeenCalledTimes(1);
  });

  test("has both versions of a conflict, and saves the chosen fields with the new etag", async () => {
    const theirs = movie({ ...ALIEN, title: "Alien (1979)", rating: 9, etag: '"2"' });
    const updateMovie = vi.fn().mockRejectedValueOnce(error(Code.Aborted, "ETAG_STALE")).mockResolvedValueOnce(theirs);
    const editor = new Editor(stub({ updateMovie, getMovie: vi.fn().mockResolvedValue(theirs) }), ALIEN);
    editor.type("title", "Alien!");
    editor.type("year", "1980");
    expect(await editor.submit()).toBe("failed");
    expect(editor.conflict).toEqual({ theirs, fields: ["title", "year", "rating"] });
    expect(editor.changedFields).toEqual(["title", "year"]);
    expect(await editor.settle(new Set(["year"]))).toEqual({ saved: theirs });
    expect(updateMovie.mock.calls[1]).toEqual([{ movie: { id: "m", etag: '"2"', year: 1980 }, updateMask: { paths: ["year"] } }]);
    expect(editor.conflict).toBeUndefined();
  });
});

test("request ids are random", () => {
  expect(new Set(Array.from({ length: 100 }, requestId)).size).toBe(100);
});

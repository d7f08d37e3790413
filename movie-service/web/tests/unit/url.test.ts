import { describe, expect, test } from "vitest";
import { EMPTY_STATE, formatState, type PageState, parseState, sameQuery } from "../../src/state/url";

const FULL: PageState = {
  words: "sevn & samurai=1 #",
  genres: ["Drama", "Sci-Fi"],
  decades: [1950, 1990],
  countries: ["Côte d'Ivoire"],
  languages: ["日本語"],
  rating: 7.5,
  sort: "newest",
  film: "a/b?c d",
  edit: true,
  wire: true,
  lang: "fr",
};

describe("the address", () => {
  test("of the empty state has no parameters, and works under a sub-path", () => {
    expect(formatState(EMPTY_STATE)).toBe("./");
  });

  test("of any state is read back as it was written", () => {
    expect(parseState(formatState(FULL).slice(2))).toEqual(FULL);
  });

  test.each(["", "?", "?unknown=1", "?sort=odd", "?rating=11", "?rating=-1", "?rating=x", "?decade=1995", "?decade=x", "?lang=de", "?genre="])(
    "%s, with nothing valid in it, is the empty state",
    (search) => {
      expect(parseState(search)).toEqual(EMPTY_STATE);
    },
  );

  test("keeps valid parameters beside invalid ones, and each value once", () => {
    expect(parseState("?genre=Drama&genre=Drama&decade=1995&decade=1990&rating=99")).toEqual({
      ...EMPTY_STATE,
      genres: ["Drama"],
      decades: [1990],
    });
  });

  test("has at most 1,000 characters of words, none of them cut in half", () => {
    const { words } = parseState(`?q=${encodeURIComponent("🎬".repeat(1001))}`);
    expect([...words]).toHaveLength(1000);
    expect(words.isWellFormed()).toBe(true);
  });
});

test("queries are the same if they have the same films", () => {
  expect(sameQuery(FULL, { ...FULL, film: "other" } as PageState)).toBe(true);
  expect(sameQuery(FULL, { ...FULL, words: ` ${FULL.words} ` })).toBe(true);
  expect(sameQuery(FULL, { ...FULL, sort: "title" })).toBe(false);
  expect(sameQuery(FULL, { ...FULL, decades: [1950] })).toBe(false);
});

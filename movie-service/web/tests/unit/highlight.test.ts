import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { HighlightSchema, MovieSchema } from "../../src/gen/movie/catalog/v1/catalog_pb";
import { hiddenMatch, partsOf, split } from "../../src/state/highlight";

/** Writes the parts as one text, with the parts that match in brackets. */
const shown = (text: string, ...ranges: [start: number, end: number][]) =>
  split(text, ranges.map(([start, end]) => ({ start, end })))
    .map(({ text, matches }) => (matches ? `[${text}]` : text))
    .join("");

describe("ranges in bytes of UTF-8", () => {
  test.each([
    ["Seven Samurai", [[0, 5], [6, 13]], "[Seven] [Samurai]"],
    ["Amélie", [[0, 4]], "[Amé]lie"],
    ["七人の侍", [[3, 6]], "七[人]の侍"],
    ["🎬 Film 🎬", [[5, 9]], "🎬 [Film] 🎬"],
    ["e\u0301clair", [[0, 3]], "[e\u0301]clair"],
    ["\ufeffBOM", [[3, 6]], "\ufeff[BOM]"],
    ["שלום", [[0, 8]], "[שלום]"],
  ] as [string, [number, number][], string][])("of %s are those of its characters", (text, ranges, expected) => {
    expect(shown(text, ...ranges)).toBe(expected);
  });

  test("beyond the text, or overlapping, lose and repeat nothing", () => {
    expect(shown("abc", [1, 99])).toBe("a[bc]");
    expect(shown("abc", [0, 2], [1, 3])).toBe("[ab][c]");
    expect(shown("abc", [5, 9])).toBe("abc");
    expect(shown("abc", [2, 1])).toBe("abc");
  });

  test("keep markup a text", () => {
    expect(split("<script>", [{ start: 1, end: 7 }])).toEqual([
      { text: "<", matches: false },
      { text: "script", matches: true },
      { text: ">", matches: false },
    ]);
  });
});

describe("a film", () => {
  const movie = create(MovieSchema, { title: "Alien", cast: ["Ian Holm", "John Hurt"], originalTitle: "" });
  const inCast = create(HighlightSchema, { field: "cast", index: 1, ranges: [{ start: 5, end: 9 }] });
  const inTitle = create(HighlightSchema, { field: "title", ranges: [{ start: 0, end: 5 }] });

  test("has the parts of the field and index that a highlight names", () => {
    expect(partsOf("Alien", [inCast, inTitle], "title")).toEqual([{ text: "Alien", matches: true }]);
    expect(partsOf("Ian Holm", [inCast], "cast", 0)).toEqual([{ text: "Ian Holm", matches: false }]);
  });

  test("shows why it was found if its card does not show that anyway", () => {
    expect(hiddenMatch(movie, [inTitle])).toBeUndefined();
    expect(hiddenMatch(movie, [inTitle, inCast])).toEqual({
      field: "cast",
      parts: [
        { text: "John ", matches: false },
        { text: "Hurt", matches: true },
      ],
    });
    const lesser = create(HighlightSchema, { field: "cast", index: 0, ranges: [{ start: 0, end: 3 }] });
    expect(hiddenMatch(movie, [lesser, inCast])).toEqual(hiddenMatch(movie, [inCast]));
  });
});

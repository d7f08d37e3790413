import { afterEach, describe, expect, test, vi } from "vitest";
import en from "../../src/text/en.json";
import fr from "../../src/text/fr.json";
import { formatNumber, currentLanguage, formatRating, preferredLanguage, setLanguage, t, useTexts } from "../../src/text";

type Node = string | string[] | { [key: string]: Node };

/** Returns the paths of all texts, with the values that each one has places for. */
function shape(node: Node, path = ""): string[] {
  if (typeof node === "string") return [`${path} ${places(node)}`];
  if (Array.isArray(node)) return [`${path}[${node.length}] ${places(node.join())}`];
  if (typeof node.other === "string") return [`${path} by number ${places(node.other)}`];
  return Object.entries(node).flatMap(([key, child]) => shape(child, `${path}.${key}`));
}

const places = (text: string) => [...new Set(text.match(/\{\d\}/g))].sort().join("");

/** Returns all texts. */
const leaves = (node: Node): string[] => (typeof node === "string" ? [node] : Object.values(node).flatMap(leaves));

afterEach(() => useTexts("en", en));

describe("the texts", () => {
  test("in French have the keys and values of those in English", () => {
    expect(shape(fr)).toEqual(shape(en));
  });

  test.each([["English", en], ["French", fr]])("in %s are not empty", (_, file) => {
    expect(leaves(file).filter((text) => text.trim() === "")).toEqual([]);
  });

  test("in French are not left in English, where they are sentences", () => {
    const english = new Set(leaves(en).filter((text) => text.includes(" ")));
    // Code, and units that both languages write alike.
    const shared = leaves(fr).filter((text) => english.has(text) && /[a-z]{3,} [a-z]{3,}/i.test(text));
    expect(shared).toEqual([]);
  });

  test("have values, and depend on numbers", () => {
    expect([0, 1, 2, 17470].map((count) => t().list.count(count))).toEqual(["No films", "1 film", "2 films", "17,470 films"]);
    expect(t().film.place(3, 1000)).toBe("3 of 1,000");
    expect(t().film.ratings(1n)).toBe("1 rating");
    expect(t().filters.drop("{0} $&")).toBe("Remove the filter {0} $&");
  });

  test("change with the language, as numbers do", () => {
    useTexts("fr", fr);
    expect(t().list.count(2)).toBe("2 films");
    expect(t().list.count(0)).toBe("Aucun film");
    expect(formatRating(8.199999809265137)).toBe("8,2");
    expect(formatNumber(17470)).toMatch(/^17\s470$/);
  });
});

test("a language whose texts do not come can be chosen again", async () => {
  const fetch = vi.fn().mockRejectedValueOnce(new TypeError("cut")).mockResolvedValueOnce(Response.json(fr));
  vi.stubGlobal("fetch", fetch);
  await expect(setLanguage("fr")).rejects.toThrow("cut");
  await setLanguage("en");
  expect([currentLanguage(), fetch.mock.calls.length]).toEqual(["en", 1]);
  await setLanguage("fr");
  expect(currentLanguage()).toBe("fr");
  vi.unstubAllGlobals();
});

test.each([
  [["fr-CA", "en"], "fr"],
  [["de", "FR"], "fr"],
  [["de", "ja"], "en"],
  [[], "en"],
  [["constructor"], "en"],
])("for a browser that prefers %j, the language is %s", (languages, expected) => {
  expect(preferredLanguage(languages)).toBe(expected);
});

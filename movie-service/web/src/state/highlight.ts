/** Parts of a text that match, for display. The service counts in bytes of UTF-8, the page's texts in units of UTF-16. */
import type { Highlight, Movie } from "../gen/movie/catalog/v1/catalog_pb";

/** A part of a text. */
export interface Part {
  readonly text: string;
  readonly matches: boolean;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Splits a text at ranges of the bytes of its UTF-8 encoding. Ranges that the text does not have are cut. */
export function split(text: string, ranges: readonly { start: number; end: number }[]): Part[] {
  if (ranges.length === 0) return [{ text, matches: false }];
  const bytes = encoder.encode(text);
  const parts: Part[] = [];
  let at = 0;
  const take = (end: number, matches: boolean) => {
    if (end > at) parts.push({ text: decoder.decode(bytes.subarray(at, end)), matches });
    at = Math.max(at, end);
  };
  for (const { start, end } of ranges) {
    take(Math.min(start, bytes.length), false);
    take(Math.min(end, bytes.length), true);
  }
  take(bytes.length, false);
  return parts;
}

/** Returns the parts of a film's text, which is not split if nothing in it matches. */
export function partsOf(text: string, highlights: readonly Highlight[], field: string, index = 0): Part[] {
  const found = highlights.find((highlight) => highlight.field === field && highlight.index === index);
  return split(text, found?.ranges ?? []);
}

/** A text of a film that matches and is not on its card: its original title, an actor or a writer. */
interface Match {
  readonly field: "original_title" | "cast" | "writers";
  readonly parts: Part[];
}

/** Returns the match with the most bytes among the texts that the card does not show anyway. */
export function hiddenMatch(movie: Movie, highlights: readonly Highlight[]): Match | undefined {
  let best: Match | undefined;
  let most = 0;
  for (const { field, index, ranges } of highlights) {
    if (field !== "original_title" && field !== "cast" && field !== "writers") continue;
    const text = field === "original_title" ? movie.originalTitle : movie[field][index];
    const bytes = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
    if (!text || bytes <= most) continue;
    most = bytes;
    best = { field, parts: split(text, ranges) };
  }
  return best;
}

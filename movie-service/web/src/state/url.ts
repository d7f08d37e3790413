/** The state of the page, which is in the query string of its address, so that it can be shared and gone back to. */
import { isLanguage, type Language } from "../text";

export const SORTS = ["best", "rating", "newest", "oldest", "title"] as const;
export type Sort = (typeof SORTS)[number];

/** The words, filters and order of the list. */
export interface FilmQuery {
  readonly words: string;
  readonly genres: readonly string[];
  readonly decades: readonly number[];
  readonly countries: readonly string[];
  readonly languages: readonly string[];
  /** The lowest rating; 0 for any. */
  readonly rating: number;
  readonly sort: Sort;
}

export interface PageState extends FilmQuery {
  /** The id of the film that is shown; empty for none. */
  readonly film: string;
  /** Whether the form is open: for the shown film, or for a new one. */
  readonly edit: boolean;
  /** Whether the panel with the calls is open. */
  readonly wire: boolean;
  /** The chosen language; empty for the one that the browser prefers. */
  readonly lang: Language | "";
}

export const EMPTY_QUERY: FilmQuery = {
  words: "",
  genres: [],
  decades: [],
  countries: [],
  languages: [],
  rating: 0,
  sort: "best",
};

export const EMPTY_STATE: PageState = { ...EMPTY_QUERY, film: "", edit: false, wire: false, lang: "" };

const MAX_WORDS_CHARACTERS = 1000;
const MAX_VALUES = 100;

/** Reads the state from a query string. Parameters that are unknown or invalid are left out, so any address works. */
export function parseState(search: string): PageState {
  const params = new URLSearchParams(search);
  const texts = (name: string) => [...new Set(params.getAll(name).filter((value) => value !== ""))].slice(0, MAX_VALUES);
  const lang = params.get("lang");
  const sort = params.get("sort") as Sort;
  const rating = Number(params.get("rating"));
  return {
    words: [...(params.get("q") ?? "")].slice(0, MAX_WORDS_CHARACTERS).join(""),
    genres: texts("genre"),
    decades: texts("decade")
      .map(Number)
      .filter((year) => year % 10 === 0 && year >= 1870 && year <= 2200),
    countries: texts("country"),
    languages: texts("language"),
    rating: rating > 0 && rating <= 10 ? rating : 0,
    sort: SORTS.includes(sort) ? sort : "best",
    film: params.get("film") ?? "",
    edit: params.has("edit"),
    wire: params.has("wire"),
    lang: isLanguage(lang) ? lang : "",
  };
}

/** Writes the state as a query string that `parseState` reads; values as in `EMPTY_STATE` are left out. */
export function formatState(state: PageState): string {
  const params = new URLSearchParams();
  const add = (name: string, value: string) => value && params.append(name, value);
  add("q", state.words);
  for (const genre of state.genres) add("genre", genre);
  for (const decade of state.decades) add("decade", String(decade));
  for (const country of state.countries) add("country", country);
  for (const language of state.languages) add("language", language);
  add("rating", state.rating ? String(state.rating) : "");
  add("sort", state.sort === "best" ? "" : state.sort);
  add("film", state.film);
  add("edit", state.edit ? "1" : "");
  add("wire", state.wire ? "1" : "");
  add("lang", state.lang);
  return params.size === 0 ? "./" : `./?${params}`;
}

/** Whether two queries have the same films in the same order. */
export const sameQuery = (a: FilmQuery, b: FilmQuery): boolean => queryKey(a) === queryKey(b);

const queryKey = (query: FilmQuery): string =>
  formatState({
    ...EMPTY_STATE,
    words: query.words.trim(),
    genres: query.genres,
    decades: query.decades,
    countries: query.countries,
    languages: query.languages,
    rating: query.rating,
    sort: query.sort,
  });

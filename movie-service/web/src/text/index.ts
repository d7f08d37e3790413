/** The texts of the page in the chosen language, and numbers and dates as that language writes them. */
import { en } from "./en";
import { fr } from "./fr";

/** Every text of the page. Texts with a value in them are functions. */
export type Texts = typeof en;

const LANGUAGES = { en, fr };
export type Language = keyof typeof LANGUAGES;

/** Dispatches "change" when the language changes. */
export const languageChanges = new EventTarget();

let language: Language = "en";
let numbers = new Intl.NumberFormat(language);
let ratings = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
let dates = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" });

/** Returns the texts in the chosen language. */
export const t = (): Texts => LANGUAGES[language];

export const currentLanguage = (): Language => language;

/** Whether the page has texts in this language. */
export const isLanguage = (code: string | null): code is Language => code !== null && Object.hasOwn(LANGUAGES, code);

/** Returns the first of the languages that the page has texts in, such as "fr" for "fr-CA"; English if there is none. */
export function preferredLanguage(languages: readonly string[]): Language {
  return languages.map((tag) => tag.toLowerCase().split("-")[0]!).find(isLanguage) ?? "en";
}

/** Chooses the language. */
export function setLanguage(chosen: Language): void {
  if (chosen === language) return;
  language = chosen;
  numbers = new Intl.NumberFormat(language);
  ratings = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  dates = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" });
  languageChanges.dispatchEvent(new Event("change"));
}

export const formatNumber = (value: number | bigint): string => numbers.format(value);
export const formatRating = (value: number): string => ratings.format(value);
export const formatDate = (value: Date): string => dates.format(value);

/**
 * The texts of the page in the chosen language, and numbers and dates as that language writes them.
 *
 * Each language has one file, of which the browser gets the one it needs. In a file,
 * `["… {0} …"]` is a text with values, and `{"1": "…", "other": "… {0} …"}` is a text that depends on a number: by the number
 * itself, else by its category among plurals (CLDR), else `other`.
 */
import type english from "./en.json";
import enFile from "./en.json?url";
import frFile from "./fr.json?url";

type Value = string | number | bigint;
type WithValues = (...values: Value[]) => string;

/** The content of a file as the page uses it: texts with values are functions. */
type Compiled<T> = {
  [Key in keyof T]: T[Key] extends string
    ? string
    : T[Key] extends string[]
      ? WithValues
      : T[Key] extends { other: string }
        ? WithValues
        : T[Key] extends { 0: string }
          ? Record<number, string>
          : Compiled<T[Key]>;
};

/** A file of texts. All of them have the same keys. */
type TextFile = typeof english;
export type Texts = Compiled<TextFile>;

const FILES = { en: enFile, fr: frFile };
export type Language = keyof typeof FILES;

/** Dispatches "change" when the language changes. */
export const languageChanges = new EventTarget();

let language: Language = "en";
let texts: Texts | undefined;
let wanted: Language | undefined;
let numbers = new Intl.NumberFormat(language);
let ratings = numbers;
let dates = new Intl.DateTimeFormat(language);
let plurals = new Intl.PluralRules(language);

/** Returns the texts in the chosen language. There are none before the first file has come. */
export const t = (): Texts => texts!;

export const hasTexts = (): boolean => texts !== undefined;

export const currentLanguage = (): Language => language;

/** Whether the page has texts in this language. */
export const isLanguage = (code: string | null): code is Language => code !== null && Object.hasOwn(FILES, code);

/** Returns the first of the languages that the page has texts in, such as "fr" for "fr-CA"; English if there is none. */
export function preferredLanguage(languages: readonly string[]): Language {
  return languages.map((tag) => tag.toLowerCase().split("-")[0]!).find(isLanguage) ?? "en";
}

/** Chooses the language. The texts change when the file has come; the last choice counts. */
export async function setLanguage(chosen: Language): Promise<void> {
  if (chosen === wanted) return;
  wanted = chosen;
  try {
    const response = await fetch(FILES[chosen]);
    if (!response.ok) throw new Error(`${response.url}: ${response.status}`);
    const file: TextFile = await response.json();
    if (wanted === chosen) useTexts(chosen, file);
  } catch (error) {
    if (wanted !== chosen) return;
    wanted = texts && language;
    throw error;
  }
}

/** Uses the texts of a file. */
export function useTexts(chosen: Language, file: TextFile): void {
  language = chosen;
  wanted = chosen;
  numbers = new Intl.NumberFormat(language);
  ratings = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  dates = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" });
  plurals = new Intl.PluralRules(language);
  texts = compile(file) as Texts;
  languageChanges.dispatchEvent(new Event("change"));
}

type Node = string | string[] | { [key: string]: Node };

function compile(node: Node): unknown {
  if (typeof node === "string") return node;
  if (Array.isArray(node)) return (...values: Value[]) => fill(node[0]!, values);
  if (typeof node.other === "string") return (...values: Value[]) => fill(form(node, values[0]!), values);
  return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, compile(child)]));
}

/** Returns the text for a number. */
function form(forms: { [key: string]: Node }, value: Value): string {
  return (forms[String(value)] ?? forms[plurals.select(Number(value))] ?? forms.other) as string;
}

const fill = (text: string, values: Value[]): string =>
  text.replace(/\{(\d)\}/g, (_, index: number) => {
    const value = values[index]!;
    return typeof value === "string" ? value : numbers.format(value);
  });

export const formatNumber = (value: number | bigint): string => numbers.format(value);
export const formatRating = (value: number): string => ratings.format(value);
export const formatDate = (value: Date): string => dates.format(value);

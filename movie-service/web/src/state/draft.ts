/** A film as it is being edited: the texts of the form, and the fields that they change. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Movie, MovieSchema } from "../gen/movie/catalog/v1/catalog_pb";
import type { MovieFields } from "../service/calls";

/** How a field is edited: `lines` are separated by line breaks, `names` by commas if none contains one. */
type Kind = "text" | "long" | "integer" | "decimal" | "names" | "lines";

/** The fields of the form, in its order. */
export const FIELDS = {
  title: "text",
  originalTitle: "text",
  year: "integer",
  runtimeMinutes: "integer",
  director: "text",
  genres: "names",
  rating: "decimal",
  ratingCount: "integer",
  countries: "names",
  languages: "names",
  cast: "lines",
  writers: "lines",
  overview: "long",
  posterUri: "text",
} as const satisfies Partial<Record<keyof MovieFields, Kind>>;

export type Field = keyof typeof FIELDS;
export const FIELD_NAMES = Object.keys(FIELDS) as Field[];

/** The texts of the form. */
export type Draft = Record<Field, string>;

type MovieInit = MessageInitShape<typeof MovieSchema>;

/** Returns the name of a field in the contract, such as "poster_uri". */
export const protoName = (field: Field): string => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Returns the field of the form that a violation names, such as "poster_uri" or "movie.genres[2]". */
export function fieldOf(violation: string): Field | undefined {
  const name = violation.replace(/^movie\./, "").replace(/[[.].*/, "");
  return FIELD_NAMES.find((field) => field === name || protoName(field) === name);
}

/** Returns the texts of a film's fields; empty ones for a new film. */
export function draftOf(movie?: Movie): Draft {
  return Object.fromEntries(FIELD_NAMES.map((field) => [field, textOf(movie, field)])) as Draft;
}

function textOf(movie: Movie | undefined, field: Field): string {
  const value = movie?.[field];
  if (value === undefined) return "";
  if (Array.isArray(value)) {
    if (FIELDS[field] === "lines") return value.join("\n");
    // A line break, even at the end of the only name, keeps the commas within names.
    return value.some((name) => name.includes(",")) ? value.map((name) => `${name}\n`).join("") : value.join(", ");
  }
  if (field === "rating") return String(Math.round((value as number) * 100) / 100);
  return value === 0 || value === 0n ? "" : String(value);
}

/** The fields whose texts differ. */
export const changedFields = (from: Draft, to: Draft): Field[] =>
  FIELD_NAMES.filter((field) => from[field].trim() !== to[field].trim());

/** A number that the service refuses in every field: it stands for texts that are none. */
const REFUSED_NUMBER = -1;

/** The fields whose text is no number, but has to be one. */
export const malformedFields = (draft: Draft): Field[] => FIELD_NAMES.filter((field) => isMalformed(field, draft[field].trim()));

function isMalformed(field: Field, text: string): boolean {
  // More digits do not fit into the int32 of the other fields, or into a number of JavaScript.
  if (FIELDS[field] === "integer") return !/^(-?\d+)?$/.test(text) || text.length > (field === "ratingCount" ? 15 : 9);
  return FIELDS[field] === "decimal" && text !== "" && !/^-?\d+([.,]\d+)?$/.test(text);
}

/** Returns the values of these fields of the draft, for a request. */
export function movieOf(draft: Draft, fields: readonly Field[]): MovieInit {
  return Object.fromEntries(fields.map((field) => [field, valueOf(field, draft[field])]));
}

function valueOf(field: Field, typed: string): unknown {
  const text = isMalformed(field, typed.trim()) ? String(REFUSED_NUMBER) : typed.trim();
  switch (FIELDS[field]) {
    case "integer":
      return field === "ratingCount" ? BigInt(text) : Number(text);
    case "decimal":
      return text === "" ? undefined : Number(text.replace(",", "."));
    case "names":
      return split(typed, typed.includes("\n") ? /\n/ : /,/);
    case "lines":
      return split(text, /\n/);
    default:
      return text;
  }
}

const split = (text: string, separator: RegExp): string[] =>
  text.split(separator).map((name) => name.trim()).filter((name) => name !== "");

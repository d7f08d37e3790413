/** A recorded call as a command or a program to copy: curl, grpcurl, Python and Rust. */
import { type Call, isStream, target } from "./call";
import { type Json, jsonOf } from "./json";
import { pythonProgram } from "./python";
import { json, shell } from "./quote";
import { rustProgram } from "./rust";

const WRITERS = { curl, grpcurl, Python: pythonProgram, Rust: rustProgram };

export type Language = keyof typeof WRITERS;
export const LANGUAGES = Object.keys(WRITERS) as Language[];

/** Writes a call in a language. */
export const snippet = (language: Language, call: Call): string => WRITERS[language](call);

/** The `google.api.http` annotations of the calls that a page can make: verb, path and, if there is one, the body. */
export const HTTP_RULES: Record<string, [verb: string, path: string, body?: string]> = {
  GetMovieByID: ["get", "/v1/course/movies/{id}"],
  GetListMovies: ["get", "/v1/course/movies"],
  GetMovie: ["get", "/v1/movies/{id}"],
  BatchGetMovies: ["get", "/v1/movies:batchGet"],
  ListMovies: ["get", "/v1/movies"],
  SearchMovies: ["get", "/v1/movies:search"],
  CreateMovie: ["post", "/v1/movies", "movie"],
  UpdateMovie: ["patch", "/v1/movies/{movie.id}", "movie"],
  DeleteMovie: ["delete", "/v1/movies/{id}"],
  WatchMovies: ["get", "/v1/movies:watch"],
  GetCatalog: ["get", "/v1/catalog"],
};

function curl(call: Call): string {
  const { method, request, base, authorized } = call;
  const [verb, pattern, body] = HTTP_RULES[method.name]!;
  const rest = jsonOf(request);
  const path = pattern.replace(/\{(.*?)\}/, (_, name: string) => segment(take(rest, name.split("."))));
  const content = body && (take(rest, [body]) ?? {});
  const query = parameters(rest).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  const address = base.href.replace(/\/$/, "") + path + (query.length ? `?${query.join("&")}` : "");
  return command(isStream(call) ? "curl -sN" : "curl -s", [
    path.includes("%2E") && "--path-as-is",
    (verb === "patch" || verb === "delete") && `-X ${verb.toUpperCase()}`,
    authorized && '-H "Authorization: Bearer $MOVIE_TOKEN"',
    content !== undefined && `-H 'Content-Type: application/json' -d ${shell(json(content))}`,
    shell(address),
  ]);
}

/** Removes a field, which can be nested, and returns its value. */
function take(message: Json, [name, ...inner]: string[]): unknown {
  const value = message[name!];
  if (inner.length) return value && take(value as Json, inner);
  delete message[name!];
  return value;
}

/** Encodes a segment of a path, also dots alone, which would stand for another path. */
function segment(value: unknown): string {
  return encodeURIComponent(String(value ?? "")).replace(/^\.+$/, (dots) => "%2E".repeat(dots.length));
}

/** Lists the fields of a message as parameters: nested ones with dots in the name, repeated ones several times. */
function parameters(value: unknown, name = ""): [name: string, value: string][] {
  if (Array.isArray(value)) return value.flatMap((item) => parameters(item, name));
  if (typeof value !== "object" || value === null) return [[name, String(value)]];
  return Object.entries(value).flatMap(([field, inner]) => parameters(inner, name ? `${name}.${field}` : field));
}

function grpcurl({ method, request, base, authorized }: Call): string {
  const message = jsonOf(request);
  // grpcurl does not know the text that a mask is in JSON: it reads the message with the names of the fields.
  if (typeof message.updateMask === "string") {
    const paths = message.updateMask.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).split(",");
    message.updateMask = { paths };
  }
  return command("grpcurl", [
    base.protocol === "http:" && "-plaintext",
    authorized && '-H "authorization: Bearer $MOVIE_TOKEN"',
    `-d ${shell(json(message))}`,
    `${shell(target(base))} ${method.parent.typeName}/${method.name}`,
  ]);
}

/** Writes a command, on several lines if it has many options. */
function command(program: string, options: (string | false)[]): string {
  const present = options.filter((option) => option !== false);
  return [program, ...present].join(present.length > 1 ? " \\\n  " : " ");
}

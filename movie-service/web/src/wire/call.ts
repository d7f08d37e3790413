/** A recorded call, decoded, as the snippets need it. */
import { type DescField, type DescMessage, type DescMethod, fromBinary, type Message } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { findMethod } from "./contract";
import { findFrames, PREFIX_BYTES } from "./frames";
import type { CallRecord } from "./record";

export interface Call {
  readonly method: DescMethod;
  readonly request: Message;
  /** The address of the service, without the path of the call. */
  readonly base: URL;
  /** Whether the caller sent a token. A snippet reads it from the environment variable MOVIE_TOKEN. */
  readonly authorized: boolean;
}

/** Reads a call from its record; nothing if the contract does not have it, or if the request is damaged. */
export function readCall(
  record: Pick<CallRecord, "service" | "method" | "url" | "requestBytes" | "requestHeaders">,
): Call | undefined {
  const method = findMethod(record.service, record.method);
  const frame = findFrames(record.requestBytes)[0];
  if (!method || !frame?.complete || frame.compressed) return undefined;
  try {
    const bytes = record.requestBytes.subarray(frame.start + PREFIX_BYTES, frame.end);
    return {
      method,
      request: fromBinary(method.input, bytes),
      base: new URL(record.url.slice(0, -`${record.service}/${record.method}`.length)),
      authorized: record.requestHeaders.some(([name]) => name === "authorization"),
    };
  } catch {
    return undefined;
  }
}

/** Returns host and port of the service. gRPC has no path before that of the call. */
export function target({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
}

export const isStream = ({ method }: Call) => method.methodKind === "server_streaming";

/** How a language writes values. */
export interface Literals {
  text(value: string): string;
  bool(value: boolean): string;
  number(value: number | bigint, field: DescField): string;
  list(items: string[]): string;
  message(desc: DescMessage, fields: [field: DescField, literal: string][]): string;
}

/** Writes the request of a call in a language. */
export const requestLiteral = (literals: Literals, { method, request }: Call) =>
  message(literals, reflect(method.input, request));

function message(literals: Literals, value: ReflectMessage): string {
  const fields = value.sortedFields.filter((field) => value.isSet(field));
  return literals.message(
    value.desc,
    fields.map((field) => [field, fieldLiteral(literals, field, value.get(field))]),
  );
}

function fieldLiteral(literals: Literals, field: DescField, value: unknown): string {
  const single = (value: unknown) => {
    if (field.message) return message(literals, value as ReflectMessage);
    if (typeof value === "string") return literals.text(value);
    if (typeof value === "boolean") return literals.bool(value);
    return literals.number(value as number | bigint, field);
  };
  return field.fieldKind === "list" ? literals.list([...(value as Iterable<unknown>)].map(single)) : single(value);
}

/** Splits the full name of a message into its package and its names, of which the last is its own. */
export function namesOf(desc: DescMessage): { packageName: string; names: string[] } {
  const packageName = desc.file.proto.package;
  return { packageName, names: desc.typeName.slice(packageName ? packageName.length + 1 : 0).split(".") };
}

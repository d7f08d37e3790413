/** A recorded call, decoded, as the snippets need it. */
import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import { findMethod } from "./contract";
import { decodeFields, type Definition, type Field, fieldsOf, isIntact, type Scalar } from "./fields";
import { findFrames, PREFIX_BYTES } from "./frames";
import { isRepeated, type Single, valuesOf } from "./json";
import type { CallRecord } from "./record";

export interface Call {
  readonly method: DescMethod;
  /** The fields of the request. */
  readonly request: readonly Field[];
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
  const request = decodeFields(record.requestBytes, fieldsOf(method.input), frame.start + PREFIX_BYTES, frame.end);
  if (!isIntact(request)) return undefined;
  return {
    method,
    request,
    base: new URL(record.url.slice(0, -`${record.service}/${record.method}`.length)),
    authorized: record.requestHeaders.some(([name]) => name === "authorization"),
  };
}

/** Returns host and port of the service. gRPC has no path before that of the call. */
export function target({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
}

export const isStream = ({ method }: Call) => method.methodKind === "server_streaming";

/** How a language writes values. */
interface Literals {
  text(value: string): string;
  scalar(value: Scalar, info: Definition): string;
  list(items: string[]): string;
  message(desc: DescMessage, fields: [info: Definition, literal: string][]): string;
}

/** Writes a message in a language. */
export function messageLiteral(literals: Literals, desc: DescMessage, fields: readonly Field[]): string {
  const single = (info: Definition, value: Single) => {
    if (typeof value === "object") return messageLiteral(literals, info.message!, value);
    return typeof value === "string" ? literals.text(value) : literals.scalar(value, info);
  };
  return literals.message(
    desc,
    valuesOf(fields).map(([info, values]) => {
      const items = values.map((value) => single(info, value));
      return [info, isRepeated(info) ? literals.list(items) : items[0]!];
    }),
  );
}

/** Splits the full name of a message into its package and its names, of which the last is its own. */
export function namesOf({ typeName, file }: DescMessage): { packageName: string; names: string[] } {
  const packageName = file.proto.package;
  return { packageName, names: typeName.slice(packageName ? packageName.length + 1 : 0).split(".") };
}

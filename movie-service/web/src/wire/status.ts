/** The status of a call: its code, message and details. */
import { type DescMessage, fromBinary, ScalarType, toJson } from "@bufbuild/protobuf";
import { file_google_rpc_error_details } from "../gen/google/rpc/error_details_pb";
import { type FieldInfo, messageInfo, type MessageInfo } from "./contract";
import { decodeFields, type Field } from "./fields";
import type { CallRecord, Metadata } from "./record";

/** The names of the status codes, by number. */
const CODES = (
  "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED " +
  "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED"
).split(" ");

/** The status with which a call ended. */
export interface Status {
  readonly code: number;
  /** The name of the code, such as "NOT_FOUND". */
  readonly name: string;
  readonly message: string;
  /** The reason of the `google.rpc.ErrorInfo`, such as "MOVIE_NOT_FOUND". */
  readonly reason: string | undefined;
  readonly details: readonly Detail[];
}

/** A detail of a status: a message in a `google.protobuf.Any`. */
export interface Detail {
  /** The full name of the message, such as "google.rpc.ErrorInfo". */
  readonly type: string;
  /** The message as JSON; undefined if its type is not known, or if it is damaged. */
  readonly json: unknown;
}

const text = (name: string): FieldInfo => ({ name, type: "string", repeated: false, scalar: ScalarType.STRING });

/** `google.protobuf.Any`. */
const ANY = infoOf("google.protobuf.Any", [
  text("type_url"),
  { name: "value", type: "bytes", repeated: false, scalar: ScalarType.BYTES },
]);

/** `google.rpc.Status`, the content of `grpc-status-details-bin`. */
export const STATUS = infoOf("google.rpc.Status", [
  { name: "code", type: "int32", repeated: false, scalar: ScalarType.INT32 },
  text("message"),
  { name: "details", type: "repeated Any", repeated: true, message: ANY },
]);

function infoOf(typeName: string, fields: FieldInfo[]): MessageInfo {
  return { typeName, field: (number) => fields[number - 1] };
}

/** Returns the status of a call; nothing while it runs, and if it ended without one. */
export function statusOf(record: Pick<CallRecord, "trailers" | "responseHeaders">): Status | undefined {
  const all: Metadata = [...record.trailers, ...record.responseHeaders];
  const find = (wanted: string) => all.find(([name]) => name === wanted)?.[1];
  const value = find("grpc-status");
  if (value === undefined) return undefined;
  const code = Number(value);
  const details = detailsOf(find("grpc-status-details-bin") ?? "");
  const info = details.find(({ type }) => type === "google.rpc.ErrorInfo")?.json as { reason?: string } | undefined;
  return {
    code,
    name: CODES[code] ?? value,
    message: percentDecode(find("grpc-message") ?? ""),
    reason: info?.reason,
    details,
  };
}

/** Decodes the percent-encoding of `grpc-message`. A damaged text is returned as it is. */
function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Decodes base64, with padding or without. Anything else gives no bytes. */
export function base64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

function detailsOf(header: string): Detail[] {
  const bytes = base64(header);
  return decodeFields(bytes, STATUS).flatMap(({ info, value }) => {
    if (info?.name !== "details" || value.kind !== "message") return [];
    const url = value.fields.find(({ number }) => number === 1)?.value;
    const content = value.fields.find(({ number }) => number === 2)?.content ?? { start: 0, end: 0 };
    const type = url?.kind === "text" ? url.value.slice(url.value.lastIndexOf("/") + 1) : "";
    const json = jsonOf(
      file_google_rpc_error_details.messages.find(({ typeName }) => typeName === type),
      bytes.subarray(content.start, content.end),
    );
    return [{ type, json }];
  });
}

/** Decodes a message to JSON; nothing if its bytes are damaged, or its type is not known. */
export function jsonOf(desc: DescMessage | undefined, bytes: Uint8Array): unknown {
  try {
    return desc && toJson(desc, fromBinary(desc, bytes));
  } catch {
    return undefined;
  }
}

/** Decodes the fields of a message by its descriptor. */
export function fieldsOf(bytes: Uint8Array, desc: DescMessage | undefined, start: number, end: number): readonly Field[] {
  return decodeFields(bytes, desc && messageInfo(desc), start, end);
}

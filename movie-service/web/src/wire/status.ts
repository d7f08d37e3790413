/** The status of a call: its code, message and details. */
import { file_google_rpc_error_details } from "../gen/google/rpc/error_details_pb";
import { decodeFields, fieldsOf, isIntact } from "./fields";
import { jsonOf } from "./json";
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
interface Detail {
  /** The full name of the message, such as "google.rpc.ErrorInfo". */
  readonly type: string;
  /** The message as JSON; undefined if its type is not known, or if it is damaged. */
  readonly json: unknown;
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
function base64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

/** Decodes a `google.rpc.Status`, whose field 3 has the details. */
function detailsOf(header: string): Detail[] {
  const bytes = base64(header);
  const details = decodeFields(bytes).filter(({ number, wireType }) => number === 3 && wireType === 2);
  return details.map(({ content: { start, end } }) => {
    // A `google.protobuf.Any`: field 1 is the address of the type, field 2 the encoded message.
    const any = decodeFields(bytes, undefined, start, end);
    const [url, message] = [1, 2].map((wanted) => any.find(({ number }) => number === wanted));
    const address = url?.value.kind === "text" ? url.value.value : "";
    const type = address.slice(address.lastIndexOf("/") + 1);
    const desc = file_google_rpc_error_details.messages.find(({ typeName }) => typeName === type);
    const { start: from, end: to } = message?.content ?? { start: 0, end: 0 };
    const fields = decodeFields(bytes, fieldsOf(desc), from, to);
    return { type, json: desc && isIntact(fields) ? jsonOf(fields) : undefined };
  });
}

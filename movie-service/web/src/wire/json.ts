/** Decoded fields as the canonical JSON of protobuf. https://protobuf.dev/programming-guides/json/ */
import { ScalarType } from "@bufbuild/protobuf";
import type { Definition, Field, Scalar } from "./fields";
import { float32 } from "./quote";

/** The value of a field, or one of a repeated field. */
export type Single = Scalar | string | readonly Field[];

/** Returns the values of a message by field: of repeated fields all values, of others the last one. */
export function valuesOf(fields: readonly Field[]): [Definition, Single[]][] {
  const values = new Map<number, [Definition, Single[]]>();
  for (const { info, value, problem } of fields) {
    if (!info || problem || value.kind === "bytes") continue;
    const all = values.get(info.number)?.[1] ?? [];
    if (!isRepeated(info)) all.pop();
    if (value.kind === "packed") for (const item of value.items) all.push(item.value);
    else all.push(value.kind === "message" ? value.fields : value.value);
    values.set(info.number, [info, all]);
  }
  return [...values.values()];
}

export const isRepeated = ({ fieldKind }: Definition) => fieldKind === "list" || fieldKind === "map";

export type Json = { [name: string]: unknown };

/** Writes a message. */
export function jsonOf(fields: readonly Field[]): Json {
  return Object.fromEntries(
    valuesOf(fields).map(([info, values]) => {
      const written = values.map((value) => single(info, value));
      // The entries of a map are messages with a key and a value.
      const entries = () => written.map((entry) => [(entry as Json).key, (entry as Json).value] as const);
      const all = info.fieldKind === "map" ? Object.fromEntries(entries()) : written;
      return [info.jsonName ?? info.name, isRepeated(info) ? all : written[0]];
    }),
  );
}

function single({ scalar, message }: Definition, value: Single): unknown {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return String(value);
    return scalar === ScalarType.FLOAT ? Number(float32(value)) : value;
  }
  if (typeof value !== "object") return value;
  const json = jsonOf(value);
  switch (message?.typeName) {
    case "google.protobuf.Timestamp":
      return timeOf(value) ?? json;
    case "google.protobuf.Duration":
      return `${json.seconds ?? 0}${fraction(json.nanos)}s`;
    case "google.protobuf.FieldMask":
      return ((json.paths ?? []) as string[]).map((path) => path.replace(/_(.)/g, (_, letter) => letter.toUpperCase())).join();
    default:
      return json;
  }
}

/** Writes a `google.protobuf.Timestamp`, if it is a time that JavaScript knows. */
export function timeOf(fields: readonly Field[]): string | undefined {
  const { seconds, nanos } = jsonOf(fields);
  const date = new Date(Number(seconds ?? 0) * 1000);
  return Number.isNaN(date.valueOf()) ? undefined : date.toISOString().replace(".000", fraction(nanos));
}

/** Writes the fraction of a second with three, six or nine digits, or none. */
function fraction(nanos: unknown): string {
  return `.${String(nanos ?? 0).padStart(9, "0")}`.replace(/\.?(000)+$/, "");
}

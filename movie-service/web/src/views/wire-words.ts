/** Parts of a frame in words, as the tutorial explains them by hand. */
import { ScalarType } from "@bufbuild/protobuf";
import { t } from "../text";
import { typeOf } from "../wire/contract";
import { type Field, type Range, type Scalar, type Value, varint } from "../wire/fields";
import { timeOf } from "../wire/json";
import type { Part } from "../wire/parts";
import { float32, json } from "../wire/quote";

/** What the list of parts shows of one. */
export interface Title {
  /** The number of the field. */
  readonly number: string;
  readonly name: string;
  readonly type: string;
  readonly value: string;
}

/** A range of bytes and its meaning. */
interface Explained extends Range {
  readonly text: string;
}

const MAX_VALUE_CHARACTERS = 120;

export const hexOf = (bytes: Uint8Array, separator = " ") =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(separator);

const short = (text: string) =>
  text.length > MAX_VALUE_CHARACTERS ? `${text.slice(0, MAX_VALUE_CHARACTERS).replace(/[\ud800-\udbff]$/, "")}…` : text;

/** Describes a part in a line. */
export function titleOf(part: Part, index = 0): Title {
  const texts = t().wire;
  const title = { number: "", type: "", value: "" };
  switch (part.kind) {
    case "prefix": {
      const { flags, length } = part.frame;
      const follow = length === undefined ? texts.prefixCut : texts.follow(length);
      return { ...title, name: texts.prefix, value: `${texts.flags(flags)}, ${follow}` };
    }
    case "trailer":
      return { ...title, name: part.line.name, value: short(part.line.value) };
    case "opaque":
      return { ...title, name: texts.opaque };
    case "item":
      return { ...title, name: texts.item(index), value: numberText(part.item.value, part.field) };
    case "field": {
      const { number, info, value, problem } = part.field;
      return {
        number: number ? String(number) : "",
        name: info?.name ?? (number ? texts.unknown : texts.damagedRest),
        type: info ? typeOf(info) : "",
        value: problem ? texts.problems[problem] : valueText(value, part.field),
      };
    }
  }
}

function valueText(value: Value, field: Field): string {
  switch (value.kind) {
    case "number":
      return numberText(value.value, field);
    case "text":
      return short(json(value.value));
    case "bytes":
      return t().wire.bytes(field.content.end - field.content.start);
    case "packed":
      return short(value.items.map((item) => numberText(item.value, field)).join(", "));
    case "message":
      return field.info?.message?.typeName === "google.protobuf.Timestamp" ? (timeOf(value.fields) ?? "") : "";
  }
}

function numberText(value: Scalar, { info }: Field): string {
  if (info?.scalar === ScalarType.FLOAT) return float32(value as number);
  const name = info?.enum?.values.find(({ number }) => number === value)?.name;
  return name ? `${value} (${name})` : String(value);
}

/** Explains the bytes of a part, one range after the other. */
export function explain(part: Part, bytes: Uint8Array): Explained[] {
  const texts = t().wire;
  switch (part.kind) {
    case "prefix": {
      const { flags, length } = part.frame;
      const follow = length === undefined ? texts.prefixCut : texts.follow(length);
      return [
        { start: 0, end: 1, text: texts.flags(flags) },
        { start: 1, end: part.end, text: follow },
      ];
    }
    case "trailer":
      return [{ start: part.start, end: part.end, text: texts.trailer }];
    case "opaque":
      return [{ start: part.start, end: part.end, text: texts.opaque }];
    case "item":
      return [{ start: part.start, end: part.end, text: numberBytes(part, part.item.value, part.field, bytes) }];
    case "field":
      return explainField(part.field, bytes);
  }
}

function explainField(field: Field, bytes: Uint8Array): Explained[] {
  const texts = t().wire;
  const { tag, length, content, number, wireType, value, info, problem } = field;
  const explained: Explained[] = [];
  // A varint of several bytes is worked out first.
  const sum = (range: Range) =>
    range.end - range.start > 1 ? `${sumOf(range, bytes)} = ${varint(bytes, range.start, range.end).value}, ` : "";
  if (number) {
    const kind = texts.wireTypes[wireType];
    explained.push({ ...tag, text: texts.tag(String(number), String(wireType), sum(tag)) + (kind ? ` (${kind})` : "") });
  }
  if (length) {
    const count = varint(bytes, length.start, length.end).value;
    explained.push({ ...length, text: texts.length(count, sum(length)) });
  }
  const last = { start: number ? content.start : field.start, end: field.end };
  const meaning = problem ? texts.problems[problem] : contentText(field, bytes);
  const addition = problem || info ? "" : `. ${texts.unknownField}`;
  if (last.end > last.start || value.kind !== "bytes") explained.push({ ...last, text: meaning + addition });
  return explained;
}

function contentText(field: Field, bytes: Uint8Array): string {
  const texts = t().wire;
  const { value, content, info } = field;
  switch (value.kind) {
    case "number":
      return numberBytes(content, value.value, field, bytes);
    case "text":
      return value.value === "" ? texts.emptyText : `${texts.text}: ${short(json(value.value))}`;
    case "bytes":
      return texts.rawBytes;
    case "packed":
      return texts.packed(value.items.length);
    case "message":
      return [texts.nested(info!.message?.name ?? "map"), valueText(value, field)].filter(Boolean).join(": ");
  }
}

/** Explains how the bytes of a number give its value. */
function numberBytes(range: Range, value: Scalar, field: Field, bytes: Uint8Array): string {
  const texts = t().wire;
  const shown = numberText(value, field);
  const own = bytes.subarray(range.start, range.end);
  const isFloat = field.info?.scalar === ScalarType.FLOAT || field.info?.scalar === ScalarType.DOUBLE;
  const reversed = hexOf(own.slice().reverse(), "");
  if (isFloat) return texts.float(reversed, shown, shown === String(value) ? "" : texts.closest(String(value)));
  if (typeof value === "boolean") return texts.bool(shown);
  if (field.wireType === 1 || field.wireType === 5) return texts.fixed(reversed, shown);
  if (own.length === 1) return shown;
  if (value < 0 && own.length === 10) return texts.negative(String(-BigInt(value)), shown);
  return own.length > 4 ? texts.manyBytes(own.length, shown) : texts.lowestFirst(`${sumOf(range, bytes)} = ${shown}`);
}

/** Writes a varint as a sum: "81 + 15 × 128". */
function sumOf({ start, end }: Range, bytes: Uint8Array): string {
  const terms = Array.from(bytes.subarray(start, end), (byte, at) => [byte & 0x7f, 128 ** at] as const);
  return terms.map(([bits, unit]) => (unit === 1 ? `${bits}` : `${bits} × ${unit}`)).join(" + ");
}

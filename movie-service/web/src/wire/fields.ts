/**
 * The wire format of protobuf, as a tree of fields with the positions of their bytes.
 * https://protobuf.dev/programming-guides/encoding/
 *
 * Nothing here throws. Bytes that are not a message give the fields before the damage, then one with a `problem`.
 */
import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";

/** A range of bytes: the position of the first one, and the position after the last one. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** What is wrong with the bytes of a field. */
export type Problem =
  /** The tag, or the number of wire type 0, has no end. */
  | "cut"
  /** A varint of more than ten bytes. */
  | "varint"
  /** The tag has the field number 0, or one that is too large. */
  | "number"
  /** The wire types 3 and 4: groups, which proto3 does not have. */
  | "group"
  /** The wire types 6 and 7, which do not exist. */
  | "wireType"
  /** Fewer bytes follow than the wire type or the length says. */
  | "short"
  /** The contract has another wire type for this field; readers skip it. */
  | "mismatch"
  /** The text is not UTF-8. */
  | "utf8"
  /** Too many nested messages. */
  | "depth";

/** A number, or a truth value, which is a number on the wire. */
export type Scalar = number | bigint | boolean;

/** The value of a field. */
export type Value =
  | { readonly kind: "number"; readonly value: Scalar }
  | { readonly kind: "text"; readonly value: string }
  | { readonly kind: "bytes" }
  | { readonly kind: "message"; readonly fields: readonly Field[] }
  /** A packed repeated field: numbers one after the other, in one field. */
  | { readonly kind: "packed"; readonly items: readonly Item[] };

/** A number of a packed repeated field. */
export interface Item extends Range {
  readonly value: Scalar;
}

/** The definition of a field, or of the key or the value of a map, which are fields on the wire. */
export interface Definition
  extends Pick<DescField, "name" | "number" | "scalar" | "enum" | "message">,
    Partial<Pick<DescField, "fieldKind" | "jsonName" | "oneof" | "proto">> {
  /** The type of the keys of a map. */
  readonly mapKey?: ScalarType | undefined;
}

/** Finds the definition of a field by its number. */
type Lookup = (number: number) => Definition | undefined;

/** Returns the definitions of the fields of a message. */
export const fieldsOf =
  (desc: DescMessage | undefined): Lookup =>
  (number) =>
    desc?.fields.find((field) => field.number === number);

/** A field of a message, or the damaged rest of one. */
export interface Field extends Range {
  readonly tag: Range;
  /** 0 if the tag is damaged. */
  readonly number: number;
  readonly wireType: number;
  /** The bytes of the length, in wire type 2. */
  readonly length?: Range | undefined;
  /** The bytes after the tag and the length. */
  readonly content: Range;
  readonly value: Value;
  /** The definition of the field; unset if the contract does not have it. */
  readonly info?: Definition | undefined;
  readonly problem?: Problem | undefined;
}

/** As deep as libraries of protobuf go. */
const MAX_DEPTH = 100;

/** Decodes the fields of the message in the range of `bytes`, by their definitions if there are any. */
export function decodeFields(
  bytes: Uint8Array,
  lookup: Lookup = () => undefined,
  start = 0,
  end = bytes.length,
  depth = 0,
): readonly Field[] {
  const fields: Field[] = [];
  for (let at = start; at < end; ) {
    const field = decodeField(bytes, lookup, at, end, depth);
    fields.push(field);
    at = field.end;
  }
  return fields;
}

/** Whether no field has a problem, nor a field of a nested message. */
export function isIntact(fields: readonly Field[]): boolean {
  return fields.every(({ problem, value }) => !problem && (value.kind !== "message" || isIntact(value.fields)));
}

function decodeField(bytes: Uint8Array, lookup: Lookup, start: number, end: number, depth: number): Field {
  const tag = varint(bytes, start, end);
  const number = tag.problem || tag.value >> 32n ? 0 : Number(tag.value >> 3n);
  const wireType = Number(tag.value & 7n);
  const info = lookup(number);
  const base = { start, tag: { start, end: tag.end }, number, wireType, info };
  // After such damage, the start of the next field is unknown.
  const damaged = (problem: Problem, from = tag.end, length?: Range): Field => {
    const content = { start: from, end };
    return { ...base, end, length, content, value: { kind: "bytes" }, problem };
  };

  if (tag.problem) return damaged(tag.problem);
  if (number === 0) return damaged("number");
  switch (wireType) {
    case 0: {
      const { value, end: after, problem } = varint(bytes, tag.end, end);
      if (problem) return damaged(problem);
      const content = { start: tag.end, end: after };
      return { ...base, end: after, content, ...numberOf(info, wireType, value) };
    }
    case 1:
    case 5: {
      const after = tag.end + (wireType === 1 ? 8 : 4);
      if (after > end) return damaged("short");
      const content = { start: tag.end, end: after };
      return { ...base, end: after, content, ...numberOf(info, wireType, littleEndian(bytes, content)) };
    }
    case 2: {
      const length = varint(bytes, tag.end, end);
      const range = { start: tag.end, end: length.end };
      if (length.problem) return damaged(length.problem);
      const after = BigInt(length.end) + length.value;
      if (after > BigInt(end)) return damaged("short", length.end, range);
      const content = { start: length.end, end: Number(after) };
      return { ...base, end: content.end, length: range, content, ...delimited(bytes, info, content, depth) };
    }
    default:
      return damaged(wireType < 5 ? "group" : "wireType");
  }
}

/** Reads a varint: seven bits a byte, the least significant first; the top bit says that another byte follows. */
export function varint(bytes: Uint8Array, start: number, end: number): { value: bigint; end: number; problem?: Problem | undefined } {
  let value = 0n;
  for (let at = start; at < end; at++) {
    if (at === start + 10) return { value, end: at, problem: "varint" };
    value |= BigInt(bytes[at]! & 0x7f) << BigInt(7 * (at - start));
    if (bytes[at]! < 0x80) return { value: BigInt.asUintN(64, value), end: at + 1 };
  }
  return { value, end, problem: end - start < 10 ? "cut" : "varint" };
}

function littleEndian(bytes: Uint8Array, { start, end }: Range): bigint {
  return bytes.subarray(start, end).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** Returns the wire type of a scalar type. */
function wireTypeOf(scalar: ScalarType | undefined): number {
  switch (scalar) {
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return 1;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return 5;
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return 2;
    default:
      return 0;
  }
}

/** Returns the value of a number, whose bits are `raw`. */
function numberOf(info: Definition | undefined, wireType: number, raw: bigint): { value: Value; problem?: Problem | undefined } {
  const fits = info && !info.message && info.fieldKind !== "map" && wireTypeOf(info.scalar) === wireType;
  const value = fits ? interpret(raw, info.scalar ?? ScalarType.INT32) : raw;
  return { value: { kind: "number", value }, problem: info && !fits ? "mismatch" : undefined };
}

/** Interprets the bits of a number by its type. */
function interpret(raw: bigint, scalar: ScalarType): Scalar {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, raw, true);
  switch (scalar) {
    case ScalarType.DOUBLE:
      return view.getFloat64(0, true);
    case ScalarType.FLOAT:
      return view.getFloat32(0, true);
    case ScalarType.BOOL:
      return raw !== 0n;
    case ScalarType.INT32:
    case ScalarType.SFIXED32:
      return view.getInt32(0, true);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return view.getUint32(0, true);
    case ScalarType.SINT32:
      return Number(zigzag(BigInt(view.getUint32(0, true))));
    case ScalarType.SINT64:
      return zigzag(raw);
    case ScalarType.INT64:
    case ScalarType.SFIXED64:
      return view.getBigInt64(0, true);
    default:
      return raw;
  }
}

/** Undoes ZigZag: 0, 1, 2, 3 stand for 0, -1, 1, -2. */
const zigzag = (raw: bigint) => (raw >> 1n) ^ -(raw & 1n);

/** Returns the value of a field of wire type 2. */
function delimited(
  bytes: Uint8Array,
  info: Definition | undefined,
  content: Range,
  depth: number,
): { value: Value; problem?: Problem | undefined } {
  const raw = { kind: "bytes" } as const;
  if (info?.message || info?.fieldKind === "map") {
    if (depth === MAX_DEPTH) return { value: raw, problem: "depth" };
    const lookup = info.fieldKind === "map" ? entryOf(info) : fieldsOf(info.message);
    const fields = decodeFields(bytes, lookup, content.start, content.end, depth + 1);
    return { value: { kind: "message", fields } };
  }
  if (info && wireTypeOf(info.scalar) !== 2) {
    return info.fieldKind === "list" ? packed(bytes, info, content) : { value: raw, problem: "mismatch" };
  }
  if (info?.scalar === ScalarType.BYTES) return { value: raw };
  const text = utf8(bytes, content);
  // Without a definition, bytes that look like a text probably are one.
  if (!info) return { value: text && !/[^\P{Cc}\s]/u.test(text) ? { kind: "text", value: text } : raw };
  return text === undefined ? { value: raw, problem: "utf8" } : { value: { kind: "text", value: text } };
}

/** On the wire, a map is a repeated message: the key is its field 1, the value its field 2. */
function entryOf({ mapKey, scalar, enum: values, message }: Definition): Lookup {
  const key: Definition = { name: "key", number: 1, scalar: mapKey, enum: undefined, message: undefined };
  const value: Definition = { name: "value", number: 2, scalar, enum: values, message };
  return (number) => [key, value][number - 1];
}

function utf8(bytes: Uint8Array, { start, end }: Range): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(start, end));
  } catch {
    return undefined;
  }
}

function packed(bytes: Uint8Array, info: Definition, content: Range): { value: Value; problem?: Problem | undefined } {
  const scalar = info.scalar ?? ScalarType.INT32;
  const width = { 0: 0, 1: 8, 5: 4 }[wireTypeOf(scalar)];
  const items: Item[] = [];
  let problem: Problem | undefined;
  for (let start = content.start; start < content.end && !problem; ) {
    let raw: bigint;
    let end: number;
    if (width) {
      end = start + width;
      if (end > content.end) problem = "short";
      raw = littleEndian(bytes, { start, end: Math.min(end, content.end) });
    } else {
      ({ value: raw, end, problem } = varint(bytes, start, content.end));
    }
    if (!problem) items.push({ start, end, value: interpret(raw, scalar) });
    start = end;
  }
  return { value: { kind: "packed", items }, problem };
}

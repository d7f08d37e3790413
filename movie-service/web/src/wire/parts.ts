/** A frame as a list of parts, each with its bytes. The page shows it as a tree beside the bytes. */
import type { DescMessage } from "@bufbuild/protobuf";
import { decodeFields, type Field, fieldsOf, type Item, type Range } from "./fields";
import { type Frame, PREFIX_BYTES, type TrailerLine, trailerLines } from "./frames";

/** A part of a frame. A part that is nested in another one follows it, with a greater depth. */
export type Part = Range & { readonly depth: number } & (
    | { readonly kind: "prefix"; readonly frame: Frame }
    | { readonly kind: "field"; readonly field: Field }
    | { readonly kind: "item"; readonly item: Item; readonly field: Field }
    | { readonly kind: "trailer"; readonly line: TrailerLine }
    /** Compressed bytes, which are not decoded. */
    | { readonly kind: "opaque" }
  );

/** Lists the parts of `frame`, which is all of `bytes`. Its message is decoded by the descriptor, if there is one. */
export function partsOf(bytes: Uint8Array, frame: Frame, desc: DescMessage | undefined): Part[] {
  const parts: Part[] = [];
  const prefix = Math.min(PREFIX_BYTES, frame.end);
  parts.push({ kind: "prefix", frame, start: 0, end: prefix, depth: 1 });
  if (prefix === frame.end) return parts;
  if (frame.compressed) {
    parts.push({ kind: "opaque", start: prefix, end: frame.end, depth: 1 });
  } else if (frame.trailer) {
    for (const line of trailerLines(bytes, prefix, frame.end)) {
      parts.push({ kind: "trailer", line, start: line.start, end: line.end, depth: 1 });
    }
  } else {
    addFields(parts, decodeFields(bytes, fieldsOf(desc), prefix, frame.end), 1);
  }
  return parts;
}

function addFields(parts: Part[], fields: readonly Field[], depth: number): void {
  for (const field of fields) {
    const { start, end, value } = field;
    parts.push({ kind: "field", field, start, end, depth });
    if (value.kind === "message") addFields(parts, value.fields, depth + 1);
    if (value.kind === "packed") {
      for (const item of value.items) {
        parts.push({ kind: "item", item, field, start: item.start, end: item.end, depth: depth + 1 });
      }
    }
  }
}

/** Returns, for each byte, the index of the innermost part that it belongs to. */
export function ownersOf(parts: readonly Part[], length: number): Int32Array {
  const owners = new Int32Array(length);
  // Nested parts come later, so they win.
  parts.forEach(({ start, end }, index) => owners.fill(index, start, end));
  return owners;
}

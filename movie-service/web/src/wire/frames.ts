/**
 * Frames of gRPC-Web: one byte of flags, four bytes of length, then the message or, with the flag 0x80, the trailers.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
 */
import type { Metadata } from "./record";

/** The length of the prefix of a frame. */
export const PREFIX_BYTES = 5;

const COMPRESSED = 0x01;
const TRAILER = 0x80;

/** A frame, as positions in the bytes that it was found in. */
export interface Frame {
  readonly start: number;
  /** The position after the last byte that is present. */
  readonly end: number;
  readonly flags: number;
  /** The length that the prefix states; undefined if the prefix itself is cut off. */
  readonly length: number | undefined;
  readonly trailer: boolean;
  readonly compressed: boolean;
  /** Whether all bytes of the frame are present. */
  readonly complete: boolean;
}

/** Finds the frames in `bytes`. Only the last one can be incomplete. */
export function findFrames(bytes: Uint8Array): Frame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: Frame[] = [];
  for (let start = 0; start < bytes.length; ) {
    const flags = bytes[start]!;
    const hasPrefix = start + PREFIX_BYTES <= bytes.length;
    const length = hasPrefix ? view.getUint32(start + 1) : undefined;
    const stated = length === undefined ? Infinity : start + PREFIX_BYTES + length;
    const end = Math.min(stated, bytes.length);
    frames.push({
      start,
      end,
      flags,
      length,
      trailer: (flags & TRAILER) !== 0,
      compressed: (flags & COMPRESSED) !== 0,
      complete: stated <= bytes.length,
    });
    start = end;
  }
  return frames;
}

/** A line of a trailer frame, with its position. */
export interface TrailerLine {
  readonly start: number;
  readonly end: number;
  readonly name: string;
  readonly value: string;
}

/** Splits the content of a trailer frame into its lines: `name: value`, each ended by CR LF as in HTTP/1.1. */
export function trailerLines(bytes: Uint8Array, from = 0, to = bytes.length): TrailerLine[] {
  const lines: TrailerLine[] = [];
  for (let start = from; start < to; ) {
    const feed = bytes.indexOf(0x0a, start);
    const end = feed < 0 || feed >= to ? to : feed + 1;
    const text = new TextDecoder().decode(bytes.subarray(start, end)).trim();
    const colon = text.indexOf(":");
    const [name, value] = colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1).trim()];
    lines.push({ start, end, name: name.toLowerCase(), value });
    start = end;
  }
  return lines;
}

/** The bytes of trailers that a `FrameReader` reads; more are not kept. */
const TRAILER_BYTES = 64 * 1024;

/** Follows the frames of a response while its bytes arrive in pieces, without keeping the messages. */
export class FrameReader {
  /** The number of complete messages. */
  messages = 0;
  /** The trailers, once the trailer frame is complete. */
  trailers?: Metadata;

  private readonly prefix = new Uint8Array(PREFIX_BYTES);
  private prefixLength = 0;
  private remaining = 0;
  private trailer: number[] = [];

  /** Takes the next bytes of the response. */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.prefixLength < PREFIX_BYTES) {
        this.prefix[this.prefixLength++] = bytes[at++]!;
        if (this.prefixLength < PREFIX_BYTES) continue;
        this.remaining = new DataView(this.prefix.buffer).getUint32(1);
      }
      const part = bytes.subarray(at, at + this.remaining);
      at += part.length;
      this.remaining -= part.length;
      const isTrailer = (this.prefix[0]! & TRAILER) !== 0;
      if (isTrailer) {
        for (const byte of part.subarray(0, TRAILER_BYTES - this.trailer.length)) this.trailer.push(byte);
      }
      if (this.remaining === 0) this.finish(isTrailer);
    }
  }

  private finish(isTrailer: boolean): void {
    this.prefixLength = 0;
    if (isTrailer) {
      this.trailers = trailerLines(Uint8Array.from(this.trailer)).map(({ name, value }) => [name, value]);
    } else {
      this.messages++;
    }
  }
}

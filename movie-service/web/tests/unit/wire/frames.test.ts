import { describe, expect, test } from "vitest";
import { findFrames, FrameReader, trailerLines } from "../../../src/wire/frames";
import { generator, hex } from "./random";

const ascii = (text: string) => new TextEncoder().encode(text);

/** The response of the tutorial's call, cut to a short message. */
const RESPONSE = Uint8Array.of(...hex("00 00 00 00 03 0a 01 61 80 00 00 00 0f"), ...ascii("grpc-status:0\r\n"));

describe("findFrames", () => {
  test("finds the message and the trailers", () => {
    const common = { compressed: false, complete: true };
    expect(findFrames(RESPONSE)).toEqual([
      { start: 0, end: 8, flags: 0, length: 3, trailer: false, ...common },
      { start: 8, end: 28, flags: 0x80, length: 15, trailer: true, ...common },
    ]);
  });

  test("finds nothing in no bytes", () => expect(findFrames(new Uint8Array())).toEqual([]));

  test("says when the prefix or the message is cut off", () => {
    expect(findFrames(RESPONSE.subarray(0, 4))).toMatchObject([{ end: 4, length: undefined, complete: false }]);
    expect(findFrames(RESPONSE.subarray(0, 7))).toMatchObject([{ end: 7, length: 3, complete: false }]);
    expect(findFrames(RESPONSE.subarray(0, 10))).toMatchObject([{ complete: true }, { start: 8, complete: false }]);
  });

  test("reads the largest length as unsigned", () => {
    expect(findFrames(hex("01 ff ff ff ff 00"))).toMatchObject([
      { length: 0xffffffff, compressed: true, end: 6, complete: false },
    ]);
  });

  test("covers any bytes without a gap", () => {
    const random = generator(1);
    for (let round = 0; round < 500; round++) {
      const bytes = Uint8Array.from({ length: random(40) }, () => (random(3) ? random(4) : random(256)));
      const frames = findFrames(bytes);
      let end = 0;
      for (const frame of frames) {
        expect(frame.start).toBe(end);
        expect(frame.end).toBeGreaterThan(frame.start);
        end = frame.end;
      }
      expect(end).toBe(bytes.length);
      expect(frames.slice(0, -1).every(({ complete }) => complete)).toBe(true);
    }
  });

  test("positions do not depend on where the bytes are in their buffer", () => {
    const shifted = Uint8Array.of(9, 9, 9, ...RESPONSE).subarray(3);
    expect(findFrames(shifted)).toEqual(findFrames(RESPONSE));
  });
});

describe("trailerLines", () => {
  test("splits names and values, with their positions", () => {
    const bytes = ascii("Grpc-Status:5\r\ngrpc-message: no%20movie: 7\r\nodd");
    expect(trailerLines(bytes)).toEqual([
      { start: 0, end: 15, name: "grpc-status", value: "5" },
      { start: 15, end: 44, name: "grpc-message", value: "no%20movie: 7" },
      { start: 44, end: 47, name: "odd", value: "" },
    ]);
  });
});

describe("FrameReader", () => {
  test("reads the same, however the bytes arrive", () => {
    const random = generator(2);
    const stream = Uint8Array.of(...hex("00 00 00 00 00"), ...RESPONSE);
    for (let round = 0; round < 200; round++) {
      const reader = new FrameReader();
      for (let at = 0; at < stream.length; ) {
        const length = 1 + random(9);
        reader.push(stream.subarray(at, at + length));
        at += length;
      }
      expect(reader.messages).toBe(2);
      expect(reader.trailers).toEqual([["grpc-status", "0"]]);
    }
  });

  test("counts a message only when it is complete", () => {
    const reader = new FrameReader();
    reader.push(RESPONSE.subarray(0, 7));
    expect(reader.messages).toBe(0);
    reader.push(RESPONSE.subarray(7, 8));
    expect(reader.messages).toBe(1);
    expect(reader.trailers).toBeUndefined();
  });
});

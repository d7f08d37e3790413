import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { MovieCatalog, MovieFilterSchema, MovieSchema } from "../../../src/gen/movie/catalog/v1/catalog_pb";
import { MovieDataSchema } from "../../../src/gen/movie_pb";
import en from "../../../src/text/en.json";
import fr from "../../../src/text/fr.json";
import { useTexts } from "../../../src/text";
import { explain, hexOf, titleOf } from "../../../src/views/wire-words";
import { findFrames } from "../../../src/wire/frames";
import { ownersOf, partsOf } from "../../../src/wire/parts";
import cases from "./cases.json";
import { generator, hex } from "./random";

/** Returns a frame with the message. */
function frame(message: Uint8Array, flags = 0): Uint8Array {
  const prefix = Uint8Array.of(flags, 0, 0, 0, 0);
  new DataView(prefix.buffer).setUint32(1, message.length);
  return Uint8Array.of(...prefix, ...message);
}

const parts = (bytes: Uint8Array, desc: Parameters<typeof partsOf>[2]) => partsOf(bytes, findFrames(bytes)[0]!, desc);

/** Explains all parts of a frame, a line for each range of bytes. */
function explained(bytes: Uint8Array, desc: Parameters<typeof partsOf>[2]): string[] {
  return parts(bytes, desc)
    .flatMap((part) => explain(part, bytes))
    .map(({ start, end, text }) => `${hexOf(bytes.subarray(start, end))}  ${text}`);
}

describe("parts", () => {
  test("of a message are its prefix and its fields, nested ones after the one around them", () => {
    const filter = create(MovieFilterSchema, { decades: [1990, 2000], genres: ["Western"] });
    const request = create(MovieCatalog.method.listMovies.input, { pageSize: 1, filter });
    const bytes = frame(toBinary(MovieCatalog.method.listMovies.input, request));
    const found = parts(bytes, MovieCatalog.method.listMovies.input);
    expect(found.map(({ kind, depth }) => `${kind} ${depth}`)).toEqual([
      "prefix 1",
      "field 1",
      "field 1",
      "field 2",
      "field 2",
      "item 3",
      "item 3",
    ]);
    const owners = ownersOf(found, bytes.length);
    // The prefix, page_size, then of the filter tag and length, the genre, tag and length of the decades, and each decade.
    expect([...owners]).toEqual([0, 0, 0, 0, 0, 1, 1, 2, 2, ...Array(9).fill(3), 4, 4, 5, 5, 6, 6]);
    expect(found.map((part, index) => titleOf(part, index - 4)).slice(1)).toEqual([
      { number: "1", name: "page_size", type: "int32", value: "1" },
      { number: "3", name: "filter", type: "MovieFilter", value: "" },
      { number: "4", name: "genres", type: "repeated string", value: '"Western"' },
      { number: "10", name: "decades", type: "repeated int32", value: "1990, 2000" },
      { number: "", name: "number 1", type: "", value: "1990" },
      { number: "", name: "number 2", type: "", value: "2000" },
    ]);
  });

  test("of a trailer frame are its lines", () => {
    const bytes = frame(new TextEncoder().encode("grpc-status:5\r\ngrpc-message:no\r\n"), 0x80);
    expect(parts(bytes, undefined).map((part) => titleOf(part))).toMatchObject([
      { value: "not a message, but the trailers, 32 bytes follow" },
      { name: "grpc-status", value: "5" },
      { name: "grpc-message", value: "no" },
    ]);
  });

  test("of a compressed message, and of a prefix that is cut off, are not decoded", () => {
    const compressed = frame(hex("1f 8b"), 1);
    expect(parts(compressed, MovieSchema).map(({ kind }) => kind)).toEqual(["prefix", "opaque"]);
    expect(explained(hex("00 00"), MovieSchema)).toEqual(["00  not compressed", "00  The prefix of five bytes is cut off."]);
  });
});

describe("explanations", () => {
  test("are those of the tutorial", () => {
    const martian = hex(cases.find(({ name }) => name === "a movie of the course")!.hex);
    expect(explained(frame(martian), MovieDataSchema)).toEqual([
      "00  not compressed",
      "00 00 00 46  70 bytes follow",
      "0a  tag: 1 << 3 | 2: field 1, wire type 2 (a length and that many bytes)",
      "0b  length: 11 bytes follow",
      '54 68 65 20 4d 61 72 74 69 61 6e  text in UTF-8: "The Martian"',
      "15  tag: 2 << 3 | 5: field 2, wire type 5 (four bytes)",
      "33 33 03 41  the lowest byte first: 41033333, as a float (IEEE 754): 8.2, exactly 8.199999809265137",
      "1a  tag: 3 << 3 | 2: field 3, wire type 2 (a length and that many bytes)",
      "0c  length: 12 bytes follow",
      '52 69 64 6c 65 79 20 53 63 6f 74 74  text in UTF-8: "Ridley Scott"',
      "22  tag: 4 << 3 | 2: field 4, wire type 2 (a length and that many bytes)",
      "24  length: 36 bytes follow",
      '61 38 30 33 34 66 34 34 2d 61 65 65 34 2d 34 34 63 66 2d 62 33 32 63 2d 37 34 63 66 34 35 32 61 61 61 61 65  text in UTF-8: "a8034f44-aee4-44cf-b32c-74cf452aaaae"',
    ]);
  });

  const last = (movie: Parameters<typeof create<typeof MovieSchema>>[1]) =>
    explained(frame(toBinary(MovieSchema, create(MovieSchema, movie))), MovieSchema);

  test("work out varints of several bytes", () => {
    expect(last({ year: 2001 })).toContain("d1 0f  seven bits of each byte, the lowest first: 81 + 15 × 128 = 2001");
    expect(last({ ratingCount: 1_000_000_000_000n }).at(-1)).toMatch(/ {2}6 bytes of seven bits, .*: 1000000000000$/);
    expect(last({ year: -2 }).at(-1)).toMatch(/ten bytes, since the number is negative: 2\^64 − 2, which stands for -2$/);
    expect(last({ overview: "x".repeat(300) })).toContain("ac 02  length: 44 + 2 × 128 = 300, 300 bytes follow");
    expect(last({ ratingCount: 1n })[2]).toBe(
      "80 01  tag: 0 + 1 × 128 = 128, 16 << 3 | 0: field 16, wire type 0 (a number in as few bytes as possible, seven bits in each)",
    );
  });

  test("name times, truth values and unknown fields", () => {
    expect(last({ createTime: { seconds: 1_700_000_000n, nanos: 5_000_000 } })).toContainEqual(
      expect.stringMatching(/a nested message, Timestamp: 2023-11-14T22:13:20.005Z$/),
    );
    expect(explained(frame(hex("18 01")), MovieCatalog.method.updateMovie.input).at(-1)).toBe(
      "01  0 is false, anything else is true: true",
    );
    expect(explained(frame(hex("28 07")), MovieDataSchema).at(-1)).toBe(
      "07  7. The contract has no field of this number. A reader skips it.",
    );
  });

  test("show characters that do not show, or that turn others around", () => {
    const bytes = frame(toBinary(MovieDataSchema, create(MovieDataSchema, { title: "a\u202eb\u0000\n七" })));
    expect(titleOf(parts(bytes, MovieDataSchema)[1]!).value).toBe(String.raw`"a\u202eb\u0000\n七"`);
  });

  test("say what is wrong", () => {
    expect(explained(frame(hex("0a 05 61")), MovieDataSchema).slice(2)).toEqual([
      "0a  tag: 1 << 3 | 2: field 1, wire type 2 (a length and that many bytes)",
      "05  length: 5 bytes follow",
      "61  Fewer bytes follow than there should be.",
    ]);
    expect(explained(frame(hex("8a")), MovieDataSchema).at(-1)).toBe("8a  The bytes end in the middle of a number.");
  });

  test.each([en, fr])("of any bytes have words in each language, and cover the part", (texts) => {
    useTexts(texts === en ? "en" : "fr", texts);
    const random = generator(5);
    for (let round = 0; round < 1000; round++) {
      const message = hex(cases[random(cases.length)]!.hex);
      if (message.length) message[random(message.length)] = random(256);
      const bytes = frame(message.slice(0, random(message.length + 1)), random(8) ? 0 : 0x80);
      for (const part of parts(bytes, MovieSchema)) {
        const ranges = explain(part, bytes);
        expect(ranges[0]!.start).toBe(part.start);
        expect(ranges.at(-1)!.end).toBe(part.end);
        for (const words of [...ranges.map(({ text }) => text), ...Object.values(titleOf(part))]) {
          expect(words).not.toMatch(/undefined|\{\d\}|\[object/);
        }
      }
    }
    useTexts("en", en);
  });
});

import { create, type DescField, type DescMessage, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { file_google_rpc_error_details } from "../../../src/gen/google/rpc/error_details_pb";
import { file_movie_catalog_v1_catalog, MovieSchema } from "../../../src/gen/movie/catalog/v1/catalog_pb";
import { file_movie, MovieDataSchema } from "../../../src/gen/movie_pb";
import { typeOf } from "../../../src/wire/contract";
import {
  decodeFields,
  type Definition,
  type Field,
  fieldsOf,
  isIntact,
  type Range,
  type Value,
} from "../../../src/wire/fields";
import { jsonOf } from "../../../src/wire/json";
import cases from "./cases.json";
import { generator, hex } from "./random";

type Nested = Extract<Value, { kind: "message" }>;

const MESSAGES = [file_movie, file_movie_catalog_v1_catalog, file_google_rpc_error_details].flatMap(
  ({ messages }) => messages,
);

const find = (name: string) => MESSAGES.find(({ typeName }) => typeName === name);
const lookup = (typeName: string) => fieldsOf(find(typeName));

describe("messages that prost encoded", () => {
  // The details of errors are decoded without a definition; the test of the status compares them.
  const known = cases.filter(({ message }) => find(message));

  test.each(known)("$name: $hex", ({ message, hex: bytes, value }) => {
    const fields = decodeFields(hex(bytes), lookup(message));
    expect(isIntact(fields)).toBe(true);
    expect(jsonOf(fields)).toEqual(value);
    expectCovered(fields, { start: 0, end: bytes.length / 2 });
  });

  test("fields that an older contract does not have are kept, without a name", () => {
    const { hex: bytes } = cases.find(({ name }) => name === "a movie read with an older contract")!;
    const unknown = decodeFields(hex(bytes), lookup("MovieData")).filter(({ info }) => !info);
    expect(unknown[0]).toMatchObject({ number: 5, wireType: 0, value: { kind: "number", value: 2001n } });
    expect(unknown[1]).toMatchObject({ number: 6, wireType: 2, value: { kind: "text", value: "Comedy" } });
  });
});

describe("positions", () => {
  test("of the tag, the length and the content", () => {
    expect(decodeFields(hex("1a 02 61 62 15 33 33 03 41"), lookup("MovieData"))).toMatchObject([
      {
        start: 0,
        end: 4,
        number: 3,
        wireType: 2,
        tag: { start: 0, end: 1 },
        length: { start: 1, end: 2 },
        content: { start: 2, end: 4 },
        value: { kind: "text", value: "ab" },
        info: { name: "director" },
      },
      { start: 4, end: 9, number: 2, wireType: 5, content: { start: 5, end: 9 } },
    ]);
  });

  test("are those in all bytes, also of a part and of nested messages", () => {
    const bytes = hex("ff ff 22 04 52 02 c6 0f ff");
    const [filter, ...rest] = decodeFields(bytes, lookup("movie.catalog.v1.SearchMoviesRequest"), 2, 8);
    expect(rest).toEqual([]);
    expect(filter).toMatchObject({ start: 2, end: 8, info: { name: "filter" } });
    expect((filter!.value as Nested).fields).toMatchObject([
      { start: 4, end: 8, info: { name: "decades" }, content: { start: 6, end: 8 } },
    ]);
  });
});

describe("damage", () => {
  const decode = (bytes: string) => decodeFields(hex(bytes), lookup("MovieData"));

  test.each([
    ["a tag without an end", "8a", "cut"],
    ["a number without an end", "28 ff ff", "cut"],
    ["a length without an end", "0a ff", "cut"],
    ["a varint of eleven bytes", "28 ff ff ff ff ff ff ff ff ff ff 01", "varint"],
    ["the field number 0", "00 01", "number"],
    ["a field number that is too large", "80 80 80 80 10 01", "number"],
    ["the start of a group", "0b 0c", "group"],
    ["the end of a group", "0c", "group"],
    ["the wire type 6", "0e 00", "wireType"],
    ["the wire type 7", "0f 00", "wireType"],
    ["a length beyond the end", "0a 05 61 62", "short"],
    ["the longest length", "0a ff ff ff ff ff ff ff ff ff 01 61", "short"],
    ["three bytes of a float", "15 33 33 03", "short"],
    ["seven bytes of a double", "29 00 00 00 00 00 00 00", "short"],
  ])("%s takes the rest of the message", (_, bytes, problem) => {
    const [before, damaged, ...after] = decode(`0a 01 61 ${bytes}`);
    expect(before!.problem).toBeUndefined();
    expect(damaged).toMatchObject({ start: 3, end: hex(bytes).length + 3, problem });
    expect(after).toEqual([]);
  });

  test.each([
    ["a text that is not UTF-8", "0a 02 c3 28", "utf8"],
    ["half of a surrogate pair", "0a 03 ed a0 80", "utf8"],
    ["a number instead of a text", "08 05", "mismatch"],
    ["a double instead of a float", "11 00 00 00 00 00 00 00 00", "mismatch"],
    ["a text instead of a float", "12 01 61", "mismatch"],
  ])("%s leaves the fields after it as they are", (_, bytes, problem) => {
    const [damaged, after] = decode(`${bytes} 22 01 62`);
    expect(damaged!.problem).toBe(problem);
    expect(after!.problem).toBeUndefined();
    expect(after!.value).toEqual({ kind: "text", value: "b" });
  });

  test("of packed numbers keeps those before it", () => {
    const [field] = decodeFields(hex("52 03 c6 0f 80"), lookup("movie.catalog.v1.MovieFilter"));
    expect(field).toMatchObject({ problem: "cut", value: { kind: "packed", items: [{ start: 2, end: 4, value: 1990 }] } });
  });

  test("in a nested message does not reach the one around it", () => {
    const fields = decodeFields(hex("52 02 08 ff 1a 01 61"), lookup("movie.catalog.v1.Movie"));
    expect(fields).toMatchObject([
      { value: { kind: "message", fields: [{ problem: "cut", start: 2, end: 4 }] } },
      { info: { name: "director" } },
    ]);
    expect(fields.map(({ problem }) => problem)).toEqual([undefined, undefined]);
  });

  test("too many nested messages are not followed", () => {
    const endless = { typeName: "Endless", fields: [] as Definition[] } as unknown as DescMessage;
    endless.fields.push({ name: "inner", number: 1, message: endless } as DescField);
    let bytes = new Uint8Array();
    for (let depth = 0; depth < 110; depth++) {
      const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7];
      bytes = Uint8Array.of(0x0a, ...length, ...bytes);
    }
    let [field] = decodeFields(bytes, fieldsOf(endless));
    let depth = 0;
    while (field?.value.kind === "message" && field.value.fields.length) {
      [field] = field.value.fields;
      depth++;
    }
    expect([depth, field!.problem]).toEqual([100, "depth"]);
  });
});

/** Asserts that fields follow each other without a gap, and that the parts of each do. */
function expectCovered(fields: readonly Field[], range: Range): void {
  expect(edges(fields, range.start)).toEqual([range.end, []]);
}

/** Returns the end of the last field, and the fields that do not begin where the one before ends, or whose parts do not. */
function edges(fields: readonly Field[], start: number): [end: number, apart: Field[]] {
  let at = start;
  const apart: Field[] = [];
  for (const field of fields) {
    const { tag, length, content, value, end } = field;
    const parts = [tag, ...(length ? [length] : []), content];
    const follow = parts.every((part, index) => part.start === (index === 0 ? at : parts[index - 1]!.end));
    if (!follow || field.start !== at || content.end !== end || end <= at) apart.push(field);
    if (value.kind === "message") {
      const [last, inner] = edges(value.fields, content.start);
      apart.push(...inner, ...(last === content.end ? [] : [field]));
    }
    at = end;
  }
  return [at, apart];
}

/** Whether the library decodes the bytes. */
function parses(desc: DescMessage, bytes: Uint8Array): boolean {
  try {
    fromBinary(desc, bytes);
    return true;
  } catch {
    return false;
  }
}

describe("any bytes", () => {
  const random = generator(17);

  test("are covered without a gap, and never throw", () => {
    for (let round = 0; round < 1500; round++) {
      const bytes = Uint8Array.from({ length: random(60) }, () => (random(2) ? random(32) : random(256)));
      const desc = MESSAGES[random(MESSAGES.length)]!;
      expectCovered(decodeFields(bytes, fieldsOf(desc)), { start: 0, end: bytes.length });
      expectCovered(decodeFields(bytes), { start: 0, end: bytes.length });
    }
  });

  test("that are a damaged message have a problem if the library refuses them", () => {
    let refused = 0;
    const encoded = cases.map(({ message, hex: bytes }) => ({ message, bytes: hex(bytes) }));
    for (let round = 0; round < 1500; round++) {
      const { message, bytes } = encoded[random(encoded.length)]!;
      const desc = MESSAGES.find(({ typeName }) => typeName === message);
      if (!desc) continue;
      const damaged = bytes.slice(0, random(3) ? bytes.length : random(bytes.length + 1));
      if (damaged.length && random(3)) damaged[random(damaged.length)] = random(256);
      const fields = decodeFields(damaged, fieldsOf(desc));
      expectCovered(fields, { start: 0, end: damaged.length });
      if (!parses(desc, damaged)) {
        refused++;
        expect(isIntact(fields)).toBe(false);
      }
    }
    expect(refused).toBeGreaterThan(150);
  });

  test("that are a movie give the same values as the library", () => {
    const text = () => String.fromCodePoint(...Array.from({ length: random(9) }, () => 32 + random(50000)));
    for (let round = 0; round < 300; round++) {
      const movie = create(MovieSchema, {
        title: text(),
        year: random(2 ** 31) - 2 ** 30,
        ratingCount: BigInt(random(2 ** 31)) * BigInt(random(2 ** 31)) * (random(2) ? 1n : -1n),
        cast: Array.from({ length: random(4) }, text),
        ...(random(2) && { createTime: { seconds: BigInt(random(2 ** 31)), nanos: 1 + random(1e9 - 1) } }),
      });
      const fields = decodeFields(toBinary(MovieSchema, movie), lookup("movie.catalog.v1.Movie"));
      expect(jsonOf(fields)).toEqual(toJson(MovieSchema, movie));
    }
  });
});

test("a movie of the course is read as the library reads it", () => {
  const bytes = toBinary(MovieDataSchema, create(MovieDataSchema, { title: "Amélie", rating: 8.3 }));
  expect(jsonOf(decodeFields(bytes, lookup("MovieData")))).toEqual({ title: "Amélie", rating: 8.3 });
});

test("a message of very many numbers is written as JSON", () => {
  const bytes = new Uint8Array(200_004).fill(1);
  bytes.set(hex("52 c0 9a 0c"));
  const fields = decodeFields(bytes, lookup("movie.catalog.v1.MovieFilter"));
  expect(isIntact(fields)).toBe(true);
  expect((jsonOf(fields) as { decades: number[] }).decades).toHaveLength(200_000);
});

test("types are written as the contract does", () => {
  const movie = lookup("movie.catalog.v1.Movie");
  const types = [1, 2, 6, 10, 16].map((number) => typeOf(movie(number)!));
  expect(types).toEqual(["string", "float", "repeated string", "Timestamp", "int64"]);
  expect(typeOf(lookup("google.rpc.ErrorInfo")(3)!)).toBe("map<string, string>");
  expect(typeOf(lookup("movie.catalog.v1.MovieFilter")(10)!)).toBe("repeated int32");
});

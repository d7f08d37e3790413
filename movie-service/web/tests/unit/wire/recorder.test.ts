import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { expect, test, vi } from "vitest";
import { Movie } from "../../../src/gen/movie_pb";
import type { CallRecord } from "../../../src/wire/record";
import { CallLog, recordingFetch } from "../../../src/wire/recorder";
import { hex } from "./random";

const URL = "http://localhost:3001/base/Movie/GetMovieByID";
const MESSAGE = hex("00 00 00 00 03 0a 01 61");
const TRAILERS = Uint8Array.of(0x80, 0, 0, 0, 15, ...new TextEncoder().encode("grpc-status:0\r\n"));
const HEADERS = { "content-type": "application/grpc-web+proto" };

/** A response whose body the test sends piece by piece. */
function pieces(headers: Record<string, string> = HEADERS) {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const cancelled = vi.fn();
  const body = new ReadableStream<Uint8Array>({ start: (it) => void (controller = it), cancel: cancelled });
  return { response: new Response(body, { headers }), controller, cancelled };
}

/** Makes a call through a recording `fetch` that gets `response`. */
async function call(response: Response | Promise<Response>, init: RequestInit = {}) {
  const log = new CallLog();
  const changes = vi.fn();
  log.addEventListener("change", changes);
  const fetch = recordingFetch(log, async () => response);
  const result = fetch(URL, { method: "POST", body: MESSAGE, ...init });
  return { changes, record: log.calls[0]!, result };
}

test("a call is in the log from its start, and ends with its trailers", async () => {
  const { response, controller } = pieces({ ...HEADERS, vary: "origin" });
  const { record, result, changes } = await call(response, { headers: { "X-Grpc-Web": "1" } });
  expect(record).toMatchObject({ service: "Movie", method: "GetMovieByID", url: URL, outcome: "running" });
  expect(record.requestBytes).toEqual(MESSAGE);
  expect(record.requestHeaders).toContainEqual(["x-grpc-web", "1"]);

  const reader = (await result).body!.getReader();
  expect(record).toMatchObject({ httpStatus: 200, responseMessages: 0 });
  expect(record.firstMessageAt).toBeUndefined();
  expect(record.responseHeaders).toContainEqual(["vary", "origin"]);

  controller.enqueue(MESSAGE);
  expect((await reader.read()).value).toEqual(MESSAGE);
  expect(record).toMatchObject({ responseMessages: 1, responseLength: 8, outcome: "running" });

  controller.enqueue(TRAILERS);
  controller.close();
  expect((await reader.read()).value).toEqual(TRAILERS);
  expect((await reader.read()).done).toBe(true);
  expect(record).toMatchObject({ trailers: [["grpc-status", "0"]], outcome: "ok", responseLength: 28 });
  expect(record.responseBytes).toEqual(Uint8Array.of(...MESSAGE, ...TRAILERS));
  expect(record.startedAt).toBeLessThanOrEqual(record.headersAt!);
  expect(record.headersAt).toBeLessThanOrEqual(record.firstMessageAt!);
  expect(record.firstMessageAt).toBeLessThanOrEqual(record.endedAt!);
  // The call, its headers, its message, and its end.
  expect(changes).toHaveBeenCalledTimes(4);
});

test("nothing is read before the caller reads it", async () => {
  const pull = vi.fn((controller: ReadableStreamDefaultController) => controller.enqueue(MESSAGE));
  const body = new ReadableStream({ pull }, { highWaterMark: 0 });
  const { record, result } = await call(new Response(body));
  const response = await result;
  await new Promise((resolve) => setTimeout(resolve));
  expect(pull).not.toHaveBeenCalled();
  await response.body!.getReader().read();
  expect(pull).toHaveBeenCalledTimes(1);
  expect(record.responseLength).toBe(8);
});

test("an error in the headers is an error", async () => {
  const { record, result } = await call(new Response(new Uint8Array(), { headers: { "grpc-status": "5" } }));
  await (await result).arrayBuffer();
  expect(record).toMatchObject({ outcome: "error", trailers: [] });
  expect(record.failure).toBeUndefined();
  expect(record.endedAt).toBeDefined();
});

test("a response without a status is an error, also without a body", async () => {
  for (const body of [MESSAGE, null]) {
    const { record, result } = await call(new Response(body, { status: 502 }));
    await (await result).arrayBuffer();
    expect(record).toMatchObject({ httpStatus: 502, outcome: "error" });
  }
});

test("a network failure is recorded, and thrown as it is", async () => {
  const failure = new TypeError("Failed to fetch");
  const { record, result } = await call(Promise.reject(failure));
  await expect(result).rejects.toBe(failure);
  expect(record).toMatchObject({ outcome: "error", failure: "Failed to fetch" });
  expect(record.headersAt).toBeUndefined();
});

test("a connection that is lost in the middle is recorded, and thrown as it is", async () => {
  const { response, controller } = pieces();
  const { record, result } = await call(response);
  const reader = (await result).body!.getReader();
  controller.enqueue(MESSAGE);
  await reader.read();
  const failure = new TypeError("network error");
  controller.error(failure);
  await expect(reader.read()).rejects.toBe(failure);
  expect(record).toMatchObject({ outcome: "error", failure: "network error", responseMessages: 1 });
});

test("an abort before the response, and in the middle of one, is recorded", async () => {
  const before = new AbortController();
  const first = await call(new Promise((_, reject) => before.signal.addEventListener("abort", () => reject(before.signal.reason))), {
    signal: before.signal,
  });
  before.abort(new Error("typed on"));
  await expect(first.result).rejects.toThrow("typed on");
  expect(first.record).toMatchObject({ outcome: "aborted", failure: "typed on" });

  const { response, cancelled } = pieces();
  const second = await call(response);
  await (await second.result).body!.cancel("enough");
  expect(cancelled).toHaveBeenCalledWith("enough");
  expect(second.record).toMatchObject({ outcome: "aborted", failure: "enough" });
});

test("a caller that stops reading after the trailers does not change the outcome", async () => {
  const { response, controller } = pieces();
  const { record, result } = await call(response);
  const reader = (await result).body!.getReader();
  controller.enqueue(TRAILERS);
  await reader.read();
  await reader.cancel();
  expect(record.outcome).toBe("ok");
});

test("the token is not kept", async () => {
  const { record, result } = await call(new Response(null), {
    headers: new Headers({ Authorization: "Bearer secret-1\u00e9" }),
  });
  await result;
  expect(record.requestHeaders).toEqual([["authorization", "Bearer …"]]);
  expect(JSON.stringify(record)).not.toContain("secret");
});

test("a long response passes whole, and only its beginning is kept", async () => {
  const part = new Uint8Array(100_000).fill(7);
  const frame = Uint8Array.of(0, 0, 15, 66, 64); // 1,000,000 bytes
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(frame);
      for (let round = 0; round < 10; round++) controller.enqueue(part);
      controller.enqueue(TRAILERS);
      controller.close();
    },
  });
  const { record, result } = await call(new Response(body));
  expect((await (await result).arrayBuffer()).byteLength).toBe(1_000_025);
  expect(record).toMatchObject({ responseLength: 1_000_025, responseMessages: 1, outcome: "ok" });
  expect(record.responseBytes.length).toBe(256 * 1024);
  expect(record.responseBytes.buffer.byteLength).toBe(256 * 1024);
  expect([...record.responseBytes.subarray(0, 6)]).toEqual([0, 0, 15, 66, 64, 7]);
});

test("the log keeps 100 calls, and 8 MiB", async () => {
  const log = new CallLog();
  const fetch = recordingFetch(log, async () => new Response(null, { headers: { "grpc-status": "0" } }));
  for (let call = 0; call < 120; call++) await fetch(URL, { body: MESSAGE, method: "POST" });
  expect(log.calls.length).toBe(100);
  const ids = log.calls.map(({ id }) => id);
  expect(ids).toEqual([...ids].sort((a, b) => a - b));

  const large = recordingFetch(log, async () => new Response(new Uint8Array(300_000).fill(7)));
  for (let call = 0; call < 50; call++) await (await large(URL, { body: MESSAGE, method: "POST" })).arrayBuffer();
  const bytes = (calls: readonly CallRecord[]) => calls.reduce((sum, { responseBytes }) => sum + responseBytes.length, 0);
  expect(bytes(log.calls)).toBeLessThanOrEqual(8 * 1024 * 1024);
  expect(log.calls.length).toBe(31);
  expect(log.calls.at(-1)!.id).toBe(ids.at(-1)! + 50);

  log.clear();
  expect(log.calls).toEqual([]);
});

test("calls of the transport are recorded, and get their response", async () => {
  const log = new CallLog();
  const fetch = recordingFetch(log, async () => new Response(Uint8Array.of(...MESSAGE, ...TRAILERS), { headers: HEADERS }));
  const stub = createClient(Movie, createGrpcWebTransport({ baseUrl: "http://localhost:3001/base", fetch }));
  expect((await stub.getMovieByID({ id: "a" })).title).toBe("a");
  const titles = [];
  for await (const movie of stub.getListMovies({})) titles.push(movie.title);
  expect(titles).toEqual(["a"]);
  expect(log.calls).toMatchObject([
    { service: "Movie", method: "GetMovieByID", requestBytes: MESSAGE, outcome: "ok" },
    { service: "Movie", method: "GetListMovies", requestBytes: new Uint8Array(5), outcome: "ok" },
  ]);
});

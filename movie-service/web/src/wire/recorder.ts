/** Records calls of gRPC-Web, without changing them: bytes, metadata and times. */
import { FrameReader } from "./frames";
import { type CallRecord, MAX_RECORDED_BYTES, type Metadata } from "./record";

const MAX_CALLS = 100;
/** The bytes that all records together keep. */
const MAX_TOTAL_BYTES = 8 * 1024 * 1024;

/** The calls of the page. Dispatches "change" when a call is added, or changes. */
export class CallLog extends EventTarget {
  private records: CallRecord[] = [];

  /** The calls, the newest last. */
  get calls(): readonly CallRecord[] {
    return this.records;
  }

  /** Forgets all calls. Calls that are running are not disturbed. */
  clear(): void {
    this.records = [];
    this.changed();
  }

  /** Adds a call; the oldest ones are forgotten if there are too many, or if they have too many bytes. */
  add(record: CallRecord): void {
    this.records = [...this.records, record].slice(-MAX_CALLS);
    this.changed();
  }

  /** Tells the listeners that a call has changed. */
  changed(): void {
    let bytes = 0;
    for (let at = this.records.length - 1; at >= 0; at--) {
      bytes += this.records[at]!.requestBytes.length + this.records[at]!.responseBytes.length;
      if (bytes > MAX_TOTAL_BYTES && at < this.records.length - 1) {
        this.records = this.records.slice(at + 1);
        break;
      }
    }
    this.dispatchEvent(new Event("change"));
  }
}

/** Copies headers, without the caller's token: `Bearer …`. */
function metadata(headers: Headers): Metadata {
  return [...headers].map(([name, value]) => [name, name === "authorization" ? value.replace(/(^\S+ |^)[^]+/, "$1…") : value]);
}

/** Errors of `fetch` and of response bodies. Browsers report them as a TypeError, as they do for mistakes in a program. */
const networkFailures = new WeakSet<object>();

export const isNetworkFailure = (error: unknown): boolean => networkFailures.has(error as object);

let lastId = 0;

/** Returns a `fetch` that records the calls it makes in `log`. The caller gets the same response, at the same time. */
export function recordingFetch(log: CallLog, fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    const [service = "", method = ""] = new URL(url, "http://localhost").pathname.split("/").slice(-2);
    const sent: Uint8Array = init?.body instanceof Uint8Array ? init.body : new Uint8Array();
    const record: CallRecord = {
      id: ++lastId,
      service,
      method,
      url,
      startedAt: performance.now(),
      requestHeaders: metadata(new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined))),
      responseHeaders: [],
      trailers: [],
      requestBytes: sent.slice(0, MAX_RECORDED_BYTES),
      requestLength: sent.length,
      responseBytes: new Uint8Array(),
      responseLength: 0,
      responseMessages: 0,
      outcome: "running",
    };
    const recording = new Recording(log, record, init?.signal ?? undefined);
    log.add(record);
    try {
      return recording.response(await fetch(input, init));
    } catch (error) {
      recording.fail(error);
      throw error;
    }
  };
}

/** The recording of one call. */
class Recording {
  private readonly frames = new FrameReader();
  /** The bytes kept so far; its size doubles, so that many small pieces are not copied each time. */
  private kept = new Uint8Array(1024);

  constructor(
    private readonly log: CallLog,
    private readonly record: CallRecord,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** Records the head of the response, and returns a response whose body is recorded while it is read. */
  response(response: Response): Response {
    const { record } = this;
    record.headersAt = performance.now();
    record.httpStatus = response.status;
    record.responseHeaders = metadata(response.headers);
    if (response.body === null) {
      this.end();
      return response;
    }
    this.log.changed();
    const { status, statusText, headers } = response;
    return new Response(this.tap(response.body), { status, statusText, headers });
  }

  /** Passes the body on piece by piece. It reads no more than its reader asks for, so nothing is buffered here. */
  private tap(body: ReadableStream<Uint8Array<ArrayBuffer>>): ReadableStream<Uint8Array<ArrayBuffer>> {
    const reader = body.getReader();
    return new ReadableStream(
      {
        pull: async (controller) => {
          try {
            const { done, value } = await reader.read();
            if (done) {
              this.end();
              controller.close();
            } else {
              this.received(value);
              controller.enqueue(value);
            }
          } catch (error) {
            this.fail(error);
            controller.error(error);
          }
        },
        cancel: (reason) => {
          this.fail(reason, true);
          return reader.cancel(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  private received(bytes: Uint8Array): void {
    const { record, frames } = this;
    this.keep(bytes.subarray(0, MAX_RECORDED_BYTES - record.responseBytes.length));
    record.responseLength += bytes.length;
    frames.push(bytes);
    record.responseMessages = frames.messages;
    if (frames.messages > 0) record.firstMessageAt ??= performance.now();
    if (frames.trailers) {
      record.trailers = frames.trailers;
      this.end();
    } else {
      this.log.changed();
    }
  }

  private keep(bytes: Uint8Array): void {
    const length = this.record.responseBytes.length;
    if (length + bytes.length > this.kept.length) {
      const larger = new Uint8Array(Math.max(this.kept.length * 2, length + bytes.length));
      larger.set(this.kept.subarray(0, length));
      this.kept = larger;
    }
    this.kept.set(bytes, length);
    this.record.responseBytes = this.kept.subarray(0, length + bytes.length);
  }

  /** The call is over: at the trailers, or at the end of a response without any. */
  private end(): void {
    const { trailers, responseHeaders } = this.record;
    const status = [...trailers, ...responseHeaders].find(([name]) => name === "grpc-status");
    this.finish(status?.[1] === "0" ? "ok" : "error");
  }

  /** The call failed, or its caller does not want the rest. */
  fail(reason: unknown, cancelled = false): void {
    if (reason instanceof TypeError) networkFailures.add(reason);
    const aborted = cancelled || (this.signal?.aborted ?? false);
    const text = (aborted && this.signal?.reason) || reason;
    if (this.finish(aborted ? "aborted" : "error") && text !== undefined) {
      this.record.failure = text instanceof Error ? text.message : String(text);
    }
  }

  /** Sets the outcome, unless the call has one. Returns whether it had none. */
  private finish(outcome: CallRecord["outcome"]): boolean {
    if (this.record.outcome !== "running") return false;
    this.record.outcome = outcome;
    this.record.endedAt = performance.now();
    this.record.responseBytes = this.record.responseBytes.slice();
    this.log.changed();
    return true;
  }
}

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type WatchMoviesResponse, WatchMoviesResponseSchema } from "../../src/gen/movie/catalog/v1/catalog_pb";
import { ErrorInfoSchema, RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb";
import { Watch } from "../../src/state/watch";

/** The service's side of a watch: each call that is opened, what it is sent, and how it ends. */
class FakeService {
  readonly calls: FakeCall[] = [];

  open = (token: string | undefined, signal: AbortSignal): AsyncIterable<WatchMoviesResponse> => {
    const call = new FakeCall(token, signal);
    this.calls.push(call);
    return call.messages();
  };

  get last(): FakeCall {
    return this.calls.at(-1)!;
  }
}

class FakeCall {
  private queue: (WatchMoviesResponse | Error | "end")[] = [];
  private wake = () => {};
  /** Whether messages still arrive after the caller has ended the call. */
  ignoresAbort = false;

  constructor(
    readonly token: string | undefined,
    readonly signal: AbortSignal,
  ) {
    signal.addEventListener("abort", () => {
      if (!this.ignoresAbort) this.push(new ConnectError("aborted", Code.Canceled));
    });
  }

  private push(event: WatchMoviesResponse | Error | "end"): void {
    this.queue.push(event);
    this.wake();
  }

  async send(message: MessageInitShape<typeof WatchMoviesResponseSchema>): Promise<void> {
    this.push(create(WatchMoviesResponseSchema, message));
    await vi.advanceTimersByTimeAsync(0);
  }

  async end(error?: Error): Promise<void> {
    this.push(error ?? "end");
    await vi.advanceTimersByTimeAsync(0);
  }

  async *messages(): AsyncIterable<WatchMoviesResponse> {
    for (;;) {
      const event = this.queue.shift();
      if (event === undefined) await new Promise<void>((resolve) => (this.wake = resolve));
      else if (event === "end") return;
      else if (event instanceof Error) throw event;
      else yield event;
    }
  }
}

const caughtUp = (revision: bigint) => ({
  revision,
  event: { case: "caughtUp" as const, value: true },
  resumeToken: `at ${revision}`,
});
const upserted = (revision: bigint, title: string) => ({
  revision,
  event: { case: "upserted" as const, value: { id: title, title } },
  resumeToken: `at ${revision}`,
});
const failure = (code: Code, reason: string) =>
  new ConnectError("no", code, undefined, [{ desc: ErrorInfoSchema, value: { reason } }]);

let service: FakeService;
let watch: Watch;
let told: string[];

beforeEach(() => {
  vi.useFakeTimers();
  service = new FakeService();
  told = [];
  watch = new Watch(
    service.open,
    {
      upserted: ({ title }) => told.push(`upserted ${title}`),
      deleted: (id) => told.push(`deleted ${id}`),
      startedAnew: (revision, lostHistory) => told.push(`anew at ${revision}${lostHistory ? ", lost" : ""}`),
    },
    () => 1,
  );
});

afterEach(() => {
  watch.stop();
  vi.useRealTimers();
});

describe("a watch", () => {
  test("is live once it has caught up, and tells each change", async () => {
    watch.start();
    expect([watch.state, service.last.token]).toEqual(["connecting", undefined]);
    await service.last.send(caughtUp(4n));
    expect(watch.state).toBe("live");
    await service.last.send(upserted(5n, "Alien"));
    await service.last.send({ revision: 6n, event: { case: "deletedId", value: "Alien" }, resumeToken: "at 6" });
    expect(told).toEqual(["anew at 4", "upserted Alien", "deleted Alien"]);
    expect(watch.revision).toBe(6n);
  });

  test("that is cut resumes after the last change, and reads nothing anew", async () => {
    watch.start();
    await service.last.send(caughtUp(4n));
    await service.last.send(upserted(5n, "Alien"));
    await service.last.end(new ConnectError("cut", Code.Unavailable));
    expect([watch.state, watch.problem?.reason]).toEqual(["waiting", "UNREACHABLE"]);
    await vi.advanceTimersByTimeAsync(500);
    expect([watch.state, service.last.token]).toEqual(["connecting", "at 5"]);
    await service.last.send(caughtUp(5n));
    expect([watch.state, watch.problem]).toEqual(["live", undefined]);
    expect(told).toEqual(["anew at 4", "upserted Alien"]);
  });

  test("that ends without an error is resumed as well", async () => {
    watch.start();
    await service.last.send(caughtUp(4n));
    await service.last.end();
    await vi.advanceTimersByTimeAsync(500);
    expect([service.calls.length, service.last.token]).toEqual([2, "at 4"]);
  });

  test("waits twice as long after each failure, at most 30 s, and as long as the service asks", async () => {
    watch.start();
    const waits: number[] = [];
    for (let attempt = 0; attempt < 9; attempt++) {
      const { length } = service.calls;
      await service.last.end(new ConnectError("down", Code.Unavailable));
      let waited = 0;
      for (; service.calls.length === length; waited += 250) await vi.advanceTimersByTimeAsync(250);
      waits.push(waited);
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    const { length } = service.calls;
    await service.last.send(caughtUp(1n));
    await service.last.end(
      new ConnectError("stopping", Code.Unavailable, undefined, [{ desc: RetryInfoSchema, value: { retryDelay: { seconds: 5n } } }]),
    );
    await vi.advanceTimersByTimeAsync(5499);
    expect(service.calls).toHaveLength(length);
    await vi.advanceTimersByTimeAsync(1);
    expect(service.calls).toHaveLength(length + 1);
  });

  test.each(["HISTORY_CHANGED", "REVISION_COMPACTED", "REVISION_UNKNOWN"])("after %s begins anew, and says so", async (reason) => {
    watch.start();
    await service.last.send(caughtUp(4n));
    await service.last.end(failure(Code.OutOfRange, reason));
    await vi.advanceTimersByTimeAsync(500);
    expect(service.last.token).toBeUndefined();
    await service.last.send(caughtUp(2n));
    expect(told).toEqual(["anew at 4", "anew at 2, lost"]);
    watch.restart();
    await service.last.send(caughtUp(3n));
    expect(told.at(-1)).toBe("anew at 3");
  });

  test.each([Code.Unauthenticated, Code.PermissionDenied])("with the status %i is not tried again", async (code) => {
    watch.start();
    await service.last.end(failure(code, "CREDENTIALS_UNKNOWN"));
    expect([watch.state, watch.problem?.reason]).toEqual(["refused", "CREDENTIALS_UNKNOWN"]);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(service.calls).toHaveLength(1);
  });

  test("that is stopped ends its call, tells nothing more, and resumes when it is started", async () => {
    watch.start();
    await service.last.send(caughtUp(4n));
    const stopped = service.last;
    stopped.ignoresAbort = true;
    watch.stop();
    expect([watch.state, stopped.signal.aborted]).toEqual(["off", true]);
    await stopped.send(upserted(5n, "late"));
    await vi.advanceTimersByTimeAsync(120_000);
    expect([told, service.calls.length]).toEqual([["anew at 4"], 1]);
    watch.start();
    expect(service.last.token).toBe("at 4");
  });

  test("is tried at once when it is started while it waits, and once only when it runs", async () => {
    watch.start();
    watch.start();
    expect(service.calls).toHaveLength(1);
    await service.last.end(new ConnectError("down", Code.Unavailable));
    watch.start();
    expect(service.calls).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(service.calls).toHaveLength(2);
  });

  test("goes on after a mistake of the page, which is reported", async () => {
    const reportError = vi.fn();
    vi.stubGlobal("reportError", reportError);
    told.push = () => {
      throw new Error("mistake");
    };
    watch.start();
    await service.last.send(caughtUp(4n));
    await service.last.send(upserted(5n, "Alien"));
    expect([reportError.mock.calls.length, service.calls.length, watch.revision]).toEqual([2, 1, 5n]);
    vi.unstubAllGlobals();
  });

  test("of another caller begins anew", async () => {
    watch.start();
    await service.last.send(caughtUp(4n));
    watch.restart();
    expect([service.calls.length, service.last.token]).toEqual([2, undefined]);
  });
});

import { Code } from "@connectrpc/connect";
import type { Movie, WatchMoviesResponse } from "../gen/movie/catalog/v1/catalog_pb";
import { type Problem, toProblem } from "../service/errors";

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;

/** `off`: not watching. `waiting`: cut off, to be tried again. `refused`: trying again would not help. */
type WatchState = "off" | "connecting" | "live" | "waiting" | "refused";

/** Begins a watch, after the message with this token; without one, with the next change. */
type OpenWatch = (resumeToken: string | undefined, signal: AbortSignal) => AsyncIterable<WatchMoviesResponse>;

/** The events of a watch. */
interface WatchEvents {
  upserted(movie: Movie): void;
  deleted(id: string): void;
  /**
   * The watch began at this revision without continuing an earlier one, so that changes before it may have been missed. If the
   * history was lost, films that were read before do not belong to it.
   */
  startedAnew(revision: bigint, lostHistory: boolean): void;
}

/** Reasons for which a watch cannot be resumed, so that everything has to be read again. */
const LOST = ["HISTORY_CHANGED", "REVISION_COMPACTED", "REVISION_UNKNOWN"];
/** Statuses after which the same call would fail again. */
const FINAL = [Code.Unauthenticated, Code.PermissionDenied, Code.Unimplemented];

/** Follows the changes of the catalogue, and resumes after a cut. Dispatches "change" when its state changes. */
export class Watch extends EventTarget {
  state: WatchState = "off";
  /** Why the watch was cut or refused. */
  problem: Problem | undefined;
  /** The revision of the last message. */
  revision: bigint | undefined;
  /** The attempts that failed, one after the other. */
  failures = 0;

  private resumeToken: string | undefined;
  private lostHistory = false;
  private running: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly open: OpenWatch,
    private readonly events: WatchEvents,
    private readonly random: () => number = Math.random,
  ) {
    super();
  }

  /** Begins to watch, or to watch again at once if the watch was cut. */
  start(): void {
    if (this.state === "live" || this.state === "connecting") return;
    this.failures = 0;
    void this.run();
  }

  /** Stops watching. The next start resumes here. */
  stop(): void {
    this.end();
    this.become("off");
  }

  /** Watches again from now on, for example as another caller. */
  restart(): void {
    this.end();
    this.resumeToken = undefined;
    this.state = "off";
    this.start();
  }

  private end(): void {
    clearTimeout(this.timer);
    this.running?.abort();
    this.running = undefined;
  }

  private async run(): Promise<void> {
    this.end();
    const running = new AbortController();
    this.running = running;
    this.become("connecting");
    let failure: unknown = new Error("the stream ended");
    try {
      for await (const message of this.open(this.resumeToken, running.signal)) {
        if (running !== this.running) return;
        try {
          this.received(message);
        } catch (error) {
          // A mistake of the page is no reason to read the stream again.
          reportError(error);
        }
      }
    } catch (error) {
      failure = error;
    }
    if (running === this.running) this.failed(toProblem(failure));
  }

  private received({ event, revision, resumeToken }: WatchMoviesResponse): void {
    const anew = this.resumeToken === undefined;
    this.revision = revision;
    if (resumeToken !== "") this.resumeToken = resumeToken;
    this.failures = 0;
    switch (event.case) {
      case "upserted":
        this.events.upserted(event.value);
        break;
      case "deletedId":
        this.events.deleted(event.value);
        break;
      case "caughtUp":
        if (anew) this.events.startedAnew(revision, this.lostHistory);
        this.lostHistory = false;
        this.problem = undefined;
        this.become("live");
    }
  }

  private failed(problem: Problem): void {
    this.problem = problem;
    if (LOST.includes(problem.reason)) {
      this.resumeToken = undefined;
      this.lostHistory = true;
    }
    if (FINAL.includes(problem.code)) {
      this.become("refused");
      return;
    }
    // Equal jitter spreads the callers of a service that returns, above the time that it asks for.
    const backOff = Math.min(FIRST_RETRY_MS * 2 ** this.failures++, MAX_RETRY_MS);
    const delay = (problem.retryAfterMs ?? 0) + backOff * (0.5 + this.random() / 2);
    this.timer = setTimeout(() => void this.run(), delay);
    this.become("waiting");
  }

  private become(state: WatchState): void {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}

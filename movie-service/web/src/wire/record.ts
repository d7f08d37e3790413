/** Types of recorded calls. */

/** A call that the page made, as it went over the wire. */
export interface CallRecord {
  readonly id: number;
  /** The full name of the service, such as "movie.catalog.v1.MovieCatalog". */
  readonly service: string;
  /** The name of the method, such as "SearchMovies". */
  readonly method: string;
  readonly url: string;
  /** Times are values of `performance.now()`, in milliseconds. */
  readonly startedAt: number;
  headersAt?: number;
  firstMessageAt?: number;
  endedAt?: number;
  httpStatus?: number;
  requestHeaders: Metadata;
  responseHeaders: Metadata;
  /** The trailers of the trailer frame; empty if the status is in the response headers. */
  trailers: Metadata;
  /** The request as sent: frames with their five-byte prefixes. At most `MAX_RECORDED_BYTES`; `requestLength` counts all. */
  requestBytes: Uint8Array;
  requestLength: number;
  /** The response as received. At most `MAX_RECORDED_BYTES`; `responseLength` counts all. */
  responseBytes: Uint8Array;
  responseLength: number;
  /** The number of complete messages in the response. */
  responseMessages: number;
  outcome: "running" | "ok" | "error" | "aborted";
  /** Why there is no status: the text of a network failure or of an abort. */
  failure?: string;
}

/** Headers or trailers, in order. */
export type Metadata = [name: string, value: string][];

/** The bytes of a request or of a response that a record keeps. */
export const MAX_RECORDED_BYTES = 256 * 1024;

import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb";
import { t } from "../text";
import { isNetworkFailure } from "../wire/recorder";

/** A field that the service refused, such as "poster_uri", and why. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** An error in the terms of the page. */
export interface Problem {
  readonly code: Code;
  /** The reason of `google.rpc.ErrorInfo`; `UNREACHABLE` if no response came; empty if the service gave none. */
  readonly reason: string;
  /** The service's own sentence. */
  readonly message: string;
  readonly violations: readonly Violation[];
  readonly retryAfterMs?: number;
}

/** Converts an error of a call, or of the page itself. */
export function toProblem(error: unknown): Problem {
  const failed = ConnectError.from(error);
  const [retry] = failed.findDetails(RetryInfoSchema);
  return {
    code: failed.code,
    reason: failed.findDetails(ErrorInfoSchema)[0]?.reason ?? (isUnreachable(failed) ? "UNREACHABLE" : ""),
    message: failed.rawMessage,
    violations: failed.findDetails(BadRequestSchema).flatMap((details) => details.fieldViolations),
    ...(retry?.retryDelay && {
      retryAfterMs: Number(retry.retryDelay.seconds) * 1000 + retry.retryDelay.nanos / 1e6,
    }),
  };
}

/** Returns an error that the service wrote as JSON (AIP-193). */
export function httpError(status: number, body: unknown): ConnectError {
  const { error } = body as { error?: { message?: string; status?: string; details?: { reason?: string }[] } };
  const name = (error?.status ?? "").replace(/_?([A-Z])([A-Z]*)/g, (_, first, rest) => first + rest.toLowerCase());
  const reason = error?.details?.find((detail) => detail.reason)?.reason;
  return new ConnectError(
    error?.message ?? `HTTP ${status}`,
    Code[name as keyof typeof Code] ?? Code.Unknown,
    undefined,
    reason === undefined ? [] : [{ desc: ErrorInfoSchema, value: { reason } }],
  );
}

/** Whether no complete response came. A cut response has no trailers. */
function isUnreachable(error: ConnectError): boolean {
  return error.code === Code.Unavailable || isNetworkFailure(error.cause) || error.rawMessage === "missing trailer";
}

/** Whether the caller itself ended the call. */
export const isAbort = (error: unknown): boolean => ConnectError.from(error).code === Code.Canceled;

/** Whether the call needs a token, or another one. */
export const needsToken = (problem: Problem): boolean => problem.code === Code.Unauthenticated;

/** Returns a sentence for people, with the cause and the remedy. */
export function sentence(problem: Problem): string {
  const { reasons, other } = t().errors;
  const isKnown = (reason: string): reason is keyof typeof reasons => Object.hasOwn(reasons, reason);
  return isKnown(problem.reason) ? reasons[problem.reason] : other(problem.message);
}

import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb";
import { withHttpErrors } from "../../src/service/transport";
import { CallLog, recordingFetch } from "../../src/wire/recorder";
import { isAbort, needsToken, sentence, toProblem } from "../../src/service/errors";
import { fieldOf } from "../../src/state/draft";
import en from "../../src/text/en.json";

const withReason = (code: Code, reason: string, message = "no") =>
  new ConnectError(message, code, undefined, [{ desc: ErrorInfoSchema, value: { reason, domain: "movie-service" } }]);

describe("an error of a call", () => {
  test("has its reason, all violations, and the time to wait", () => {
    const problem = toProblem(
      new ConnectError("title: too long", Code.InvalidArgument, undefined, [
        { desc: ErrorInfoSchema, value: { reason: "INVALID_FIELDS" } },
        {
          desc: BadRequestSchema,
          value: { fieldViolations: [{ field: "title", description: "too long" }, { field: "poster_uri", description: "no URI" }] },
        },
        { desc: RetryInfoSchema, value: { retryDelay: { seconds: 2n, nanos: 500_000_000 } } },
      ]),
    );
    expect(problem.reason).toBe("INVALID_FIELDS");
    expect(problem.violations.map(({ field, description }) => [field, description])).toEqual([["title", "too long"], ["poster_uri", "no URI"]]);
    expect(problem.retryAfterMs).toBe(2500);
  });

  test("without a response is told as such, which a mistake of the page is not", async () => {
    const cut = new TypeError("Failed to fetch");
    await expect(recordingFetch(new CallLog(), () => Promise.reject(cut))("http://localhost/a/b")).rejects.toBe(cut);
    expect(toProblem(new TypeError("x is undefined")).reason).toBe("");
    for (const error of [
      ConnectError.from(cut),
      new ConnectError("HTTP 503", Code.Unavailable),
      new ConnectError("missing trailer", Code.Unknown),
    ]) {
      expect(sentence(toProblem(error))).toBe(en.errors.reasons.UNREACHABLE);
    }
  });

  test.each(Object.entries(en.errors.reasons))("with the reason %s has a sentence of the page", (reason, text) => {
    expect(sentence(toProblem(withReason(Code.Unknown, reason)))).toBe(text);
  });

  test("of a request that the service refuses before the call is read from its JSON", async () => {
    const error = { code: 403, message: "pages of x may not call", status: "PERMISSION_DENIED", details: [{ reason: "ORIGIN_NOT_ALLOWED" }] };
    const refused = withHttpErrors(async () => Response.json({ error }, { status: 403 }))("http://localhost/");
    const problem = toProblem(await refused.catch((failure) => failure));
    expect([problem.code, problem.reason, problem.message]).toEqual([Code.PermissionDenied, "ORIGIN_NOT_ALLOWED", "pages of x may not call"]);
    expect(sentence(problem)).toContain("--web-origin");
    const html = new Response("<p>Bad gateway</p>", { status: 502, headers: { "content-type": "text/html" } });
    expect(await withHttpErrors(async () => html)("http://localhost/")).toBe(html);
  });

  test("with another reason has the sentence of the service", () => {
    expect(sentence(toProblem(withReason(Code.Internal, "NEW", "out of paper")))).toBe("The service refused: out of paper");
    expect(sentence(toProblem(withReason(Code.Internal, "toString", "odd")))).toBe("The service refused: odd");
  });

  test("of a caller that is not known asks for a token; one that the caller ended is none", () => {
    expect(needsToken(toProblem(withReason(Code.Unauthenticated, "CREDENTIALS_MISSING")))).toBe(true);
    expect(needsToken(toProblem(withReason(Code.PermissionDenied, "ROLE_TOO_LOW")))).toBe(false);
    expect(isAbort(new DOMException("", "AbortError"))).toBe(true);
    expect(isAbort(withReason(Code.Internal, ""))).toBe(false);
  });
});

test.each([
  ["title", "title"],
  ["poster_uri", "posterUri"],
  ["posterUri", "posterUri"],
  ["movie.runtime_minutes", "runtimeMinutes"],
  ["movie.genres[3]", "genres"],
  ["request_id", undefined],
  ["", undefined],
])("the violation of %j belongs to the field %j of the form", (violation, field) => {
  expect(fieldOf(violation)).toBe(field);
});

import { describe, expect, test } from "vitest";
import { statusOf } from "../../../src/wire/status";
import cases from "./cases.json";
import { hex } from "./random";

const DETAILS = hex(cases.find(({ name }) => name === "error details")!.hex);
const base64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));

const withDetails = (value: string) =>
  statusOf({ trailers: [["grpc-status", "3"], ["grpc-details", "x"], ["grpc-status-details-bin", value]], responseHeaders: [] });

describe("statusOf", () => {
  test("reads the trailers before the headers, and nothing without a status", () => {
    const headers: [string, string][] = [["grpc-status", "14"], ["grpc-message", "the%20store%20is%20down%3A%20%C3%A9"]];
    expect(statusOf({ trailers: [["grpc-status", "0"]], responseHeaders: headers })).toMatchObject({ code: 0, name: "OK" });
    expect(statusOf({ trailers: [], responseHeaders: headers })).toEqual({
      code: 14,
      name: "UNAVAILABLE",
      message: "the store is down: é",
      reason: undefined,
      details: [],
    });
    expect(statusOf({ trailers: [], responseHeaders: [] })).toBeUndefined();
  });

  test("names each code, and keeps an unknown one", () => {
    const name = (code: string) => statusOf({ trailers: [["grpc-status", code]], responseHeaders: [] })!.name;
    expect([name("1"), name("5"), name("16"), name("17"), name("x")]).toEqual([
      "CANCELLED",
      "NOT_FOUND",
      "UNAUTHENTICATED",
      "17",
      "x",
    ]);
  });

  test("a message that is badly encoded is shown as it is", () => {
    const trailers: [string, string][] = [["grpc-status", "2"], ["grpc-message", "100%"]];
    expect(statusOf({ trailers, responseHeaders: [] })!.message).toBe("100%");
  });

  test.each([base64(DETAILS), base64(DETAILS).replace(/=+$/, "")])("decodes the details that prost encoded: %s", (value) => {
    const status = withDetails(value)!;
    expect(status.reason).toBe("INVALID_FIELDS");
    expect(status.details.map(({ type, json }) => ({ "@type": `type.googleapis.com/${type}`, ...(json as object) }))).toEqual(
      (cases.find(({ name }) => name === "error details")!.value as { details: object[] }).details,
    );
  });

  test("keeps the type of a detail that it does not know, or that is damaged", () => {
    const any = (type: string, value: string) => {
      const url = new TextEncoder().encode(type);
      const content = hex(value);
      const message = [0x0a, url.length, ...url, 0x12, content.length, ...content];
      return base64(Uint8Array.of(0x1a, message.length, ...message));
    };
    expect(withDetails(any("type.googleapis.com/a.B", "0801"))!.details).toEqual([{ type: "a.B", json: undefined }]);
    expect(withDetails(any("x/google.rpc.ErrorInfo", "0a05"))!.details).toEqual([
      { type: "google.rpc.ErrorInfo", json: undefined },
    ]);
  });

  test("damaged details are no details", () => {
    for (const value of ["", "!", "////", "GgUK", base64(DETAILS.slice(0, 9))]) {
      const details = withDetails(value)!.details;
      expect(details.every(({ json }) => json === undefined)).toBe(true);
    }
  });
});

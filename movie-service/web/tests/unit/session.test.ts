import { afterEach, expect, test, vi } from "vitest";
import { isToken, Session } from "../../src/service/session";

afterEach(() => void vi.unstubAllGlobals());

test("a browser that blocks storage keeps the token in memory", () => {
  vi.stubGlobal("sessionStorage", undefined);
  const session = new Session();
  const changed = vi.fn();
  session.addEventListener("change", changed);
  session.token = "secret";
  expect([session.token, changed.mock.calls.length]).toEqual(["secret", 1]);
});

test.each([
  ["movie_a1.B-2~+/=", true],
  ["clé ✓", false],
  ["two words", false],
  ["", false],
])("whether %j can be a token: %j", (text, expected) => {
  expect(isToken(text)).toBe(expected);
});

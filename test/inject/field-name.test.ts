// Which fields an operator may have set, added to or removed. RFC 9110 sections 5.6.2 and 7.6.1.

import { describe, expect, test } from "bun:test";
import { fieldNameProblem } from "../../src/inject/field-name.ts";

describe("may be used", () => {
  test.each([
    "Authorization",
    "x-api-key",
    "Cookie",
    "Accept-Encoding",
    "X_Under_Score",
    "!#$%&'*+.^_`|~09AZaz-",
    "Proxy",
    "Hosts",
    "Te2",
    "x".repeat(128),
  ])("%s", (name) => {
    expect(fieldNameProblem(name)).toBeUndefined();
  });
});

describe("is no header name", () => {
  test.each([
    ["", "nothing"],
    [" X", "a space in front"],
    ["X Key", "a space within"],
    ["X-Key ", "a space behind, which some servers strip"],
    ["X-Key:", "a colon: the value would begin here"],
    ["X\r\nHost", "a line break: another field would begin"],
    ["X\nHost", "a bare line feed"],
    ["X\0", "NUL"],
    ["X\tY", "a tab"],
    ["Schlüssel", "beyond ASCII"],
    ["X(Key)", "a delimiter"],
    ['X"Key"', "quotes"],
    ["X/Key", "a slash"],
    ["x".repeat(129), "longer than any in use"],
  ])("%j: %s", (name) => {
    expect(fieldNameProblem(name)).toBe("is no header name");
  });
});

describe("governs the connection or the framing, in whatever case", () => {
  test.each([
    "Connection",
    "Content-Length",
    "Expect",
    "Host",
    "HTTP2-Settings",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Proxy-",
  ])("%s", (name) => {
    for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
      expect(fieldNameProblem(spelling)).toBe(
        "cannot carry a credential: it governs the connection or the framing",
      );
    }
  });
});

test("the message says what the field was to be used for", () => {
  expect(fieldNameProblem("Host", "be removed")).toBe(
    "cannot be removed: it governs the connection or the framing",
  );
});

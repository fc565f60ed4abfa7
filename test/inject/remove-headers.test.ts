// The client's own fields that go no further. wire.md section 6 (removed headers).

import { describe, expect, test } from "bun:test";
import { removedHeader, removeHeaders } from "../../src/inject/remove-headers.ts";
import { head, lines } from "./support.ts";

test("every field of the name goes, in whatever case and number; the rest keeps its order", () => {
  const headers = head(["X-Api-Key", "1"], ["Accept", "*/*"], ["x-api-KEY", "2"], ["X-Api-Key-2", "3"]);
  removeHeaders(headers, new Set([removedHeader({ host: "a.test", header: "X-API-Key" })]));
  expect(lines(headers)).toEqual(["Accept: */*", "X-Api-Key-2: 3"]);
});

test("a name that is not there changes nothing", () => {
  const headers = head(["Accept", "*/*"]);
  removeHeaders(headers, new Set(["x-api-key", "toString", "__proto__"]));
  expect(lines(headers)).toEqual(["Accept: */*"]);
});

describe("an error that names the host", () => {
  test.each([
    ["a.test", "Host", 'removed header for a.test: "Host" cannot be removed: it governs'],
    ["a.test", "content-length", 'removed header for a.test: "content-length" cannot be removed: it governs'],
    ["a.test", "Transfer-Encoding", "cannot be removed: it governs the connection or the framing"],
    ["a.test", "a b", 'removed header for a.test: "a b" is no header name'],
    ["a.test", "", 'removed header for a.test: "" is no header name'],
    ["*", "x-api-key", 'host pattern "*" matches everything'],
  ])("%s %j", (host, header, problem) => {
    expect(() => removedHeader({ host, header })).toThrow(problem);
  });
});

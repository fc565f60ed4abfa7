// Fields as a log may show them.

import { expect, test } from "bun:test";
import { filterHeaders } from "../../src/api/header-filter.ts";

test("Proxy-* is left out, what was injected hidden, the rest joined by name as first sent", () => {
  const sent = [
    ["X-A", "1"],
    ["Proxy-Authorization", "Bearer t"],
    ["x-a", "2"],
    ["X-API-Key", "secret"],
  ] as const;
  expect(filterHeaders(sent, true, "x-api-key")).toEqual({ "X-A": "1, 2", "X-API-Key": "[REDACTED]" });
  expect(filterHeaders(new Headers({ a: "b" }), false, "")).toEqual({ a: "b" });
});

test("fields named like properties that every object has are fields like any other", () => {
  const sent = ["__proto__", "constructor", "toString"].map((name) => [name, "x"] as const);
  expect(Object.entries(filterHeaders(sent, false, ""))).toEqual(sent.map((field) => [...field]));
});

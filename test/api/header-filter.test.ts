// Fields for a log: what is hidden, what is dropped, what is joined.

import { describe, expect, test } from "bun:test";
import { filterHeaders } from "../../src/index.ts";
import { SECRET } from "../support/secrets.ts";

describe("FilterHeaders", () => {
  const sent: readonly (readonly [string, string])[] = [
    ["Accept", "text/html"],
    ["X-Api-Key", SECRET],
    ["accept", "text/plain"],
    ["Proxy-Authorization", "Bearer t"],
    ["proxy-connection", "keep-alive"],
  ];

  test("hides the injected field whatever its case, drops Proxy-*, joins the rest under the first name", () => {
    expect(filterHeaders(sent, true, "x-api-key")).toEqual({
      Accept: "text/html, text/plain",
      "X-Api-Key": "[REDACTED]",
    });
  });

  test("shows the field when nothing was injected", () => {
    expect(filterHeaders(sent, false, "x-api-key")["X-Api-Key"]).toBe(SECRET);
  });

  test("hides every value of a field that came more than once", () => {
    const twice = [["A", SECRET] as const, ["a", SECRET] as const];
    expect(filterHeaders(twice, true, "A")).toEqual({ A: "[REDACTED]" });
  });

  test("takes Headers, and does not change them", () => {
    const headers = new Headers({ Authorization: `Bearer ${SECRET}`, "X-A": "1" });
    expect(filterHeaders(headers, true, "Authorization")).toEqual({
      authorization: "[REDACTED]",
      "x-a": "1",
    });
    expect(headers.get("authorization")).toBe(`Bearer ${SECRET}`);
  });

  test("a field named like a property of all objects is a field like any other", () => {
    const filtered = filterHeaders([["__proto__", "1"]], false, "");
    expect(Object.entries(filtered)).toEqual([["__proto__", "1"]]);
  });
});

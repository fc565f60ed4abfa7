// The stub that stands for an MCP server's credential. wire.md section 9: any other value is left alone.

import { describe, expect, test } from "bun:test";
import { grantHint, McpStub, stubsIn } from "../../src/inject/mcp-stub.ts";
import { type Field, head } from "./support.ts";

const stub = new McpStub("linear", "mcp-linear", "X-Mcp-Key", undefined);
const other = new McpStub("notes", "oauth:notion", "Authorization", undefined);

describe("is in a head", () => {
  const cases: readonly (readonly [string, boolean, readonly Field[]])[] = [
    ["the stub", true, [["X-Mcp-Key", "moat-stub-mcp-linear"]]],
    ["under the name in another case", true, [["x-mcp-KEY", "moat-stub-mcp-linear"]]],
    ["no field at all", false, []],
    ["the client's own value", false, [["X-Mcp-Key", "mine"]]],
    ["an empty value", false, [["X-Mcp-Key", ""]]],
    ["the stub of another grant", false, [["X-Mcp-Key", "moat-stub-mcp-linear2"]]],
    ["a beginning of it", false, [["X-Mcp-Key", "moat-stub-mcp-"]]],
    ["the stub in another case", false, [["X-Mcp-Key", "Moat-Stub-mcp-linear"]]],
    ["the stub behind a scheme", false, [["X-Mcp-Key", "Bearer moat-stub-mcp-linear"]]],
    ["the stub with more behind it", false, [["X-Mcp-Key", "moat-stub-mcp-linear, x"]]],
    ["the stub in another field", false, [["Authorization", "moat-stub-mcp-linear"]]],
    [
      "the stub beside a value of the client's own: which of them the server reads is not known",
      false,
      [
        ["X-Mcp-Key", "moat-stub-mcp-linear"],
        ["X-Mcp-Key", "mine"],
      ],
    ],
    [
      "the stub twice",
      false,
      [
        ["X-Mcp-Key", "moat-stub-mcp-linear"],
        ["x-mcp-key", "moat-stub-mcp-linear"],
      ],
    ],
  ];
  test.each(cases)("%s: %p", (_name, expected, fields) => {
    expect(stub.isIn(head(...fields))).toBe(expected);
    expect(stubsIn([other, stub], head(...fields))).toEqual(expected ? [stub] : []);
  });
});

test("a request may carry several, and gets those that it carries", () => {
  const third = new McpStub("third", "three", "X-Third", undefined);
  const headers = head(["X-Mcp-Key", "moat-stub-mcp-linear"], ["Authorization", "moat-stub-oauth:notion"]);
  expect(stubsIn([third, other, stub], headers)).toEqual([other, stub]);
  expect(stubsIn([], headers)).toEqual([]);
});

test.each([
  ["mcp-linear", "moat grant mcp linear"],
  ["linear", "moat grant mcp linear"],
  ["oauth:notion", "moat grant mcp oauth:notion"],
  ["x-mcp-y", "moat grant mcp x-mcp-y"],
  ["mcp-mcp-x", "moat grant mcp mcp-x"],
])("the fix for a missing %s is %s", (grant, hint) => {
  expect(grantHint(grant)).toBe(hint);
});

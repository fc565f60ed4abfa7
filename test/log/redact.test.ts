import { describe, expect, test } from "bun:test";
import { bound, clean, redactPath } from "../../src/log/redact.ts";

describe("control characters are removed", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["plain text stays", "/repos/ünïcode", "/repos/ünïcode"],
    ["line feed forges a line", "/a\nERROR forged", "/aERROR forged"],
    ["carriage return", "/a\rb", "/ab"],
    ["escape sequence", "/a\u001b[2Kb", "/a[2Kb"],
    ["NUL, tab and DEL", "\u0000a\tb\u007f", "ab"],
    ["C1 control sequence introducer", "a\u009b31mb", "a31mb"],
    ["Unicode line separators", "a\u2028b\u2029c", "abc"],
    ["right-to-left override", "a\u202etxt.exe", "atxt.exe"],
  ];
  for (const [name, text, expected] of cases) test(name, () => expect(clean(text)).toBe(expected));

  test("every occurrence goes, call after call", () => {
    expect(clean("\n1\n2\n")).toBe("12");
    expect(clean("\n1\n2\n")).toBe("12");
  });
});

test("a text longer than its bound ends in an ellipsis and has exactly that length", () => {
  expect(bound("abcdef", 6)).toBe("abcdef");
  expect(bound("abcdefg", 6)).toBe("abcde…");
});

describe("a token in a path is written [token]", () => {
  const token = "0123456789abcdef".repeat(4);
  const names = new Set(["context7", "slack"]);
  const cases: readonly (readonly [string, string, boolean, string])[] = [
    ["relay", `/relay/${token}/slack/x`, true, "/relay/[token]/slack/x"],
    ["mcp", `/mcp/${token}/context7`, true, "/mcp/[token]/context7"],
    ["nothing behind it", `/mcp/${token}`, true, "/mcp/[token]"],
    ["a token of the operator's own making", "/relay/hunter2/slack", true, "/relay/[token]/slack"],
    ["a configured name is no token", "/mcp/context7/sub", true, "/mcp/context7/sub"],
    ["an empty segment", "/relay//slack", true, "/relay//slack"],
    ["another local path", "/healthz", true, "/healthz"],
    ["somebody else's API", "/relay/hunter2/slack", false, "/relay/hunter2/slack"],
    ["our token sent to somebody else's API", `/relay/${token}/slack`, false, "/relay/[token]/slack"],
    ["in upper case", `/mcp/${token.toUpperCase()}/x`, false, "/mcp/[token]/x"],
  ];
  for (const [name, path, local, expected] of cases) {
    test(name, () => expect(redactPath(path, local, names)).toBe(expected));
  }
});

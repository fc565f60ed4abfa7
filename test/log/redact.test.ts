import { describe, expect, test } from "bun:test";
import { bound, clean, redactPath } from "../../src/log/redact.ts";
import type { ProxyType } from "../../src/proxy/record.ts";

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
  const cases: readonly (readonly [string, string, ProxyType, string])[] = [
    ["an absolute-form request that got lost", `/relay/${token}/slack/x`, "http", "/relay/[token]/slack/x"],
    ["nothing behind it", `/mcp/${token}`, "http", "/mcp/[token]"],
    ["a token of the operator's own making", "/relay/hunter2/slack", "http", "/relay/[token]/slack"],
    ["an empty segment", "/relay//slack", "http", "/relay//slack"],
    ["another local path", "/healthz", "http", "/healthz"],
    ["a relay has hidden its own", "/relay/slack/x", "relay", "/relay/slack/x"],
    ["so has an MCP server", "/mcp/[token]/context7", "mcp", "/mcp/[token]/context7"],
    ["somebody else's API", "/relay/hunter2/slack", "connect", "/relay/hunter2/slack"],
    ["our token sent to somebody else's API", `/relay/${token}/slack`, "connect", "/relay/[token]/slack"],
    ["in upper case", `/mcp/${token.toUpperCase()}/x`, "connect", "/mcp/[token]/x"],
  ];
  for (const [name, path, type, expected] of cases) {
    test(name, () => expect(redactPath(path, type)).toBe(expected));
  }
});

// The path of a relay taken apart, and the detours that are refused. wire.md sections 9 and 10.
import { describe, expect, test } from "bun:test";
import { parseRelayPath, refuseDetours } from "../../../src/proxy/local/relay-path.ts";
import { ProxyError } from "../../../src/values/errors.ts";

type Kind = "relay" | "mcp";

/** Token, name, prefix, sub path, query; or the code and text of the refusal. */
function parsed(kind: Kind, target: string, withToken: boolean): unknown {
  try {
    const { token, name, prefix, sub, query } = parseRelayPath(kind, target, withToken);
    return [token, name, prefix, sub, query];
  } catch (error) {
    return error instanceof ProxyError ? `${error.status} ${error.message}` : error;
  }
}

describe("a relay's path", () => {
  const NO_NAME = "400 invalid relay URL";
  const NO_SERVER = "400 invalid MCP relay URL";
  const cases: readonly (readonly [kind: Kind, target: string, withToken: boolean, expected: unknown])[] = [
    ["relay", "/relay/a", false, [undefined, "a", "/relay/a", "", ""]],
    ["relay", "/relay/a/", false, [undefined, "a", "/relay/a", "/", ""]],
    ["relay", "/relay/a/b/c?d=e?f", false, [undefined, "a", "/relay/a", "/b/c", "?d=e?f"]],
    ["relay", "/relay/a?b/c", false, [undefined, "a", "/relay/a", "", "?b/c"]],
    ["relay", "/relay/a//b", false, [undefined, "a", "/relay/a", "//b", ""]],
    ["relay", "/relay/a%20b/c", false, [undefined, "a b", "/relay/a%20b", "/c", ""]],
    ["relay", "/relay/a%2Fb/c", false, [undefined, "a/b", "/relay/a%2Fb", "/c", ""]],
    ["relay", "/relay/", false, NO_NAME],
    ["relay", "/relay//a", false, NO_NAME],
    ["relay", "/relay/?a", false, NO_NAME],
    ["relay", "/relay/%zz", false, NO_NAME],
    ["relay", "/relay/%ff", false, NO_NAME],
    ["relay", "/relay/t/a", true, ["t", "a", "/relay/t/a", "", ""]],
    ["relay", "/relay/t/a/b?c", true, ["t", "a", "/relay/t/a", "/b", "?c"]],
    ["relay", "/relay/t%2B/a", true, ["t+", "a", "/relay/t%2B/a", "", ""]],
    ["relay", "/relay/%zz/a", true, ["", "a", "/relay/%zz/a", "", ""]],
    ["relay", "/relay//a", true, ["", "a", "/relay//a", "", ""]],
    ["relay", "/relay/t", true, NO_NAME],
    ["relay", "/relay/t/", true, NO_NAME],
    ["relay", "/relay/t//a", true, NO_NAME],
    ["mcp", "/mcp/a/b", false, [undefined, "a", "/mcp/a", "/b", ""]],
    ["mcp", "/mcp/t/a/b", true, ["t", "a", "/mcp/t/a", "/b", ""]],
    ["mcp", "/mcp/t", true, NO_SERVER],
    ["mcp", "/mcp/?x", true, NO_SERVER],
    ["mcp", "/mcp/", false, NO_SERVER],
  ];
  for (const [kind, target, withToken, expected] of cases) {
    test(`${target} ${withToken ? "with" : "without"} a token: ${JSON.stringify(expected)}`, () => {
      expect(parsed(kind, target, withToken)).toEqual(expected);
    });
  }
});

describe("a sub path", () => {
  const detours = [
    ...["/..", "/../x", "/a/../b", "/a/..", "/.", "/./a", "/a/.", "/..;x/y", "/.;/a"],
    ...["/%2e%2e/x", "/%2E./x", "/.%2e/x", "/a%2fb", "/a%2Fb", "/a%5cb", "/a%5C..", "/a\\b", "/%252e%252e/"],
    ...["/%25252f", "/a%00", "/..%2f", "/..%5c.."],
  ];
  test.each(detours)("%s could leave the base path: 400", (sub) => {
    let thrown: unknown;
    try {
      refuseDetours(sub);
    } catch (error) {
      thrown = error;
    }
    expect(thrown instanceof ProxyError ? `${thrown.status} ${thrown.code}` : thrown).toBe(
      "400 invalid-path",
    );
  });

  const plain = [
    "",
    "/",
    "//",
    "/a",
    "/...",
    "/a..b",
    "/.well-known/x",
    "/a.",
    "/a%20b",
    "/%7e",
    "/..a",
    "/a;b/c",
  ];
  test.each(plain)("%s stays below it", (sub) => {
    expect(() => refuseDetours(sub)).not.toThrow();
  });
});

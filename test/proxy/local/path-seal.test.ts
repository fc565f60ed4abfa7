// Paths beyond a relay's base are let through with the proxy's own seal on them and with nothing else. wire.md section 10.
import { describe, expect, test } from "bun:test";
import { PathSeal } from "../../../src/proxy/local/path-seal.ts";

const seal = new PathSeal(new Uint8Array(32).fill(1));
const SCOPE = "/relay/t0ken/name";
const sealed = seal.seal(SCOPE, "/login/next");

describe("a sealed path", () => {
  test("is the path behind 43 characters of seal", () => {
    expect(sealed).toMatch(/^\/~[A-Za-z0-9_-]{43}\/login\/next$/);
    expect(seal.open(SCOPE, sealed)).toBe("/login/next");
  });

  test("may hold anything that an upstream announces", () => {
    for (const path of ["/", "/a%2fb", "/a/..;/b", "/~x/y", "/%00"]) {
      expect(seal.open(SCOPE, seal.seal(SCOPE, path))).toBe(path);
    }
  });

  const forged: readonly (readonly [attack: string, scope: string, sub: string])[] = [
    ["of another relay", "/relay/t0ken/other", sealed],
    ["of another token", "/relay/t1ken/name", sealed],
    ["of another kind", "/mcp/t0ken/name", sealed],
    ["on another path", SCOPE, sealed.replace("/next", "/admin")],
    ["on a longer path", SCOPE, `${sealed}/more`],
    ["on a shorter path", SCOPE, sealed.replace("/next", "")],
    ["made up", SCOPE, `/~${"A".repeat(43)}/login/next`],
    ["too short", SCOPE, `/~${"A".repeat(42)}/login/next`],
    ["too long", SCOPE, `/~${"A".repeat(44)}/login/next`],
    ["empty", SCOPE, "/~/login/next"],
    ["that is none", SCOPE, "/login/next"],
    ["without a path", SCOPE, sealed.slice(0, 45)],
    ["in capitals", SCOPE, sealed.toUpperCase()],
    ["with a slash moved from the path to the scope", `${SCOPE}/`, sealed],
    ["of nothing", SCOPE, ""],
  ];
  for (const [attack, scope, sub] of forged) {
    test(`${attack} opens nothing`, () => {
      expect(seal.open(scope, sub)).toBeUndefined();
    });
  }

  test("of another process opens nothing", () => {
    expect(new PathSeal(new Uint8Array(32).fill(2)).open(SCOPE, sealed)).toBeUndefined();
  });

  test("scope and path do not run into each other", () => {
    expect(seal.open("/relay/a", seal.seal("/relay/a/b", "/c"))).toBeUndefined();
    expect(seal.seal("/relay/a", "/b/c")).not.toBe(seal.seal("/relay/a/b", "/c"));
  });
});

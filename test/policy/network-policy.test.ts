// The network policy of wire.md section 7.

import { describe, expect, test } from "bun:test";
import { NetworkPolicy } from "../../src/policy/network-policy.ts";
import { parseAuthority } from "../../src/values/authority.ts";

function strict(allow: string[], grants: string[] = []): NetworkPolicy {
  return NetworkPolicy.compile({ policy: "strict", allow, grants });
}

describe("NetworkPolicy", () => {
  test.each([
    ["api.example.com", "api.example.com:80", true],
    ["api.example.com", "api.example.com:443", true],
    ["api.example.com", "api.example.com:8443", false],
    ["*.example.com", "a.example.com:80", true],
    ["*.example.com", "a.b.example.com:443", true],
    ["*.example.com", "a.example.com:22", false],
    ["[::1]", "[::1]:443", true],
    ["[::1]", "[::1]:8080", false],
  ])("no port means 80 and 443 only: %s, %s: %p", (pattern, authority, expected) => {
    expect(strict([pattern]).allows(parseAuthority(authority))).toBe(expected);
  });

  test.each([
    ["api.example.com:8443", "api.example.com:8443", true],
    ["api.example.com:8443", "api.example.com:443", false],
    ["*.example.com:8443", "a.example.com:8443", true],
    ["*.example.com:8443", "a.example.com:443", false],
  ])("a pattern with a port means that port: %s, %s: %p", (pattern, authority, expected) => {
    expect(strict([pattern]).allows(parseAuthority(authority))).toBe(expected);
  });

  test("patterns add up: one with a port does not narrow one without", () => {
    const policy = strict(["a.test:8443", "a.test", "*.test:22"]);
    for (const port of [80, 443, 8443, 22])
      expect(policy.allows(parseAuthority(`a.test:${port}`))).toBe(true);
    expect(policy.allows(parseAuthority("a.test:23"))).toBe(false);
    expect(policy.allows(parseAuthority("b.test:443"))).toBe(false);
  });

  test("wildcard never matches the apex", () => {
    expect(strict(["*.example.com"]).allows(parseAuthority("example.com:443"))).toBe(false);
  });

  test("hosts are compared without regard to case, trailing dot and spelling", () => {
    const policy = strict(["API.Example.com.", "0:0:0:0:0:0:0:1"]);
    expect(policy.allows(parseAuthority("api.EXAMPLE.com.:443"))).toBe(true);
    expect(policy.allows(parseAuthority("[::1]:443"))).toBe(true);
  });

  test("strict with nothing allowed denies everything, permissive allows everything", () => {
    const authority = parseAuthority("example.com:443");
    expect(strict([]).allows(authority)).toBe(false);
    const permissive = NetworkPolicy.compile({ policy: "permissive", allow: ["other.test"], grants: [] });
    expect(permissive.allows(authority)).toBe(true);
    expect(permissive.allows(parseAuthority("example.com:22"))).toBe(true);
  });

  test("grants expand to hosts, with the part after the colon ignored", () => {
    const policy = strict([], ["github:repo"]);
    expect(policy.allows(parseAuthority("github.com:443"))).toBe(true);
    expect(policy.allows(parseAuthority("raw.githubusercontent.com:443"))).toBe(true);
    expect(policy.allows(parseAuthority("githubusercontent.com:443"))).toBe(false);
    expect(policy.allows(parseAuthority("github.com:22"))).toBe(false);
    expect(policy.allows(parseAuthority("api.anthropic.com:443"))).toBe(false);
  });

  test.each(["strict", "permissive"] as const)(
    "under %s, mistakes are errors that name what is known",
    (policy) => {
      const compile = (allow: string[], grants: string[]) => () =>
        NetworkPolicy.compile({ policy, allow, grants });
      expect(compile([], ["githbu"])).toThrow(/unknown grant "githbu": known grants are .*github/);
      expect(compile(["a.test", "https://b.test"], [])).toThrow('"https://b.test"');
    },
  );

  test("a thousand patterns are all found, and nothing else", () => {
    const allow: string[] = [];
    for (let i = 0; i < 500; i++) allow.push(`host-${i}.test`, `*.zone-${i}.test:8443`);
    const policy = strict(allow);
    for (let i = 0; i < 500; i++) {
      expect(policy.allows(parseAuthority(`host-${i}.test:443`))).toBe(true);
      expect(policy.allows(parseAuthority(`a.b.zone-${i}.test:8443`))).toBe(true);
      expect(policy.allows(parseAuthority(`a.b.zone-${i}.test:443`))).toBe(false);
      expect(policy.allows(parseAuthority(`a.host-${i}.test:443`))).toBe(false);
    }
  });
});

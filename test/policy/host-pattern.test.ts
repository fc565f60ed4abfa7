// Host patterns and the ranking of wire.md section 6, with matchesHost as the oracle of the table.

import { describe, expect, test } from "bun:test";
import { HostTable, matchesHost, parseHostPattern } from "../../src/policy/host-pattern.ts";
import { parseAuthority } from "../../src/values/authority.ts";

describe("parseHostPattern", () => {
  test.each([
    ["api.example.com", false, "api.example.com", undefined],
    ["API.Example.COM.", false, "api.example.com", undefined],
    ["api.example.com:8443", false, "api.example.com", 8443],
    ["api.example.com.:8443", false, "api.example.com", 8443],
    ["*.example.com", true, "example.com", undefined],
    ["*.Example.Com.:443", true, "example.com", 443],
    ["*.com", true, "com", undefined],
    ["127.0.0.1:80", false, "127.0.0.1", 80],
    ["::1", false, "::1", undefined],
    ["0:0:0:0:0:0:0:1", false, "::1", undefined],
    ["[::1]", false, "::1", undefined],
    ["[2001:DB8::1]:443", false, "2001:db8::1", 443],
    ["xn--bcher-kva.example", false, "xn--bcher-kva.example", undefined],
  ])("%s is read canonically", (text, wildcard, host, port) => {
    expect(parseHostPattern(text)).toEqual({ wildcard, host, port });
  });

  test.each([
    ["", "is empty"],
    ["*", "policy: permissive"],
    ["api example.com", "white space"],
    ["api.example.com ", "white space"],
    ["api.example.com\n", "white space"],
    ["https://api.example.com", "slash"],
    ["api.example.com/v1", "slash"],
    ["user@example.com", '"@"'],
    ["*.*.example.com", '"*"'],
    ["api.*.com", '"*"'],
    ["*example.com", '"*"'],
    ["*:443", '"*"'],
    ["*.", "no host name"],
    [".example.com", "no host name"],
    ["a..b", "no host name"],
    ["*.127.0.0.1", "before an IP address"],
    ["*.[::1]", "before an IP address"],
    ["*.::1", "before an IP address"],
    ["bücher.example", "xn--"],
    ["a\0b", "printable ASCII"],
    ["127.1", "no host name"],
    ["0x7f000001", "no host name"],
    ["example.com:", "port"],
    ["example.com:0", "port"],
    ["example.com:65536", "port"],
    ["example.com:443:443", "port"],
    ["example.com:https", "port"],
    ["[::1", "no host name"],
    ["[::1]x", "no host name"],
    ["[::1]x:80", "no host name"],
    ["fe80::1%eth0", "no host name"],
    ["[fe80::1%eth0]", "no host name"],
  ])("a value that can never match is an error: %j, %s", (text, problem) => {
    expect(() => parseHostPattern(text)).toThrow(problem);
    expect(() => parseHostPattern(text)).toThrow(JSON.stringify(text));
  });
});

describe("matchesHost", () => {
  test.each([
    ["api.example.com", "api.example.com:443", true],
    ["api.example.com", "API.EXAMPLE.COM.:443", true],
    ["api.example.com", "api.example.com:9999", true],
    ["api.example.com:8443", "api.example.com:8443", true],
    ["api.example.com:8443", "api.example.com:443", false],
    ["api.example.com", "x.api.example.com:443", false],
    ["api.example.com", "api.example.com.evil.test:443", false],
    ["*.example.com", "a.example.com:443", true],
    ["*.example.com", "a.b.c.example.com:443", true],
    ["*.example.com", "evilexample.com:443", false],
    ["*.example.com", "example.com.evil.test:443", false],
    ["*.example.com:8443", "a.example.com:443", false],
    ["::1", "[::1]:443", true],
    ["[::1]:443", "[0:0::1]:443", true],
  ])("%s covers %s: %p", (pattern, authority, expected) => {
    expect(matchesHost(parseHostPattern(pattern), parseAuthority(authority))).toBe(expected);
  });

  test("wildcard never matches the apex", () => {
    expect(matchesHost(parseHostPattern("*.example.com"), parseAuthority("example.com:443"))).toBe(false);
    expect(matchesHost(parseHostPattern("*.example.com"), parseAuthority("example.com.:443"))).toBe(false);
  });

  test("wildcard never matches an IP literal", () => {
    const pattern = { wildcard: true, host: "0.0.1", port: undefined };
    expect(matchesHost(pattern, parseAuthority("127.0.0.1:443"))).toBe(false);
    const table = new HostTable<string>();
    table.set(pattern, "never");
    expect(table.lookup(parseAuthority("127.0.0.1:443"))).toBeUndefined();
  });
});

describe("HostTable", () => {
  // Best first: each line wins over all below it.
  const RANKED = [
    "a.b.example.com:8443",
    "a.b.example.com",
    "*.b.example.com:8443",
    "*.b.example.com",
    "*.example.com:8443",
    "*.example.com",
    "*.com:8443",
    "*.com",
  ];
  const authority = parseAuthority("a.b.example.com:8443");

  function winnerOf(patterns: readonly string[]): string | undefined {
    const table = new HostTable<string>();
    for (const text of patterns) table.set(parseHostPattern(text), text);
    return table.lookup(authority);
  }

  test.each(RANKED.map((winner, i) => [winner, i] as const))(
    "exact host:port, exact host, longest wildcard, pinned port: %s wins over all that follow",
    (winner, i) => {
      expect(winnerOf(RANKED.slice(i))).toBe(winner);
    },
  );

  test("the ranking is independent of order", () => {
    let seed = 7;
    for (let round = 0; round < 200; round++) {
      const shuffled = [...RANKED];
      for (let i = shuffled.length - 1; i > 0; i--) {
        seed = (seed * 1103515245 + 12345) & 0x7fffffff;
        const k = (seed >> 8) % (i + 1);
        [shuffled[i], shuffled[k]] = [shuffled[k] as string, shuffled[i] as string];
      }
      const taken = shuffled.slice(round % RANKED.length);
      const best = RANKED.find((text) => taken.includes(text));
      expect(winnerOf(taken)).toBe(best as string);
    }
  });

  test("a pattern pinned to another port does not hide a shorter one that matches", () => {
    const table = new HostTable<string>();
    table.set(parseHostPattern("a.b.example.com:1"), "exact, other port");
    table.set(parseHostPattern("*.b.example.com:2"), "long, other port");
    table.set(parseHostPattern("*.com"), "short");
    expect(table.lookup(authority)).toBe("short");
  });

  test("two spellings of one pattern are one key", () => {
    const table = new HostTable<string>();
    table.set(parseHostPattern("*.EXAMPLE.com."), "first");
    table.set(parseHostPattern("*.example.com"), "second");
    expect(table.get(parseHostPattern("*.Example.Com"))).toBe("second");
  });

  test("the exact and the wildcard entry of one domain are apart", () => {
    const table = new HostTable<string>();
    table.set(parseHostPattern("example.com"), "apex");
    table.set(parseHostPattern("*.example.com"), "below");
    expect(table.lookup(parseAuthority("example.com:443"))).toBe("apex");
    expect(table.lookup(parseAuthority("x.example.com:443"))).toBe("below");
  });

  test("names of object properties are hosts like any other", () => {
    const table = new HostTable<string>();
    table.set(parseHostPattern("*.example.com"), "x");
    expect(table.lookup(parseAuthority("constructor:80"))).toBeUndefined();
    expect(table.lookup(parseAuthority("x.__proto__:80"))).toBeUndefined();
  });
});

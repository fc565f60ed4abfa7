// One spelling per destination: every good spelling and its canonical form, every doubtful one refused.
// RFC 3986 section 3.2, wire.md section 4.

import { describe, expect, test } from "bun:test";
import {
  canonicalHost,
  formatAuthority,
  parseAuthority,
  parsePort,
  sameAuthority,
} from "../../src/values/authority.ts";
import { AUTHORITY_ATTACKS, GOOD_HOSTS, HOST_ATTACKS, PORT_ATTACKS } from "../corpus/authorities.ts";

function refusal(code: string): object {
  return expect.objectContaining({ name: "ProxyError", code, status: 400 });
}

describe("a host", () => {
  test.each(GOOD_HOSTS)("%s is %s", (text, host, kind) => {
    expect(canonicalHost(text)).toEqual({ host, kind });
    expect(canonicalHost(host)).toEqual({ host, kind });
    expect(parseAuthority(`${text}:8443`)).toEqual({ host, port: 8443, kind });
    expect(parseAuthority(text, 443)).toEqual({ host, port: 443, kind });
  });

  test.each(HOST_ATTACKS)("is refused: %s", (_name, text) => {
    expect(() => canonicalHost(text)).toThrow(refusal("invalid-host"));
    expect(() => parseAuthority(`${text}:443`)).toThrow(refusal("invalid-host"));
    expect(() => parseAuthority(text, 443)).toThrow(refusal("invalid-host"));
  });

  test("IPv6 without brackets is a host, never an authority", () => {
    expect(canonicalHost("2001:DB8::1")).toEqual({ host: "2001:db8::1", kind: "ipv6" });
    expect(() => parseAuthority("2001:db8::1", 443)).toThrow(refusal("invalid-host"));
  });

  test("a zone id is refused without brackets too", () => {
    expect(() => canonicalHost("fe80::1%eth0")).toThrow(refusal("invalid-host"));
  });
});

describe("a port", () => {
  test.each([1, 80, 443, 8080, 65535])("%d", (port) => {
    expect(parsePort(String(port))).toBe(port);
    expect(parseAuthority(`h.test:${port}`)).toEqual({ host: "h.test", port, kind: "name" });
    expect(parseAuthority(`[::1]:${port}`).port).toBe(port);
  });

  test.each(PORT_ATTACKS)("is refused: %s", (_name, port) => {
    expect(() => parsePort(port)).toThrow(refusal("invalid-port"));
    for (const host of ["h.test", "127.0.0.1", "[::1]"]) {
      expect(() => parseAuthority(`${host}:${port}`)).toThrow(refusal("invalid-port"));
      expect(() => parseAuthority(`${host}:${port}`, 80)).toThrow(refusal("invalid-port"));
    }
  });
});

describe("an authority", () => {
  test.each(AUTHORITY_ATTACKS)("is refused: %s", (_name, text, code) => {
    expect(() => parseAuthority(text)).toThrow(refusal(code));
    expect(() => parseAuthority(text, 80)).toThrow(refusal(code));
  });

  test.each(["h.test", "127.0.0.1", "[::1]"])("%s needs a port or a default", (host) => {
    expect(() => parseAuthority(host)).toThrow(refusal("invalid-host"));
    expect(parseAuthority(host, 80).port).toBe(80);
  });

  test("a port that is given wins over the default", () => {
    expect(parseAuthority("h.test:81", 80).port).toBe(81);
  });

  test.each([
    ["H.Test.:443", "h.test:443"],
    ["127.0.0.1:80", "127.0.0.1:80"],
    ["[2001:DB8:0::1]:80", "[2001:db8::1]:80"],
  ])("%s is written %s, and reads back as the same", (text, written) => {
    const authority = parseAuthority(text);
    expect(formatAuthority(authority)).toBe(written);
    expect(parseAuthority(written)).toEqual(authority);
  });

  test.each([
    [true, "h.test:443", "H.TEST.:443"],
    [true, "[::1]:443", "[0:0:0:0:0:0:0:1]:443"],
    [true, "[::ffff:1.2.3.4]:443", "[::FFFF:102:304]:443"],
    [false, "h.test:443", "h.test:80"],
    [false, "h.test:443", "a.h.test:443"],
    [false, "h.test:443", "h.testa:443"],
    [false, "127.0.0.1:443", "localhost:443"],
  ])("same %p: %s and %s", (expected, a, b) => {
    expect(sameAuthority(parseAuthority(a), parseAuthority(b))).toBe(expected);
    expect(sameAuthority(parseAuthority(b), parseAuthority(a))).toBe(expected);
  });

  test("a refusal does not repeat what was sent", () => {
    let thrown: unknown;
    try {
      parseAuthority("hunter2@h.test:443");
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeDefined();
    expect(
      Bun.inspect(thrown)
        .split("\n")
        .filter((line) => /^\w*Error|^error/.test(line))
        .join(),
    ).not.toContain("hunter2");
    expect((thrown as Error).message).toBe("invalid host format");
  });
});

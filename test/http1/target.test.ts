// Request targets and Host, from raw heads: the four forms, and every spelling that names two destinations.
// RFC 9112 section 3.2.

import { describe, expect, test } from "bun:test";
import type { RequestHead } from "../../src/http1/head.ts";
import { defaultPort, hostAuthority, parseTarget, type Target } from "../../src/http1/target.ts";
import { GOOD_HOSTS, HOST_ATTACKS, PORT_ATTACKS } from "../corpus/authorities.ts";
import { head } from "../corpus/raw.ts";
import { HOST_FIELD_ATTACKS, TARGET_ATTACKS } from "../corpus/targets.ts";
import {
  expectEverySplit,
  type Field,
  headerList,
  type Outcome,
  readRequestHead,
  refused,
  then,
} from "./support.ts";

function request(method: string, target: string, minor: 0 | 1, ...fields: readonly Field[]): RequestHead {
  return { method, target, minor, headers: headerList(...fields) };
}

/** Reads a head and says where it goes, as the proxy would; a refusal of any stage is the outcome. */
function destination(parts: readonly Uint8Array[]): Outcome<Target> {
  return then(readRequestHead(parts), (found) => {
    const target = parseTarget(found);
    if (target.form !== "authority") hostAuthority(found, 80);
    return target;
  });
}

const H_TEST = { host: "h.test", port: 80, kind: "name" } as const;

/** [method, target, what it is] */
const GOOD: readonly (readonly [method: string, target: string, expected: Target])[] = [
  ["GET", "/", { form: "origin", path: "/" }],
  ["GET", "/a%2Fb/../c?d=e&f#".slice(0, -1), { form: "origin", path: "/a%2Fb/../c?d=e&f" }],
  ["GET", "//evil.test/a", { form: "origin", path: "//evil.test/a" }],
  ["GET", "/http://evil.test/", { form: "origin", path: "/http://evil.test/" }],
  ["GET", "/user@evil.test", { form: "origin", path: "/user@evil.test" }],
  ["OPTIONS", "*", { form: "asterisk" }],
  ["OPTIONS", "/", { form: "origin", path: "/" }],
  ["CONNECT", "H.Test:443", { form: "authority", authority: { host: "h.test", port: 443, kind: "name" } }],
  ["CONNECT", "[::1]:8443", { form: "authority", authority: { host: "::1", port: 8443, kind: "ipv6" } }],
  [
    "GET",
    "http://h.test/a?b",
    { form: "absolute", scheme: "http", authority: H_TEST, host: "h.test", path: "/a?b" },
  ],
  [
    "GET",
    "http://h.test",
    { form: "absolute", scheme: "http", authority: H_TEST, host: "h.test", path: "/" },
  ],
  [
    "GET",
    "HTTP://H.TEST.:80/",
    { form: "absolute", scheme: "http", authority: H_TEST, host: "H.TEST.:80", path: "/" },
  ],
  [
    "GET",
    "http://h.test?a=b",
    { form: "absolute", scheme: "http", authority: H_TEST, host: "h.test", path: "/?a=b" },
  ],
  [
    "GET",
    "http://h.test?@evil.test/",
    { form: "absolute", scheme: "http", authority: H_TEST, host: "h.test", path: "/?@evil.test/" },
  ],
  [
    "GET",
    "http://h.test/@evil.test:1/",
    { form: "absolute", scheme: "http", authority: H_TEST, host: "h.test", path: "/@evil.test:1/" },
  ],
  [
    "GET",
    "https://h.test/",
    {
      form: "absolute",
      scheme: "https",
      authority: { host: "h.test", port: 443, kind: "name" },
      host: "h.test",
      path: "/",
    },
  ],
  [
    "GET",
    "http://[2001:DB8::1]:8080/",
    {
      form: "absolute",
      scheme: "http",
      authority: { host: "2001:db8::1", port: 8080, kind: "ipv6" },
      host: "[2001:DB8::1]:8080",
      path: "/",
    },
  ],
  [
    "OPTIONS",
    "http://h.test",
    { form: "absolute", scheme: "http", authority: H_TEST, host: "h.test", path: "*" },
  ],
  [
    "OPTIONS",
    "http://h.test/",
    { form: "absolute", scheme: "http", authority: H_TEST, host: "h.test", path: "/" },
  ],
  [
    "OPTIONS",
    "http://h.test?a",
    { form: "absolute", scheme: "http", authority: H_TEST, host: "h.test", path: "/?a" },
  ],
];

describe("a request target", () => {
  test.each(GOOD)("%s %s", (method, target, expected) => {
    const raw = head(`${method} ${target} HTTP/1.1`, "Host: h.test");
    expectEverySplit(raw, destination, { kind: "read", value: expected, used: raw.length }, ["x"]);
  });

  test.each(TARGET_ATTACKS)("is refused in every split: %s", (_name, raw, code) => {
    expectEverySplit(raw, destination, refused(code), ["x"]);
  });

  // Also without a reader in front: what the parser behind llhttp sees is not always what llhttp has checked.
  test.each(HOST_ATTACKS)("of CONNECT or with a scheme is refused: %s", (_name, host) => {
    expect(() => parseTarget(request("CONNECT", `${host}:443`, 1))).toThrow();
    if (!/[/?#]/.test(host)) expect(() => parseTarget(request("GET", `http://${host}/`, 1))).toThrow();
  });

  test.each(PORT_ATTACKS)("of CONNECT is refused: %s", (_name, port) => {
    expect(() => parseTarget(request("CONNECT", `h.test:${port}`, 1))).toThrow("invalid port");
  });

  test.each([
    "",
    "a",
    "?a",
    "#",
    "h.test",
    "h.test:80",
    "http",
    "http:",
    "http:/",
    "://h.test/",
    "1http://h.test/",
  ])("of no form is refused: %p", (target) => {
    expect(() => parseTarget(request("GET", target, 1))).toThrow(
      expect.objectContaining({ code: "malformed-request" }),
    );
  });
});

describe("Host", () => {
  test.each(HOST_FIELD_ATTACKS)("is refused in every split: %s", (_name, raw, code) => {
    expectEverySplit(raw, destination, refused(code), ["x"]);
  });

  test.each(GOOD_HOSTS)("%s names %s", (text, host, kind) => {
    expect(hostAuthority(request("GET", "/", 1, ["Host", text]), 80)).toEqual({ host, port: 80, kind });
    expect(hostAuthority(request("GET", "/", 1, ["Host", `${text}:81`]), 80)).toEqual({
      host,
      port: 81,
      kind,
    });
  });

  test("takes the port of the scheme when it has none", () => {
    const found = request("GET", "/", 1, ["hOsT", "h.test"]);
    expect(hostAuthority(found, 443)?.port).toBe(443);
    expect([defaultPort("http"), defaultPort("https")]).toEqual([80, 443]);
  });

  test("may be missing on HTTP/1.0 only", () => {
    expect(hostAuthority(request("GET", "/", 0), 80)).toBeUndefined();
    expect(() => hostAuthority(request("GET", "/", 1), 80)).toThrow("missing Host field");
  });
});

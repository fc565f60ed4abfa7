// Where a request goes, as tables: request line and Host in, upstream or refusal out. Outer connection and tunnel.
// RFC 9112 section 3.2, wire.md sections 4 and 5.
import { describe, expect, test } from "bun:test";
import type { RequestHead } from "../../src/http1/head.ts";
import { HeaderList } from "../../src/http1/headers.ts";
import { type Route, route, upstreamTarget } from "../../src/proxy/route.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { ProxyError } from "../../src/values/errors.ts";

function request(line: string, ...hosts: readonly string[]): RequestHead {
  const [method = "", target = "", version = "1.1"] = line.split(" ");
  const headers = new HeaderList();
  for (const host of hosts) headers.push("Host", host);
  return { method, target, minor: version === "1.0" ? 0 : 1, headers };
}

function pinned(key: string) {
  const scheme = key.startsWith("https:") ? "https" : "http";
  return upstreamTarget(scheme, parseAuthority(key.slice(scheme.length + 3)));
}

/** The route in one line, or the code of the refusal. */
function summary(head: RequestHead, within?: string): string {
  let found: Route;
  try {
    found = route(head, within === undefined ? undefined : pinned(within));
  } catch (error) {
    return error instanceof ProxyError ? error.code : String(error);
  }
  if (found.kind === "connect") return `connect ${found.authority.host} ${found.authority.port}`;
  if (found.kind === "local") return `local ${found.path}`;
  return `${found.target.key} ${found.path} host=${found.host ?? "as sent"}`;
}

/** [request line, Host fields, what becomes of it] */
const OUTER: readonly (readonly [string, readonly string[], string])[] = [
  ["GET http://a.test/x?q=1", ["a.test"], "http://a.test:80 /x?q=1 host=a.test"],
  ["GET http://a.test", ["a.test"], "http://a.test:80 / host=a.test"],
  ["GET http://a.test?q", ["a.test"], "http://a.test:80 /?q host=a.test"],
  ["GET http://A.Test.:8080/x", ["a.test"], "http://a.test:8080 /x host=a.test:8080"],
  ["GET https://a.test/x", ["a.test"], "https://a.test:443 /x host=a.test"],
  ["GET http://[::1]:8080/", ["a.test"], "http://[::1]:8080 / host=[::1]:8080"],
  ["OPTIONS http://a.test", ["a.test"], "http://a.test:80 * host=a.test"],
  ["GET http://a.test/%2Fa//b/../c", ["a.test"], "http://a.test:80 /%2Fa//b/../c host=a.test"],
  // The target wins over Host, RFC 9112 section 3.2.2.
  ["GET http://a.test/", ["b.test"], "http://a.test:80 / host=a.test"],
  ["GET http://a.test/", [], "malformed-request"],
  ["GET http://a.test/ 1.0", [], "http://a.test:80 / host=a.test"],
  ["GET http://a.test/", ["a.test", "a.test"], "malformed-request"],
  ["GET http://a.test/", ["a b"], "invalid-host"],
  ["GET http://a.test/", ["a.test:99999"], "invalid-port"],
  ["GET http://u:p@a.test/", ["a.test"], "malformed-request"],
  ["GET http://a.test/#f", ["a.test"], "malformed-request"],
  ["GET ftp://a.test/", ["a.test"], "malformed-request"],
  ["GET a.test", ["a.test"], "malformed-request"],
  ["GET *", ["a.test"], "malformed-request"],
  ["GET /healthz", ["a.test"], "local /healthz"],
  ["GET //a.test/healthz", ["a.test"], "local //a.test/healthz"],
  ["OPTIONS *", ["a.test"], "local *"],
  ["CONNECT a.test:443", ["a.test"], "connect a.test 443"],
  ["CONNECT A.TEST.:443", [], "connect a.test 443"],
  ["CONNECT [2001:DB8::1]:8443", ["x"], "connect 2001:db8::1 8443"],
  ["CONNECT a.test", ["a.test"], "invalid-host"],
  ["CONNECT a.test:", ["a.test"], "invalid-port"],
  ["CONNECT a.test:0", ["a.test"], "invalid-port"],
  ["CONNECT a.test:70000", ["a.test"], "invalid-port"],
  ["CONNECT a.test:+443", ["a.test"], "invalid-port"],
  ["CONNECT 2001:db8::1:443", ["a.test"], "invalid-host"],
  ["CONNECT http://a.test/", ["a.test"], "invalid-port"],
  ["CONNECT a.test:443", ["a.test", "b.test"], "malformed-request"],
  ["TRACE http://a.test/", ["a.test"], "method-not-allowed"],
  ["TRACE /healthz", ["a.test"], "method-not-allowed"],
];

/** The same inside a tunnel: [tunnel, request line, Host fields, what becomes of it] */
const INNER: readonly (readonly [string, string, readonly string[], string])[] = [
  ["https://a.test:443", "GET /x?q=1", ["a.test"], "https://a.test:443 /x?q=1 host=as sent"],
  ["https://a.test:443", "GET /", ["A.TEST.:443"], "https://a.test:443 / host=a.test"],
  ["https://a.test:8443", "GET /", ["a.test:8443"], "https://a.test:8443 / host=as sent"],
  ["https://a.test:443", "GET / 1.0", [], "https://a.test:443 / host=a.test"],
  ["https://a.test:8443", "GET / 1.0", [], "https://a.test:8443 / host=a.test:8443"],
  ["https://[::1]:443", "GET / 1.0", [], "https://[::1]:443 / host=[::1]"],
  ["http://a.test:80", "GET /", ["a.test"], "http://a.test:80 / host=as sent"],
  ["https://a.test:443", "OPTIONS *", ["a.test"], "https://a.test:443 * host=as sent"],
  ["https://a.test:443", "GET https://a.test/x", ["a.test"], "https://a.test:443 /x host=a.test"],
  // An absolute-form target wins over Host, also over a wrong one.
  ["https://a.test:443", "GET https://a.test/x", ["b.test"], "https://a.test:443 /x host=a.test"],
  ["https://a.test:443", "GET https://b.test/x", ["a.test"], "misdirected"],
  ["https://a.test:443", "GET http://a.test:443/x", ["a.test"], "misdirected"],
  ["https://a.test:443", "GET https://a.test:444/x", ["a.test"], "misdirected"],
  ["http://a.test:80", "GET https://a.test:80/x", ["a.test"], "misdirected"],
  ["https://a.test:443", "GET /", ["b.test"], "misdirected"],
  ["https://a.test:443", "GET /", ["a.test:80"], "misdirected"],
  ["https://a.test:443", "GET /", ["a.test.evil.test"], "misdirected"],
  ["https://a.test:8443", "GET /", ["a.test"], "misdirected"],
  ["http://a.test:8080", "GET /", ["a.test"], "misdirected"],
  ["https://a.test:443", "GET /", [], "malformed-request"],
  ["https://a.test:443", "GET /", ["a.test", "a.test"], "malformed-request"],
  ["https://a.test:443", "GET /", ["a.test,b.test"], "invalid-host"],
  ["https://a.test:443", "GET /", ["u@a.test"], "invalid-host"],
  ["https://a.test:443", "CONNECT a.test:443", ["a.test"], "malformed-request"],
  ["https://a.test:443", "TRACE /", ["a.test"], "method-not-allowed"],
  // Never the proxy's own endpoints.
  ["https://a.test:443", "GET /healthz", ["a.test"], "https://a.test:443 /healthz host=as sent"],
];

describe("a request on the outer connection", () => {
  for (const [line, hosts, expected] of OUTER) {
    test(`${line} (Host ${hosts.join(" and ") || "missing"}): ${expected}`, () => {
      expect(summary(request(line, ...hosts))).toBe(expected);
    });
  }
});

describe("a request inside a tunnel", () => {
  for (const [tunnel, line, hosts, expected] of INNER) {
    test(`${tunnel}, ${line} (Host ${hosts.join(" and ") || "missing"}): ${expected}`, () => {
      expect(summary(request(line, ...hosts), tunnel)).toBe(expected);
    });
  }
});

describe("an upstream as it is shown", () => {
  const cases = [
    ["http://a.test:80", "a.test"],
    ["http://a.test:443", "a.test:443"],
    ["https://a.test:443", "a.test"],
    ["https://a.test:80", "a.test:80"],
    ["https://[2001:db8::1]:443", "[2001:db8::1]"],
    ["https://[2001:db8::1]:8443", "[2001:db8::1]:8443"],
  ] as const;
  for (const [key, shown] of cases) {
    test(`${key} is ${shown}`, () => {
      expect(pinned(key).display).toBe(shown);
    });
  }
});

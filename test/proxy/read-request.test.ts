// A head becomes a request: recorded first, so that a refusal of it is recorded too. RFC 9112 sections 6 and 9.
import { describe, expect, test } from "bun:test";
import type { RequestHead } from "../../src/http1/head.ts";
import { HeaderList } from "../../src/http1/headers.ts";
import { readRequest } from "../../src/proxy/read-request.ts";
import { Recorder } from "../../src/proxy/recorder.ts";
import { upstreamTarget } from "../../src/proxy/route.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { ProxyError } from "../../src/values/errors.ts";

const PEER = { clientIp: "192.0.2.7", token: undefined, user: undefined };

function request(line: string, ...fields: readonly (readonly [string, string])[]): RequestHead {
  const [method = "", target = ""] = line.split(" ");
  const headers = new HeaderList();
  for (const [name, value] of fields) headers.push(name, value);
  return { method, target, minor: 1, headers };
}

function recorder(): Recorder {
  return new Recorder({
    records: { write() {} },
    clock: { now: () => 0 },
    ids: { next: () => "req-1" },
    detail: { captureHeaders: [], query: false },
  });
}

describe("a request", () => {
  const inside = upstreamTarget("https", parseAuthority("api.test:8443", 443));
  const cases: readonly (readonly [
    line: string,
    pinned: boolean,
    type: string,
    host: string,
    path: string,
  ])[] = [
    ["GET http://API.test/a?q", false, "http", "api.test", "/a"],
    ["GET /healthz", false, "http", "", "/healthz"],
    ["CONNECT api.test:443", false, "connect", "api.test:443", "/"],
    ["GET /a", true, "connect", "api.test:8443", "/a"],
    ["GET http://alice:s3cret@api.test/", false, "http", "", "/"],
  ];
  for (const [line, pinned, type, host, path] of cases) {
    test(`${line}${pinned ? " in a tunnel" : ""} is recorded as ${type} ${host}`, () => {
      const { record } = readRequest(request(line), PEER, pinned ? inside : undefined, recorder());
      expect([record.proxyType, record.host, record.clientIp]).toEqual([
        type as typeof record.proxyType,
        host,
        "192.0.2.7",
      ]);
      if (record.method !== "CONNECT") expect(record.path).toBe(path);
    });
  }

  for (const [target, kind] of [
    ["/relay/t0ken/api/x?y", "relay"],
    ["/mcp/t0ken/ctx", "mcp"],
  ] as const) {
    test(`${target} is recorded without what may be a token; a refusal may follow at once`, () => {
      const { record } = readRequest(request(`GET ${target}`), PEER, undefined, recorder());
      expect([record.proxyType, record.path]).toEqual([kind, `/${kind}/[token]`]);
    });
  }

  test("inside a tunnel is the upstream's, whatever its path is called", () => {
    const { record } = readRequest(request("GET /relay/a/b"), PEER, inside, recorder());
    expect([record.proxyType, record.path]).toEqual(["connect", "/relay/a/b"]);
  });

  test("has its framing and its connection options read once", () => {
    const { framing, options } = readRequest(
      request("POST /", ["Content-Length", "5"], ["Connection", "close, X-Hop"]),
      PEER,
      undefined,
      recorder(),
    );
    expect(framing).toEqual({ kind: "length", length: 5 });
    expect([options.close, [...(options.nominated ?? [])]]).toEqual([true, ["x-hop"]]);
  });

  const bad: readonly (readonly [
    what: string,
    code: string,
    fields: readonly (readonly [string, string])[],
  ])[] = [
    [
      "two lengths (smuggling)",
      "malformed-request",
      [
        ["Content-Length", "5"],
        ["Content-Length", "5"],
      ],
    ],
    ["a coding before chunked", "unsupported-coding", [["Transfer-Encoding", "gzip, chunked"]]],
    ["Connection: Content-Length (smuggling)", "malformed-request", [["Connection", "content-length"]]],
  ];
  for (const [what, code, fields] of bad) {
    test(`with ${what} is refused with its record open`, () => {
      const records = recorder();
      let thrown: unknown;
      try {
        readRequest(request("POST /a", ...fields), PEER, undefined, records);
      } catch (error) {
        thrown = error;
      }
      expect(thrown instanceof ProxyError ? thrown.code : thrown).toBe(code);
      expect(records.current).toMatchObject({ method: "POST", path: "/a" });
    });
  }
});

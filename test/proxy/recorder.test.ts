// Exactly one record per request: opened, closed once, complete; and what of a target it shows.
// wire.md section 12.
import { describe, expect, test } from "bun:test";
import type { RequestHead } from "../../src/http1/head.ts";
import { HeaderList } from "../../src/http1/headers.ts";
import { MAX_PATH, pathOf, type RecordDetail, type RequestRecord } from "../../src/proxy/record.ts";
import { Recorder } from "../../src/proxy/recorder.ts";
import { ProxyError } from "../../src/values/errors.ts";

const PEER = { clientIp: "192.0.2.7", token: "secret-token", user: "alice" };

function request(target: string, ...ids: readonly string[]): RequestHead {
  const headers = new HeaderList();
  for (const id of ids) headers.push("X-Request-Id", id);
  return { method: "GET", target, minor: 1, headers };
}

function recorder(detail: RecordDetail = { captureHeaders: [], query: false }) {
  const records: RequestRecord[] = [];
  const clock = { time: 100, now: () => clock.time };
  let ids = 0;
  const made = new Recorder({
    records: { write: (record) => records.push(record) },
    clock,
    ids: { next: () => `req-${++ids}` },
    detail,
  });
  return { records, clock, made };
}

describe("a record", () => {
  test("is written once, with what was seen", () => {
    const { records, clock, made } = recorder();
    made.begin(request("/a?q=1"), PEER, "connect", "api.test");
    expect(records).toEqual([]);
    clock.time += 42;
    made.end(200, 3, 4);
    made.end(500, 0, 0);
    expect(records).toEqual([
      {
        requestId: "req-1",
        method: "GET",
        host: "api.test",
        path: "/a",
        status: 200,
        durationMs: 42,
        proxyType: "connect",
        runId: undefined,
        userId: undefined,
        clientIp: "192.0.2.7",
        injectedHeaders: [],
        grants: [],
        denied: false,
        denyReason: undefined,
        requestSize: 3,
        responseSize: 4,
        error: undefined,
        query: undefined,
        local: false,
        captured: undefined,
        substitutionSkipped: undefined,
        message: undefined,
      },
    ]);
  });

  test("shows the query and the fields it is told to show, as the client sent them", () => {
    const { records, made } = recorder({ captureHeaders: ["x-team", "x-absent"], query: true });
    const head = request("/a?q=1");
    head.headers.push("X-Team", "one");
    head.headers.push("x-team", "two");
    made.begin(head, PEER, "http", "api.test");
    head.headers.set("X-Team", "changed later");
    made.end(200, 0, 0);
    expect(records).toMatchObject([{ path: "/a", query: "q=1", captured: [["x-team", "one, two"]] }]);
  });

  test("is not written when it was dropped or never opened", () => {
    const { records, made } = recorder();
    made.end(200, 0, 0);
    made.begin(request("/"), PEER, "http", "");
    made.drop();
    made.end(200, 0, 0);
    made.fail(new ProxyError("internal-error", "late"));
    expect(records).toEqual([]);
    expect(made.current).toBeUndefined();
  });

  test("of bytes that were no request is empty where nothing is known", () => {
    const { records, made } = recorder();
    made.begin(undefined, PEER, "http", "");
    made.end(400, 0, 0);
    expect(records).toMatchObject([{ method: "", host: "", path: "", status: 400, requestId: "req-1" }]);
  });

  test("never holds the token", () => {
    const { records, made } = recorder();
    made.begin(request("/"), PEER, "http", "");
    made.end(407, 0, 0);
    expect(JSON.stringify(records)).not.toContain("secret-token");
  });

  const failures: readonly (readonly [ProxyError, boolean, boolean])[] = [
    [new ProxyError("network-policy", "no"), true, false],
    [new ProxyError("destination", "no"), true, false],
    [new ProxyError("run-revoked", "no"), true, false],
    [new ProxyError("auth-required", "no"), true, false],
    [new ProxyError("invalid-token", "no"), true, false],
    [new ProxyError("dial-failed", "no"), false, true],
    [new ProxyError("credential-failed", "no"), false, true],
    [new ProxyError("internal-error", "no"), false, true],
  ];
  for (const [error, denied, failed] of failures) {
    test(`of ${error.code} is ${denied ? "a denial" : "an error"}, and says which`, () => {
      const { records, made } = recorder();
      made.begin(request("/"), PEER, "http", "api.test");
      made.fail(error);
      made.end(error.status, 0, 0);
      expect(records).toMatchObject([{ denied, status: error.status }]);
      expect(records[0]?.error !== undefined).toBe(failed);
      expect(records[0]?.denyReason?.startsWith(error.code) === true).toBe(denied);
    });
  }

  test("of a failure shows what lies behind it", () => {
    const { records, made } = recorder();
    made.begin(request("/"), PEER, "http", "api.test");
    made.fail(new ProxyError("dial-failed", "cannot connect", new Error("ECONNREFUSED")));
    made.end(502, 0, 0);
    expect(records[0]?.error).toBe("cannot connect: ECONNREFUSED");
  });
});

describe("the request id", () => {
  /** [what the client sent, what it becomes] */
  const cases: readonly (readonly [readonly string[], string])[] = [
    [[], "req-1"],
    [["Ab9._-"], "Ab9._-"],
    [["x".repeat(128)], "x".repeat(128)],
    [["x".repeat(129)], "req-1"],
    [[""], "req-1"],
    [["a b"], "req-1"],
    [["a\tb"], "req-1"],
    [["ä"], "req-1"],
    [["a/b"], "req-1"],
  ];
  for (const [sent, id] of cases) {
    test(`${JSON.stringify(sent).slice(0, 20)} becomes ${id.slice(0, 10)}`, () => {
      const { made } = recorder();
      expect(made.begin(request("/", ...sent), PEER, "http", "").requestId).toBe(id);
    });
  }
});

describe("the path of a target", () => {
  const cases = [
    ["/a?b=c", "/a"],
    ["/?secret", "/"],
    ["/a", "/a"],
    ["*", "*"],
    ["?x", ""],
    ["/a#b?c?d", "/a"],
    [`/${"x".repeat(3_000)}?q`, `/${"x".repeat(MAX_PATH - 1)}`],
  ] as const;
  for (const [target, path] of cases) {
    test(`${target.slice(0, 10)} is ${path.slice(0, 10)}`, () => {
      expect(pathOf(target)).toBe(path);
    });
  }
});

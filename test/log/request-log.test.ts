import { describe, expect, test } from "bun:test";
import type { LogFields, Logger } from "../../src/log/logger.ts";
import { createRequestLog } from "../../src/log/request-log.ts";
import { MAX_PATH, type RequestRecord } from "../../src/proxy/record.ts";

const PLAIN: RequestRecord = {
  requestId: "req_1",
  method: "GET",
  host: "api.example.com",
  path: "/v1/x",
  status: 200,
  durationMs: 12.3456789,
  proxyType: "connect",
  runId: undefined,
  userId: undefined,
  clientIp: "127.0.0.1",
  injectedHeaders: [],
  grants: [],
  denied: false,
  denyReason: undefined,
  requestSize: 0,
  responseSize: 0,
  error: undefined,
};

function logged(
  record: Partial<RequestRecord>,
  names?: ReadonlySet<string>,
): { level: string; msg: string; fields: LogFields } {
  const lines: { level: string; msg: string; fields: LogFields }[] = [];
  const at =
    (level: string) =>
    (msg: string, fields: LogFields = {}) => {
      lines.push({ level, msg, fields });
    };
  const log: Logger = {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    flush() {},
  };
  createRequestLog(log, names).write({ ...PLAIN, ...record });
  const [line] = lines;
  if (line === undefined || lines.length > 1) throw new Error(`${lines.length} lines for one record`);
  return line;
}

test("a plain request has the fixed keys and none of the optional ones", () => {
  const line = logged({});
  expect(line.msg).toBe("request");
  expect(Object.entries(line.fields)).toEqual([
    ["request_id", "req_1"],
    ["http_method", "GET"],
    ["http_host", "api.example.com"],
    ["http_path", "/v1/x"],
    ["http_status", 200],
    ["duration_ms", 12.346],
    ["proxy_type", "connect"],
    ["client_ip", "127.0.0.1"],
  ]);
});

test("a full record has every key of the contract, in its order", () => {
  const { fields } = logged({
    runId: "run-7",
    userId: "moat",
    injectedHeaders: ["authorization", "x-api-key"],
    grants: ["github"],
    denied: true,
    denyReason: "network-policy",
    requestSize: 5,
    responseSize: 107,
    error: "upstream closed",
  });
  expect(Object.keys(fields)).toEqual([
    "request_id",
    "http_method",
    "http_host",
    "http_path",
    "http_status",
    "duration_ms",
    "proxy_type",
    "run_id",
    "user_id",
    "client_ip",
    "credential_injected",
    "injected_headers",
    "grants",
    "denied",
    "deny_reason",
    "request_size",
    "response_size",
    "error",
  ]);
  expect(fields.injected_headers).toEqual(["authorization", "x-api-key"]);
});

describe("level", () => {
  const cases: readonly (readonly [string, Partial<RequestRecord>, string])[] = [
    ["success", { status: 204 }, "info"],
    ["redirect", { status: 302 }, "info"],
    ["upgrade", { status: 101 }, "info"],
    ["client error", { status: 404 }, "warn"],
    ["denied below 400", { status: 200, denied: true }, "warn"],
    ["denied", { status: 407, denied: true }, "warn"],
    ["server error", { status: 500 }, "error"],
    ["error with a good status", { status: 200, error: "body cut short" }, "error"],
    ["a client that went away is no error", { status: 0 }, "info"],
  ];
  for (const [name, record, level] of cases) test(name, () => expect(logged(record).level).toBe(level));
});

test("host, path, method and error are bounded", () => {
  const long = "x".repeat(100_000);
  const { fields } = logged({
    host: long,
    path: `/${long}`,
    method: long,
    error: long,
    userId: long,
    denyReason: long,
  });
  expect(String(fields.http_path).length).toBe(MAX_PATH);
  expect(JSON.stringify(fields).length).toBeLessThan(5_000);
});

test("a token in the path of a local endpoint is hidden, a configured name is not", () => {
  const names = new Set(["slack"]);
  expect(logged({ proxyType: "http", path: "/relay/s3cret/slack" }, names).fields.http_path).toBe(
    "/relay/[token]/slack",
  );
  expect(logged({ proxyType: "http", path: "/relay/slack/x" }, names).fields.http_path).toBe(
    "/relay/slack/x",
  );
  expect(logged({ proxyType: "connect", path: "/relay/x/y" }, names).fields.http_path).toBe("/relay/x/y");
});

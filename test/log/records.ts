// Records for the tests of the log and of the metrics.

import type { RequestRecord } from "../../src/proxy/record.ts";

/** A request that went well, without anything optional. */
export const PLAIN: RequestRecord = {
  requestId: "req_1",
  method: "GET",
  host: "api.example.com",
  path: "/v1/x",
  query: undefined,
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
  local: false,
  captured: undefined,
  substitutionSkipped: undefined,
  message: undefined,
};

/** Everything at once, which no request has. */
export const FULL: RequestRecord = {
  ...PLAIN,
  query: "page=2",
  runId: "run-7",
  userId: "moat",
  injectedHeaders: ["authorization", "x-api-key"],
  grants: ["github"],
  denied: true,
  denyReason: "network-policy",
  requestSize: 5,
  responseSize: 107,
  error: "upstream closed",
  captured: [
    ["user-agent", "curl/8"],
    ["accept", "*/*"],
  ],
};

/** The keys of wire.md section 12 in their order, for FULL. */
export const FULL_KEYS: readonly string[] = [
  ...["request_id", "http_method", "http_host", "http_path", "http_query", "http_status", "duration_ms"],
  ...["proxy_type", "run_id", "user_id", "client_ip", "credential_injected", "injected_headers", "grants"],
  ...[
    "denied",
    "deny_reason",
    "request_size",
    "response_size",
    "error",
    "header_user-agent",
    "header_accept",
  ],
];

/** Unicode that must not reach a log: line ends, escape, a C1 control, a separator, a mark of direction. */
export const FORGERY = 'a"b\\c\r\n\u001b[31m\u0085\u2028\u202ez=\u0000';
/** What is left of it. */
export const FORGERY_CLEANED = 'a"b\\c[31mz=';

/** Sets every text of a record, and one of each list, to `text`. */
export function everyText(text: string): RequestRecord {
  return {
    ...FULL,
    ...{ requestId: text, method: text, host: text, path: text, query: text, runId: text, userId: text },
    ...{ clientIp: text, injectedHeaders: [text], grants: [text], denyReason: text, error: text },
    captured: [["x-y", text]],
  };
}

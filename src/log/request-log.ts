// The record of a request as a log line: which keys, in which order, at which level. wire.md section 12.
// It formats at once, since a session reuses its record; the writer behind the logger does the batching.

import type { RecordSink } from "../proxy/ports.ts";
import { MAX_PATH, type RequestRecord } from "../proxy/record.ts";
import type { Logger, LogLevel, LogValue } from "./logger.ts";
import { bound, redactPath } from "./redact.ts";

/** A method token is short; llhttp knows none over 13 characters. */
const MAX_METHOD = 32;
/** A DNS name of 253 characters, a colon and a port. */
const MAX_HOST = 260;
/** User name, deny reason, error: enough to understand, too little to flood. */
const MAX_TEXT = 512;

const NO_NAMES: ReadonlySet<string> = new Set();

/** @param names relay and MCP server names, which may stand in a logged path where a token could be */
export function createRequestLog(log: Logger, names: ReadonlySet<string> = NO_NAMES): RecordSink {
  return { write: (record) => log[levelOf(record)]("request", fieldsOf(record, names)) };
}

/** ERROR for an error or 500 and above, WARN for a denial or 400 and above. A client that left has status 0. */
function levelOf(record: RequestRecord): LogLevel {
  if (record.error !== undefined || record.status >= 500) return "error";
  return record.denied || record.status >= 400 ? "warn" : "info";
}

function fieldsOf(record: RequestRecord, names: ReadonlySet<string>): Record<string, LogValue> {
  // A record does not say whether the proxy answered itself; it never does inside a tunnel.
  const local = record.proxyType !== "connect";
  const fields: Record<string, LogValue> = {
    request_id: record.requestId,
    http_method: bound(record.method, MAX_METHOD),
    http_host: bound(record.host, MAX_HOST),
    http_path: bound(redactPath(record.path, local, names), MAX_PATH),
    http_status: record.status,
    duration_ms: Math.round(record.durationMs * 1000) / 1000,
    proxy_type: record.proxyType,
  };
  if (record.runId !== undefined) fields.run_id = record.runId;
  if (record.userId !== undefined && record.userId !== "") fields.user_id = bound(record.userId, MAX_TEXT);
  if (record.clientIp !== "") fields.client_ip = record.clientIp;
  if (record.injectedHeaders.length > 0) {
    fields.credential_injected = true;
    fields.injected_headers = record.injectedHeaders;
  }
  if (record.grants.length > 0) fields.grants = record.grants;
  if (record.denied) fields.denied = true;
  if (record.denyReason !== undefined) fields.deny_reason = bound(record.denyReason, MAX_TEXT);
  if (record.requestSize > 0) fields.request_size = record.requestSize;
  if (record.responseSize > 0) fields.response_size = record.responseSize;
  if (record.error !== undefined) fields.error = bound(record.error, MAX_TEXT);
  return fields;
}

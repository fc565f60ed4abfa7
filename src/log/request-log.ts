// The record of a request as a log line: at which level, and how much of each text. wire.md section 12.
// The line is made at once, since a session reuses its record; the writer behind the logger does the batching.

import type { RecordSink } from "../proxy/ports.ts";
import { MAX_PATH, type RequestRecord } from "../proxy/record.ts";
import type { Logger, LogLevel } from "./logger.ts";
import { bound, redactPath } from "./redact.ts";

/** A method token is short; llhttp knows none over 13 characters. */
const MAX_METHOD = 32;
/** A DNS name of 253 characters, a colon and a port. */
const MAX_HOST = 260;
/** User name, deny reason, error: enough to understand, too little to flood. */
const MAX_TEXT = 512;
/** As long as a path may be. */
const MAX_QUERY = MAX_PATH;
/** A captured field's value. */
const MAX_CAPTURED = 256;

export function createRequestLog(log: Logger): RecordSink {
  return { write: (record) => log.request(levelOf(record), fitToPrint(record)) };
}

/** ERROR for an error or 500 and above, WARN for a denial or 400 and above. A client that left has status 0. */
function levelOf(record: RequestRecord): LogLevel {
  if (record.error !== undefined || record.status >= 500) return "error";
  return record.denied || record.status >= 400 ? "warn" : "info";
}

/** The record itself where nothing has to be hidden or cut, as nearly always. */
function fitToPrint(record: RequestRecord): RequestRecord {
  const path = redactPath(record.path, record.proxyType);
  if (
    path === record.path &&
    path.length <= MAX_PATH &&
    record.method.length <= MAX_METHOD &&
    record.host.length <= MAX_HOST &&
    fits(record.query, MAX_QUERY) &&
    fits(record.userId, MAX_TEXT) &&
    fits(record.denyReason, MAX_TEXT) &&
    fits(record.error, MAX_TEXT) &&
    (record.captured === undefined || record.captured.every(([, value]) => value.length <= MAX_CAPTURED))
  ) {
    return record;
  }
  return {
    ...record,
    path: bound(path, MAX_PATH),
    method: bound(record.method, MAX_METHOD),
    host: bound(record.host, MAX_HOST),
    query: cut(record.query, MAX_QUERY),
    userId: cut(record.userId, MAX_TEXT),
    denyReason: cut(record.denyReason, MAX_TEXT),
    error: cut(record.error, MAX_TEXT),
    captured: record.captured?.map(([name, value]) => [name, bound(value, MAX_CAPTURED)] as const),
  };
}

function fits(text: string | undefined, max: number): boolean {
  return text === undefined || text.length <= max;
}

function cut(text: string | undefined, max: number): string | undefined {
  return text === undefined ? undefined : bound(text, max);
}

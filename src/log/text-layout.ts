// Log lines as text that is stored: `time LEVEL message key=value …`, every field, none longer than its bound. A value
// can neither end its line nor pass for another field. Terminals get terminal-layout.ts. wire.md section 12.

import type { RequestRecord } from "../proxy/record.ts";
import { colouredLevel } from "./colour.ts";
import { isoClock, type Layout, type LogValue, roundedMs } from "./layout.ts";
import { clean } from "./redact.ts";

export function textLayout(colour: boolean): Layout {
  const iso = isoClock();
  return {
    line(time, level, msg, fields) {
      let line = `${iso(time)} ${colouredLevel(level, colour)} ${clean(msg)}`;
      for (const key in fields) line += field(key, fields[key]);
      return `${line}\n`;
    },
    request: (time, level, record) =>
      `${iso(time)} ${colouredLevel(level, colour)} request${requestFields(record)}\n`,
  };
}

/** ` key=value` for each field that applies, in the order of wire.md section 12. */
function requestFields(record: RequestRecord): string {
  let line =
    ` request_id=${fit(record.requestId)} http_method=${fit(record.method)} http_host=${fit(record.host)}` +
    ` http_path=${fit(record.path)}`;
  if (record.query !== undefined) line += ` http_query=${fit(record.query)}`;
  line += ` http_status=${record.status} duration_ms=${roundedMs(record.durationMs)} proxy_type=${record.proxyType}`;
  if (record.runId !== undefined) line += ` run_id=${fit(record.runId)}`;
  if (record.userId !== undefined && record.userId !== "") line += ` user_id=${fit(record.userId)}`;
  if (record.clientIp !== "") line += ` client_ip=${fit(record.clientIp)}`;
  if (record.injectedHeaders.length > 0)
    line += ` credential_injected=true injected_headers=${fit(record.injectedHeaders.join())}`;
  if (record.grants.length > 0) line += ` grants=${fit(record.grants.join())}`;
  if (record.denied) line += " denied=true";
  if (record.denyReason !== undefined) line += ` deny_reason=${fit(record.denyReason)}`;
  if (record.requestSize > 0) line += ` request_size=${record.requestSize}`;
  if (record.responseSize > 0) line += ` response_size=${record.responseSize}`;
  if (record.error !== undefined) line += ` error=${fit(record.error)}`;
  if (record.substitutionSkipped !== undefined)
    line += ` substitution_skipped=${fit(record.substitutionSkipped)}`;
  if (record.captured !== undefined)
    for (const [name, value] of record.captured) line += ` header_${fit(name)}=${fit(value)}`;
  return line;
}

function field(key: string, value: LogValue): string {
  // String() joins a list with commas, and masks a Secret that got past the types.
  return value === undefined ? "" : ` ${key}=${fit(String(value))}`;
}

/** Visible ASCII without quote and equals sign: stands bare. All else is cleaned, and quoted where it is ambiguous. */
const PLAIN = /^[!#-<>-~]+$/;
const AMBIGUOUS = /[\s"=]|^$/;

/** A value as it may stand behind `key=`. */
export function fit(text: string): string {
  if (PLAIN.test(text)) return text;
  const cleaned = clean(text);
  return AMBIGUOUS.test(cleaned) ? JSON.stringify(cleaned) : cleaned;
}

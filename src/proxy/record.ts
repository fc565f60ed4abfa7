// The one record per request, whatever became of it. Plain data without a secret; the log decides how it looks.
// wire.md section 12.

import type { MessageCapture } from "./message-capture.ts";

/** Which way the request took: through a tunnel (or the CONNECT itself), over the outer connection, or to the proxy. */
export type ProxyType = "http" | "connect" | "mcp" | "relay" | "aws";

export interface RequestRecord {
  requestId: string;
  method: string;
  /** Host as policy saw it: canonical, with the port where it is not the scheme's default. */
  host: string;
  /** Path without query, at most MAX_PATH characters, control characters removed by the log. */
  path: string;
  /** Query of the target without its question mark, as the client sent it; undefined unless log.query asks for it. */
  query: string | undefined;
  /** Status sent to the client; 0 when the client left before one was sent. */
  status: number;
  durationMs: number;
  proxyType: ProxyType;
  runId: string | undefined;
  /** User name of Basic proxy authentication; only ever logged. */
  userId: string | undefined;
  clientIp: string;
  injectedHeaders: readonly string[];
  grants: readonly string[];
  denied: boolean;
  denyReason: string | undefined;
  /** Body bytes, without framing. */
  requestSize: number;
  responseSize: number;
  error: string | undefined;
  /** Why tokens were not put into the body; undefined when they were, or there was nothing to put. */
  substitutionSkipped: string | undefined;
  /** The proxy answered itself: an endpoint of its own. */
  local: boolean;
  /** Name in lower case and value of the fields that log.capture_headers names, as the client sent them. */
  captured: readonly (readonly [string, string])[] | undefined;
  /** Both messages for a logger of the embedding program; undefined when there is none. */
  message: MessageCapture | undefined;
}

/** What records show beside the usual. */
export interface RecordDetail {
  /** Lower-case names of request fields. */
  readonly captureHeaders: readonly string[];
  readonly query: boolean;
  /** Keep the heads and the beginning of the bodies for a logger of the embedding program. */
  readonly messages?: boolean;
}

/** Longest path in a record, in characters. */
export const MAX_PATH = 2048;

const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i;
/** A host that can be shown: no userinfo, which may be a password, and nothing that only looks like a host. */
const PLAIN_AUTHORITY = /^(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?$/i;

/** A run's token stands in the path or the fields of a request to the proxy itself, and in what the proxy makes of them. */
export function hideToken({ message }: RequestRecord, token: string | undefined): void {
  if (token !== undefined && token !== "") message?.hide([{ secret: token, placeholder: "[token]" }]);
}

/** The path of a target as a record shows it before it has been parsed: no authority, no query, bounded. */
export function pathOf(target: string): string {
  let start = 0;
  if (!target.startsWith("/") && target !== "*") {
    const absolute = ABSOLUTE.exec(target);
    if (absolute === null) return "";
    start = absolute[0].length;
  }
  let end = start;
  while (end < target.length && target[end] !== "?" && target[end] !== "#") end++;
  return target.slice(start, Math.min(end, start + MAX_PATH)) || "/";
}

/** The query of a target without its question mark; undefined when there is none. */
export function queryOf(target: string): string | undefined {
  const start = target.indexOf("?");
  return start < 0 ? undefined : target.slice(start + 1, start + 1 + MAX_PATH);
}

/** The host of a target as a record shows it before it has been parsed; empty when it cannot be shown. */
export function hostOf(target: string): string {
  if (target.startsWith("/")) return "";
  const authority = ABSOLUTE.exec(target)?.[1] ?? target;
  return PLAIN_AUTHORITY.test(authority) ? authority.toLowerCase() : "";
}

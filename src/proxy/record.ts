// The one record per request, whatever became of it. Plain data without a secret; the log decides how it looks.
// wire.md section 12.

/** Which way the request took: through a tunnel (or the CONNECT itself), or over the outer connection. */
export type ProxyType = "http" | "connect";

export interface RequestRecord {
  requestId: string;
  method: string;
  /** Host as policy saw it: canonical, with the port where it is not the scheme's default. */
  host: string;
  /** Path without query, at most MAX_PATH characters, control characters removed by the log. */
  path: string;
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
}

/** Longest path in a record, in characters. */
export const MAX_PATH = 2048;

/** The path of a target as a record shows it: no query, bounded. */
export function pathOf(target: string): string {
  const query = target.indexOf("?");
  const end = query < 0 ? target.length : query;
  return target.slice(0, Math.min(end, MAX_PATH));
}

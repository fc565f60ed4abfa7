// One request as an embedding program's logger gets it. Reference: `RequestLogData`, `RequestLogger`. Made from the
// record after the answer; nothing waits for it, and a logger that throws harms no request.

import type { HeaderList } from "../http1/headers.ts";
import type { Logger } from "../log/logger.ts";
import { redactPath } from "../log/redact.ts";
import type { MessageCapture } from "../proxy/message-capture.ts";
import type { RequestRecord } from "../proxy/record.ts";

export interface RequestLogData {
  readonly requestID: string;
  readonly method: string;
  /** As the client asked, placeholders in it, tokens of relays hidden; a host in its canonical form. */
  readonly url: string;
  /** Sent to the client; 0 when it left before one was sent. */
  readonly statusCode: number;
  /** Milliseconds, from the end of the request's head to the end of its answer. */
  readonly duration: number;
  /** Why the request did not go through; undefined when it did, or the client just left. */
  readonly err: Error | undefined;
  /** As the client sent them, without Proxy-*; a field that was injected shows `[REDACTED]`. */
  readonly requestHeaders: Headers;
  /** As the client got them; empty when it got none from an upstream. */
  readonly responseHeaders: Headers;
  /** At most the first 8192 bytes, text types only, without real tokens; undefined when there is none. */
  readonly requestBody: Uint8Array | undefined;
  readonly responseBody: Uint8Array | undefined;
  /** True when a credential was put into the request. */
  readonly authInjected: boolean;
  /** Name of the first field that carried one; empty when none did. */
  readonly injectedHeaderName: string;
  /** Empty for the proxy's own run. */
  readonly runID: string;
  /** Refused by policy, or because of what the client sent. */
  readonly denied: boolean;
}

/** Called once for each request, after its end. What it returns is not waited for; what it throws is told on stderr. */
export type RequestLogger = (data: RequestLogData) => unknown;

const REDACTED = "[REDACTED]";

export function requestLogData(record: RequestRecord): RequestLogData {
  const { message } = record;
  const hidden = new Set(record.injectedHeaders.map((name) => name.toLowerCase()));
  // There it is the proxy's own token.
  if (record.proxyType === "aws") hidden.add("authorization");
  const reason = record.error ?? record.denyReason;
  return {
    requestID: record.requestId,
    method: record.method,
    url: urlOf(record),
    statusCode: record.status,
    duration: record.durationMs,
    err: reason === undefined ? undefined : new Error(reason),
    requestHeaders: webHeaders(message?.requestHeaders, message, hidden),
    responseHeaders: webHeaders(message?.responseHeaders, message, NOTHING),
    requestBody: message?.requestBody,
    responseBody: message?.responseBody,
    authInjected: record.injectedHeaders.length > 0,
    injectedHeaderName: record.injectedHeaders[0] ?? "",
    runID: record.runId ?? "",
    denied: record.denied,
  };
}

/** Tells the logger; what it throws, at once or later, is told to the log instead: nobody else would catch it. */
export function tellLogger(logger: RequestLogger, record: RequestRecord, log: Logger): void {
  const failed = (error: unknown): void =>
    log.error("the request logger failed", { error: error instanceof Error ? error.message : String(error) });
  try {
    const told = logger(requestLogData(record));
    if (told !== undefined) Promise.resolve(told).catch(failed);
  } catch (error) {
    failed(error);
  }
}

const NOTHING: ReadonlySet<string> = new Set();

/** Name of the proxy itself in the URL of a request to it; a request through a relay is one. */
const SELF = "http://moat-proxy";

/** As the client would write it: with the tunnel's scheme and host. A CONNECT has only an authority. */
function urlOf({ method, host, path, proxyType, message }: RequestRecord): string {
  if (method === "CONNECT") return host;
  const target = message?.target ?? path;
  const mark = target.indexOf("?");
  const query = mark < 0 ? "" : target.slice(mark);
  if (proxyType === "connect") return `${message?.scheme ?? "https"}://${host}${path}${query}`;
  const scheme = /^https?(?=:\/\/)/i.exec(target)?.[0].toLowerCase();
  const authority = scheme === undefined ? SELF : `${scheme}://${host}`;
  return `${authority}${scheme === undefined ? redactPath(path, proxyType) : path}${query}`;
}

function webHeaders(
  list: HeaderList | undefined,
  message: MessageCapture | undefined,
  hidden: ReadonlySet<string>,
): Headers {
  const headers = new Headers();
  if (list === undefined || message === undefined) return headers;
  for (let i = 0; i < list.keys.length; i++) {
    const key = list.keys[i] as string; // parallel arrays
    if (key.startsWith("proxy-")) continue;
    const value = hidden.has(key) ? REDACTED : message.shownValue(list.values[i] as string);
    headers.append(key, value);
  }
  return headers;
}

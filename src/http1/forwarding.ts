// What of a head goes no further than one connection: hop-by-hop fields, both directions. RFC 9110 section 7.6.1.
// Everything else is left as it came, in order and case.

import { ProxyError } from "../values/errors.ts";
import type { RequestHead } from "./head.ts";
import type { HeaderList } from "./headers.ts";

/** Fields that name a connection's own business, whether Connection lists them or not. */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);

/** Naming one of these in Connection would make the next hop misread the message. */
const NEVER_NOMINATED = new Set(["host", "content-length", "transfer-encoding"]);

/** RFC 9110 section 6.5.1: what may not come in a trailer; merged by a receiver it would change the head. */
const NEVER_TRAILER = new Set([
  ...HOP_BY_HOP,
  "host",
  "content-length",
  "content-encoding",
  "content-type",
  "content-range",
  "authorization",
  "cookie",
  "set-cookie",
  "expect",
  "max-forwards",
  "cache-control",
  "pragma",
  "range",
  "if-match",
  "if-none-match",
  "if-modified-since",
  "if-unmodified-since",
  "if-range",
  "retry-after",
  "age",
  "date",
  "expires",
  "location",
  "vary",
  "www-authenticate",
]);

/** Fields that some servers obey instead of the request line; merged from a trailer they would escape the rules. */
const METHOD_OR_PATH = /^x[-_](?:http[-_])?(?:method|original|rewrite|forwarded[-_]uri)/;

/** What Connection said, read once per head. */
export interface ConnectionOptions {
  readonly close: boolean;
  readonly keepAlive: boolean;
  /** Lower-cased field names it nominates, or undefined when it nominates none. */
  readonly nominated: ReadonlySet<string> | undefined;
}

const NO_OPTIONS: ConnectionOptions = { close: false, keepAlive: false, nominated: undefined };

/** @throws ProxyError with the blame given when Connection names a field that frames or routes the message */
export function connectionOptions(
  headers: HeaderList,
  blame: "malformed-request" | "bad-response",
): ConnectionOptions {
  const value = headers.joined("connection");
  if (value === undefined) return NO_OPTIONS;
  let close = false;
  let keepAlive = false;
  let nominated: Set<string> | undefined;
  for (const part of value.split(",")) {
    const option = part.trim().toLowerCase();
    if (option === "close") close = true;
    else if (option === "keep-alive") keepAlive = true;
    else if (option !== "") {
      if (NEVER_NOMINATED.has(option)) {
        throw new ProxyError(blame, "Connection names a field it may not");
      }
      nominated ??= new Set();
      nominated.add(option);
    }
  }
  return { close, keepAlive, nominated };
}

/** True when the request asks for exactly a WebSocket: the only upgrade that is forwarded. RFC 6455 section 4.1. */
export function asksForWebSocket(head: RequestHead, options: ConnectionOptions): boolean {
  const { headers } = head;
  return (
    // RFC 9110 section 7.8: Upgrade in HTTP/1.0 is ignored.
    head.minor === 1 &&
    head.method === "GET" &&
    options.nominated?.has("upgrade") === true &&
    headers.count("upgrade") === 1 &&
    headers.get("upgrade")?.toLowerCase() === "websocket"
  );
}

/** Whether the sender takes trailers (TE: trailers); other TE members are between neighbours. */
export function acceptsTrailers(headers: HeaderList): boolean {
  const te = headers.joined("te");
  if (te === undefined) return false;
  return te.split(",").some((member) => member.trim().toLowerCase() === "trailers");
}

export interface RequestForwarding {
  /** The body goes on chunked, so that trailers can follow. */
  readonly chunked: boolean;
  readonly webSocket: boolean;
}

/** Strips a request head to what the upstream gets and rebuilds what belongs to our connection to it. */
export function forwardRequest(
  headers: HeaderList,
  options: ConnectionOptions,
  forwarding: RequestForwarding,
): void {
  const trailers = acceptsTrailers(headers);
  strip(headers, options, forwarding.chunked);
  if (forwarding.webSocket) {
    headers.push("Connection", "Upgrade");
    headers.push("Upgrade", "websocket");
  } else if (trailers) {
    headers.push("Connection", "TE");
    headers.push("TE", "trailers");
  }
  if (forwarding.chunked) headers.push("Transfer-Encoding", "chunked");
}

/** How our connection to the client is to be announced. */
export type ClientConnection = "default" | "close" | "keep-alive" | "upgrade";

/** Strips a response head to what the client gets. `chunked`: the body goes on chunked. */
export function forwardResponse(
  headers: HeaderList,
  options: ConnectionOptions,
  chunked: boolean,
  connection: ClientConnection,
): void {
  const upgrade = connection === "upgrade" ? headers.get("upgrade") : undefined;
  strip(headers, options, chunked);
  if (upgrade !== undefined) {
    headers.push("Connection", "Upgrade");
    headers.push("Upgrade", upgrade);
  } else if (connection !== "default") {
    headers.push("Connection", connection);
  }
  if (chunked) headers.push("Transfer-Encoding", "chunked");
}

/**
 * Removes from a trailer section what may not stand there.
 * @param nominated fields that Connection names; they end here wherever they stand (RFC 9110 section 7.6.1)
 * @param decided fields whose value the proxy decides
 */
export function forwardTrailers(
  trailers: HeaderList,
  nominated: ReadonlySet<string> | undefined,
  decided: ReadonlySet<string> | undefined,
): void {
  trailers.removeWhere(
    (key) =>
      NEVER_TRAILER.has(key) ||
      METHOD_OR_PATH.test(key) ||
      key.startsWith("proxy-") ||
      nominated?.has(key) === true ||
      decided?.has(key) === true,
  );
}

/** First letters of what may have to go; a field that begins otherwise is looked at no further. */
const SUSPECT = new Set([...HOP_BY_HOP, "proxy-"].map((name) => name.charCodeAt(0)));

function strip(headers: HeaderList, { nominated }: ConnectionOptions, chunked: boolean): void {
  const { keys } = headers;
  // Most heads have at most one such field: nothing is moved before it, and nothing at all where there is none.
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string; // the index is within
    if (!endsHere(key, nominated, chunked)) continue;
    headers.removeWhere((candidate) => endsHere(candidate, nominated, chunked), i);
    return;
  }
}

function endsHere(key: string, nominated: ReadonlySet<string> | undefined, chunked: boolean): boolean {
  if (nominated?.has(key) === true) return key !== "trailer" || !chunked;
  if (!SUSPECT.has(key.charCodeAt(0))) return false;
  if (key === "trailer") return !chunked;
  return HOP_BY_HOP.has(key) || key.startsWith("proxy-");
}

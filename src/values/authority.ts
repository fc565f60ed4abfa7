// Canonical host:port. One spelling per destination, so that policy, injection, dialling and the Host check
// can never disagree: lower case, no trailing dot, IPv6 compressed and without brackets, port always explicit.
// RFC 3986 section 3.2, RFC 9112 section 3.2.3, and wire.md section 3 for the host alphabet.

import { isIPv4, isIPv6 } from "node:net";
import { ProxyError } from "./errors.ts";

/** Host name or address literal with its port. Frozen; compare with `sameAuthority`. */
export interface Authority {
  /** Canonical: lower case, no trailing dot, no brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  /** What the host is: decides the SAN of a leaf, the SNI of a dial, whether a name is resolved. */
  readonly kind: "name" | "ipv4" | "ipv6";
}

/** Longest DNS name in presentation form (RFC 1035 section 2.3.4). */
const MAX_HOST_LENGTH = 253;
const LABELS = /^(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/;
const NUMERIC_LABEL = /^(?:[0-9]+|0x[0-9a-f]*)$/;
// A leading zero is read as octal by some and dropped by others.
const PORT = /^[1-9][0-9]{0,4}$/;

/**
 * Parses `host[:port]` as it stands in a request target, Host field or config.
 * @param defaultPort used when no port is given; without it a missing port is an `invalid-host`
 * @throws ProxyError `invalid-host` or `invalid-port`
 */
export function parseAuthority(text: string, defaultPort?: number): Authority {
  const end = hostEnd(text);
  const rest = text.slice(end);
  if (rest !== "" && rest[0] !== ":") throw invalidHost();
  const { host, kind } = canonicalHost(text.slice(0, end));
  if (rest === "" && defaultPort === undefined) throw invalidHost();
  // An empty port ("host:") is legal in a URL, yet readers differ on it.
  const port = rest === "" && defaultPort !== undefined ? defaultPort : parsePort(rest.slice(1));
  return { host, port, kind };
}

/** Canonical form of a bare host; brackets around IPv6 are accepted and removed. Throws `invalid-host`. */
export function canonicalHost(text: string): { host: string; kind: Authority["kind"] } {
  if (text.startsWith("[")) {
    const inner = text.endsWith("]") ? text.slice(1, -1) : "";
    if (!isIPv6(inner) || inner.includes("%")) throw invalidHost();
    return { host: compressIPv6(inner), kind: "ipv6" };
  }
  if (isIPv6(text) && !text.includes("%")) return { host: compressIPv6(text), kind: "ipv6" };
  let host = text.toLowerCase();
  if (host.endsWith(".")) host = host.slice(0, -1);
  if (host.length > MAX_HOST_LENGTH || !LABELS.test(host)) throw invalidHost();
  if (isIPv4(host)) return { host, kind: "ipv4" };
  // "127.1", "0x7f.0.0.1" and "2130706433" are addresses to some resolvers and names to others: no reading is safe.
  if (NUMERIC_LABEL.test(host.slice(host.lastIndexOf(".") + 1))) throw invalidHost();
  return { host, kind: "name" };
}

/** The authority as it stands in a URL or Host field, port always shown. */
export function formatAuthority(authority: Authority): string {
  return authority.kind === "ipv6"
    ? `[${authority.host}]:${authority.port}`
    : `${authority.host}:${authority.port}`;
}

export function sameAuthority(a: Authority, b: Authority): boolean {
  return a.port === b.port && a.host === b.host;
}

/** Decimal port, 1 to 65535. Throws `invalid-port`. */
export function parsePort(text: string): number {
  const port = PORT.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw new ProxyError("invalid-port", "invalid port");
  return port;
}

function hostEnd(text: string): number {
  if (text.startsWith("[")) {
    const close = text.indexOf("]");
    if (close < 0) throw invalidHost();
    return close + 1;
  }
  const colon = text.indexOf(":");
  if (colon < 0) return text.length;
  // Two colons without brackets: an IPv6 address or "host:1:2"; either way the port cannot be told apart.
  if (text.indexOf(":", colon + 1) >= 0) throw invalidHost();
  return colon;
}

function compressIPv6(text: string): string {
  return new URL(`http://[${text}]`).hostname.slice(1, -1);
}

function invalidHost(): ProxyError {
  return new ProxyError("invalid-host", "invalid host format");
}

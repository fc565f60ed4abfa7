// Host patterns: an optional "*.", a host, an optional port; and a table of them with one winner per authority.
// Canonical like every authority, so that policy and injection can never read a host differently.
// What a missing port means is the caller's rule. wire.md section 6 (ranking) and section 7 (patterns).

import { isIPv6 } from "node:net";
import { type Authority, canonicalHost, parsePort } from "../values/authority.ts";
import { ProxyError } from "../values/errors.ts";

/** A parsed pattern. `*.d` matches names below `d` at any depth, never `d` itself, never an IP literal. */
export interface HostPattern {
  readonly wildcard: boolean;
  /** Canonical host; for a wildcard, the domain behind `*.`. */
  readonly host: string;
  /** Undefined when the pattern names none. */
  readonly port: number | undefined;
}

const EXAMPLES = "write a host such as api.example.com, *.example.com or api.example.com:8443";

/**
 * Reads a pattern as an operator wrote it: any case, trailing dot, IPv6 with or without brackets.
 * @throws Error that names the pattern, what is wrong and what to write
 */
export function parseHostPattern(text: string): HostPattern {
  const problem = obviousProblem(text);
  if (problem !== undefined) throw invalidPattern(text, problem);
  const wildcard = text.startsWith("*.");
  const rest = wildcard ? text.slice(2) : text;
  const colon = portColon(rest);
  try {
    const { host, kind } = canonicalHost(colon < 0 ? rest : rest.slice(0, colon));
    if (wildcard && kind !== "name") throw invalidPattern(text, 'puts "*." before an IP address');
    return { wildcard, host, port: colon < 0 ? undefined : parsePort(rest.slice(colon + 1)) };
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    const what =
      error.code === "invalid-port" ? "needs a port from 1 to 65535 after the colon" : "is no host name";
    throw invalidPattern(text, what);
  }
}

/** Whether the authority falls under the pattern; without a port the pattern takes any. */
export function matchesHost(pattern: HostPattern, authority: Authority): boolean {
  if (pattern.port !== undefined && pattern.port !== authority.port) return false;
  if (!pattern.wildcard) return pattern.host === authority.host;
  if (authority.kind !== "name") return false;
  const cut = authority.host.length - pattern.host.length;
  return cut > 1 && authority.host[cut - 1] === "." && authority.host.endsWith(pattern.host);
}

/** What one host or one wildcard domain holds: by pinned port, and for every other port. */
interface Ports<T> {
  readonly pinned: Map<number, T>;
  any: T | undefined;
}

/**
 * Values by host pattern, one winner per authority: exact host:port, exact host, then wildcards, the longest
 * domain first and a pinned port before none. Two wildcards over one host with the same domain and port are the
 * same key, so the ranking is complete and independent of the order of insertion. The cost of a look-up
 * depends on the labels of the host, not on the size of the table.
 */
export class HostTable<T extends NonNullable<unknown>> {
  readonly #exact = new Map<string, Ports<T>>();
  readonly #wildcards = new Map<string, Ports<T>>();

  /** The value stored under exactly this pattern. */
  get(pattern: HostPattern): T | undefined {
    const ports = this.#side(pattern).get(pattern.host);
    return pattern.port === undefined ? ports?.any : ports?.pinned.get(pattern.port);
  }

  /** Stores the value under exactly this pattern; an earlier one is replaced. */
  set(pattern: HostPattern, value: T): void {
    const side = this.#side(pattern);
    let ports = side.get(pattern.host);
    if (ports === undefined) {
      ports = { pinned: new Map(), any: undefined };
      side.set(pattern.host, ports);
    }
    if (pattern.port === undefined) ports.any = value;
    else ports.pinned.set(pattern.port, value);
  }

  /** The value of the winning pattern, or undefined. */
  lookup(authority: Authority): T | undefined {
    const exact = atPort(this.#exact.get(authority.host), authority.port);
    if (exact !== undefined || authority.kind !== "name" || this.#wildcards.size === 0) return exact;
    const host = authority.host;
    // From the longest suffix to the shortest; the first hit is the longest domain.
    for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
      const found = atPort(this.#wildcards.get(host.slice(dot + 1)), authority.port);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #side(pattern: HostPattern): Map<string, Ports<T>> {
    return pattern.wildcard ? this.#wildcards : this.#exact;
  }
}

function atPort<T>(ports: Ports<T> | undefined, port: number): T | undefined {
  return ports === undefined ? undefined : (ports.pinned.get(port) ?? ports.any);
}

/** Where the port begins, or -1. Several colons without brackets are an IPv6 address without a port. */
function portColon(text: string): number {
  if (text.startsWith("[")) {
    const close = text.indexOf("]");
    return close >= 0 && close < text.length - 1 ? text.indexOf(":", close) : -1;
  }
  return isIPv6(text) ? -1 : text.indexOf(":");
}

/** Slips that can never match, said in the operator's words. */
function obviousProblem(text: string): string | undefined {
  if (text === "") return "is empty";
  if (text === "*") return "matches everything, which is what policy: permissive is for";
  if (/\s/.test(text)) return "contains white space";
  if (text.includes("/")) return "contains a slash, but takes no scheme and no path";
  if (text.includes("@")) return 'contains "@", but takes no user name';
  if (text.lastIndexOf("*") > 0 || (text[0] === "*" && text[1] !== ".")) {
    return 'has a "*" in a place other than a leading "*."';
  }
  // RFC 5890 section 2.3.2.1: on the wire such a name is its A-label.
  if (/[^\x20-\x7e]/.test(text))
    return "has characters outside printable ASCII; use the xn-- form of such a name";
  return undefined;
}

function invalidPattern(text: string, problem: string): Error {
  return new Error(`host pattern ${JSON.stringify(text)} ${problem}: ${EXAMPLES}`);
}

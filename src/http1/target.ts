// The request target in its four forms, and which authority a request is for. RFC 9112 section 3.2.
// Userinfo, fragments and anything that two readers could split differently are refused.

import { type Authority, parseAuthority } from "../values/authority.ts";
import { ProxyError } from "../values/errors.ts";
import type { RequestHead } from "./head.ts";

export type Target =
  | { readonly form: "origin"; readonly path: string }
  | { readonly form: "asterisk" }
  | { readonly form: "authority"; readonly authority: Authority }
  | {
      readonly form: "absolute";
      readonly scheme: "http" | "https";
      readonly authority: Authority;
      /** The authority as written: what the Host field becomes (RFC 9112 section 3.2.2). */
      readonly host: string;
      /** Path and query; `*` for OPTIONS on an absolute target without a path. */
      readonly path: string;
    };

const ASTERISK: Target = { form: "asterisk" };
const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i;

/** @throws ProxyError malformed-request, invalid-host, invalid-port */
export function parseTarget(head: RequestHead): Target {
  const { method, target } = head;
  if (method === "CONNECT") return { form: "authority", authority: parseAuthority(target) };
  if (target.includes("#")) throw new ProxyError("malformed-request", "fragment in request target");
  if (target.startsWith("/")) return { form: "origin", path: target };
  if (target === "*") {
    if (method !== "OPTIONS") throw new ProxyError("malformed-request", "invalid request target");
    return ASTERISK;
  }
  return parseAbsolute(target, method);
}

export function defaultPort(scheme: "http" | "https"): number {
  return scheme === "https" ? 443 : 80;
}

/**
 * The authority of the Host field. HTTP/1.1 has exactly one (RFC 9112 section 3.2), HTTP/1.0 at most one.
 * @returns undefined when an HTTP/1.0 request has none
 * @throws ProxyError malformed-request, invalid-host, invalid-port
 */
export function hostAuthority(head: RequestHead, port: number): Authority | undefined {
  const fields = head.headers.count("host");
  if (fields > 1) throw new ProxyError("malformed-request", "more than one Host field");
  const host = head.headers.get("host");
  if (host === undefined) {
    if (head.minor === 1) throw new ProxyError("malformed-request", "missing Host field");
    return undefined;
  }
  return parseAuthority(host, port);
}

function parseAbsolute(target: string, method: string): Target {
  const scheme = SCHEME.exec(target)?.[1]?.toLowerCase();
  if (scheme !== "http" && scheme !== "https") {
    throw new ProxyError("malformed-request", "invalid request target");
  }
  const start = scheme.length + 3;
  let end = start;
  while (end < target.length && target[end] !== "/" && target[end] !== "?") end++;
  const host = target.slice(start, end);
  if (host.includes("@")) throw new ProxyError("malformed-request", "userinfo in request target");
  const authority = parseAuthority(host, defaultPort(scheme));
  const rest = target.slice(end);
  let path = rest.startsWith("/") ? rest : `/${rest}`;
  if (rest === "" && method === "OPTIONS") path = "*";
  return { form: "absolute", scheme, authority, host, path };
}

// Where a request goes, from its head and the tunnel it came through: the only place that reads targets and Host.
// Pure; no policy, no credentials. wire.md sections 4 and 5.

import type { RequestHead } from "../http1/head.ts";
import { defaultPort, hostAuthority, parseTarget } from "../http1/target.ts";
import { type Authority, formatAuthority, sameAuthority } from "../values/authority.ts";
import { ProxyError } from "../values/errors.ts";
import type { UpstreamTarget } from "./ports.ts";

export type Route =
  | { readonly kind: "connect"; readonly authority: Authority }
  | { readonly kind: "local"; readonly path: string }
  | {
      readonly kind: "forward";
      readonly target: UpstreamTarget;
      /** The target in origin-form, or `*`. */
      readonly path: string;
      /** What Host becomes; undefined leaves the client's own field as it came. */
      readonly host: string | undefined;
    };

export function upstreamTarget(scheme: "http" | "https", authority: Authority): UpstreamTarget {
  const full = formatAuthority(authority);
  const isDefault = authority.port === defaultPort(scheme);
  const display = isDefault ? full.slice(0, full.lastIndexOf(":")) : full;
  return { scheme, authority, key: `${scheme}://${full}`, display };
}

/**
 * @param pinned the tunnel's upstream, for requests inside one
 * @throws ProxyError method-not-allowed, malformed-request, invalid-host, invalid-port, misdirected
 */
export function route(head: RequestHead, pinned: UpstreamTarget | undefined): Route {
  // TRACE would echo the injected credential to the client.
  if (head.method === "TRACE") throw new ProxyError("method-not-allowed", "TRACE is not allowed");
  return pinned === undefined ? routeOuter(head) : routeInner(head, pinned);
}

function routeOuter(head: RequestHead): Route {
  const target = parseTarget(head);
  if (target.form === "authority") {
    // Counted, not compared: clients disagree on what a CONNECT's Host is.
    if (head.headers.count("host") > 1) throw new ProxyError("malformed-request", "more than one Host field");
    return { kind: "connect", authority: target.authority };
  }
  // Checked although the target wins: a second or malformed Host is a smuggling attempt. Nearly all repeat the target's.
  const repeated = target.form === "absolute" && isOnlyHost(head, target.host);
  if (!repeated) hostAuthority(head, 80);
  if (target.form !== "absolute")
    return { kind: "local", path: target.form === "origin" ? target.path : "*" };
  const to = upstreamTarget(target.scheme, target.authority);
  return { kind: "forward", target: to, path: target.path, host: hostField(target.host, to) };
}

/** What goes on as Host: the client's own spelling where it is canonical, with or without the port, else ours. */
function hostField(sent: string, target: UpstreamTarget): string {
  const canonical = sent === target.display || sent === formatAuthority(target.authority);
  return canonical ? sent : target.display;
}

function routeInner(head: RequestHead, pinned: UpstreamTarget): Route {
  if (head.method === "CONNECT") throw new ProxyError("malformed-request", "CONNECT inside a tunnel");
  const target = parseTarget(head);
  const host = innerHost(head, pinned);
  if (target.form === "absolute") {
    if (target.scheme !== pinned.scheme || !sameAuthority(target.authority, pinned.authority))
      throw misdirected();
    return { kind: "forward", target: pinned, path: target.path, host: hostField(target.host, pinned) };
  }
  if (host !== undefined && !sameAuthority(host, pinned.authority)) throw misdirected();
  const path = target.form === "origin" ? target.path : "*";
  const sent = head.headers.get("host");
  const field = sent === undefined ? pinned.display : hostField(sent, pinned);
  return { kind: "forward", target: pinned, path, host: field === sent ? undefined : field };
}

/** The Host of an inner request. Nearly all spell it as the CONNECT did, and then it needs no parsing. */
function innerHost(head: RequestHead, pinned: UpstreamTarget): Authority | undefined {
  if (isOnlyHost(head, pinned.display)) return pinned.authority;
  return hostAuthority(head, defaultPort(pinned.scheme));
}

/** The head has one Host field, of exactly that text. */
function isOnlyHost({ headers }: RequestHead, text: string): boolean {
  return headers.get("host") === text && headers.count("host") === 1;
}

function misdirected(): ProxyError {
  return new ProxyError("misdirected", "Misdirected Request");
}

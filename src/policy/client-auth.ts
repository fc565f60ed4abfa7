// The token that a client shows to the proxy, and its comparison. Reads Proxy-Authorization only; which run a
// token selects is decided in run/. Tokens never appear in an error. RFC 9110 section 11.7.2, RFC 6750 section
// 2.1 (Bearer), RFC 7617 section 2 (Basic); wire.md section 6.

import { hash, timingSafeEqual } from "node:crypto";
import type { HeaderList } from "../http1/headers.ts";
import { ProxyError } from "../values/errors.ts";

/** What the client presented. */
export interface ProxyToken {
  /** Undefined: no Proxy-Authorization at all. Empty: one that cannot be right; it equals no token. */
  readonly token: string | undefined;
  /** User name of Basic; only ever logged. */
  readonly user: string | undefined;
}

const MISSING: ProxyToken = Object.freeze({ token: undefined, user: undefined });
const UNREADABLE: ProxyToken = Object.freeze({ token: "", user: undefined });

/** RFC 4648 section 4: the alphabet of base64; padding may be missing, as some clients leave it out. */
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/**
 * Reads the token of a request. A field that is malformed or of another scheme is an unknown token, never a
 * missing one: the client did present something.
 * @throws ProxyError `malformed-request` for more than one Proxy-Authorization field: two readers of such a
 *   head may take different ones
 */
export function readProxyToken(headers: HeaderList): ProxyToken {
  const value = headers.get("proxy-authorization");
  if (value === undefined) return MISSING;
  if (headers.count("proxy-authorization") > 1) {
    throw new ProxyError("malformed-request", "more than one Proxy-Authorization field");
  }
  const space = value.indexOf(" ");
  if (space < 0) return UNREADABLE;
  const credentials = value.slice(space + 1).trim();
  // RFC 9110 section 11.1: scheme names are case-insensitive.
  switch (value.slice(0, space).toLowerCase()) {
    case "bearer":
      return { token: credentials, user: undefined };
    case "basic":
      return readBasic(credentials);
    default:
      return UNREADABLE;
  }
}

/** SHA-256 of a token: what a long-lived holder keeps instead of the token, to be compared with `digestMatches`. */
export function tokenDigest(token: string): Uint8Array {
  return hash("sha256", token, "buffer");
}

/**
 * Whether the token has this digest. Constant time: both sides are hashed to 32 bytes first, so neither the secret's
 * length nor the position of a difference shows in the time. An empty token matches nothing.
 */
export function digestMatches(token: string, digest: Uint8Array): boolean {
  return timingSafeEqual(tokenDigest(token), digest) && token !== "";
}

/** Constant-time equality of two tokens; false when both are empty. */
export function tokensEqual(a: string, b: string): boolean {
  return digestMatches(a, tokenDigest(b));
}

function readBasic(credentials: string): ProxyToken {
  if (!BASE64.test(credentials)) return UNREADABLE;
  const userPass = Buffer.from(credentials, "base64").toString("utf8");
  // RFC 7617 section 2: the user-id holds no colon, the password may.
  const colon = userPass.indexOf(":");
  if (colon < 0) return UNREADABLE;
  const user = userPass.slice(0, colon);
  const token = userPass.slice(colon + 1);
  // "http://<token>@proxy" puts the token where the user name belongs; that one must not reach the log.
  const loggable = user !== "" && token !== "" && user !== token;
  return { token, user: loggable ? user : undefined };
}

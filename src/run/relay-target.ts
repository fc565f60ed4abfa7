// Where a relay or an MCP server lies: a name in the proxy's own paths, and the http(s) URL behind it. Pure; the path
// that a request asks for is joined to the base here and nowhere else. wire.md sections 9 and 10.

import { type Authority, formatAuthority, parseAuthority } from "../values/authority.ts";

export interface RelayTarget {
  readonly name: string;
  readonly scheme: "http" | "https";
  readonly authority: Authority;
  /** `scheme://host:port`, canonical. */
  readonly key: string;
  /** Path of the URL; never empty, without a slash at its end unless it is one. */
  readonly path: string;
}

const URL_FORM = /^(https?):\/\/([^/?#]*)([^?#]*)$/i;
const PATH = /^[\x21-\x7e]*$/;
const NAME = /^[^/\s\p{Cc}]{1,128}$/u;
const EXPECTED = "expected http(s)://host[:port][/path] without user information, query and fragment";

export function isRelayName(text: string): boolean {
  return NAME.test(text);
}

/**
 * @param what for the message, such as `relay`
 * @throws Error of one line that names the entry; user information in a URL is not repeated
 */
export function parseRelayTarget(what: string, name: string, url: string): RelayTarget {
  if (!isRelayName(name)) {
    throw new Error(
      `${what} ${JSON.stringify(name)}: a name is 1 to 128 characters without slash and white space`,
    );
  }
  const [, scheme, host = "", path = ""] = URL_FORM.exec(url) ?? [];
  if (scheme === undefined || host.includes("@") || !PATH.test(path)) {
    throw new Error(`${what} ${JSON.stringify(name)}: is no URL it can go to, ${EXPECTED}`);
  }
  if (!isPlainPath(path)) {
    throw new Error(
      `${what} ${JSON.stringify(name)}: the path of its URL has dot segments or encoded slashes`,
    );
  }
  const lower = scheme.toLowerCase() === "https" ? "https" : "http";
  let authority: Authority;
  try {
    authority = parseAuthority(host, lower === "https" ? 443 : 80);
  } catch (error) {
    throw new Error(`${what} ${JSON.stringify(name)}: ${error instanceof Error ? error.message : EXPECTED}`);
  }
  return {
    name,
    scheme: lower,
    authority,
    key: `${lower}://${formatAuthority(authority)}`,
    path: path.replace(/\/+$/, "") || "/",
  };
}

/** The target's path with what the request asks for below it. @param sub empty, or beginning with a slash */
export function joinPath(base: string, sub: string): string {
  if (sub === "") return base;
  return base === "/" ? sub : base + sub;
}

/**
 * No segment that some server would resolve or decode to another path: dot segments, encoded dots, slashes and
 * backslashes, encoded or not. With a credential in hand the base path must not be left.
 */
export function isPlainPath(path: string): boolean {
  if (/%(?:25)*(?:2f|5c|2e|00)|\\/i.test(path)) return false;
  return !path.split("/").some((segment) => /^\.{1,2}(?:;|$)/.test(segment));
}

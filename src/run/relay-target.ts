// Where a relay or an MCP server lies: a name in the proxy's own paths, and the http(s) URL behind it. Pure; the path
// that a request asks for is joined to the base here and nowhere else. wire.md sections 9 and 10.

import { type Authority, formatAuthority, parseAuthority } from "../values/authority.ts";

export interface RelayTarget {
  readonly name: string;
  readonly scheme: "http" | "https";
  readonly authority: Authority;
  /** `scheme://host:port`, canonical. */
  readonly key: string;
  /** Path of the URL as written; never empty. */
  readonly path: string;
  /** The same without slashes at its end: what sub paths are put behind. */
  readonly base: string;
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
    path: path || "/",
    base: path.replace(/\/+$/, ""),
  };
}

/** The target's path with what the request asks for below it. @param sub empty, or beginning with a slash */
export function joinPath({ path, base }: Pick<RelayTarget, "path" | "base">, sub: string): string {
  return sub === "" ? path : base + sub;
}

/** How often a server, and the rewriting proxies before it, may decode one path; deeper encoding is refused. */
const MAX_DECODINGS = 3;
const ENCODED = /%([0-9a-f]{2})/gi;
/** What no encoding may hide, since servers differ on whether they see it. */
const HIDDEN = "./\\\0";
/** RFC 3629 section 3: overlong forms are invalid, and lenient decoders make dots and slashes of them. */
const OVERLONG = /[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]/;

/**
 * No segment that some server would resolve or decode to another path: dot segments, encoded dots, slashes and
 * backslashes, encoded or not, however often. With a credential in hand the base path must not be left.
 */
export function isPlainPath(path: string): boolean {
  if (hasDetour(path)) return false;
  let now = path;
  for (let i = 0; i <= MAX_DECODINGS; i++) {
    if (!now.includes("%")) return true;
    let hidden = false;
    const next = now.replaceAll(ENCODED, (_, hex: string) => {
      const character = String.fromCharCode(Number.parseInt(hex, 16));
      hidden ||= HIDDEN.includes(character);
      return character;
    });
    if (next === now) return true;
    if (hidden || OVERLONG.test(next) || hasDetour(next) || hasDetour(compatible(next))) return false;
    now = next;
  }
  return false;
}

/** Dot segments as the most tolerant server sees them: without parameters, white space and control characters. */
function hasDetour(path: string): boolean {
  if (path.includes("\\")) return true;
  return path.split("/").some((segment) => {
    const end = segment.search(/[;?#]/);
    const name = (end < 0 ? segment : segment.slice(0, end)).replaceAll(/[\0-\x20\x7f]/g, "");
    return name === "." || name === "..";
  });
}

/** Where a server maps Unicode to compatible characters, fullwidth dots and slashes become ASCII. */
function compatible(latin1: string): string {
  if (!/[\x80-\xff]/.test(latin1)) return latin1;
  return Buffer.from(latin1, "latin1").toString("utf8").normalize("NFKC");
}

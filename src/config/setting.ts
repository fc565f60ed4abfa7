// Parsers of single settings, shared by the config file and the flags so that both accept the same spellings.
// Text in, canonical value out; a bad one throws, and the message never shows a value that may be a secret.
// wire.md sections 1 and 2.

import { checkProfile, checkProvider } from "../credentials/store.ts";
import { fieldNameProblem } from "../inject/field-name.ts";
import { hostsForGrant, knownGrants } from "../policy/grants.ts";
import { parseHostPattern } from "../policy/host-pattern.ts";
import { isRelayName, parseRelayTarget } from "../run/relay-target.ts";
import { canonicalHost } from "../values/authority.ts";
import { parseCidr } from "../values/ip-address.ts";
import { Secret } from "../values/secret.ts";
import type { ListenAddress, UpstreamProxyConfig } from "./config.ts";
import { didYouMean } from "./nearest.ts";

/** The message is the end of a line that begins with the key or flag. */
export class BadSetting extends Error {
  override readonly name = "BadSetting";
  /** The same without the value: for one that came from the environment, which no line may show. */
  readonly masked: string;

  constructor(message: string, masked = message) {
    super(message);
    this.masked = masked;
  }
}

/** Longest value that a message repeats. */
const MAX_SHOWN = 80;

/** The value in quotes, escaped and cut: for values that are no secrets. */
export function shown(text: string): string {
  return JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text);
}

/** `a, b or c`. */
export function oneOf(choices: readonly (string | number)[]): string {
  const last = choices.at(-1) ?? "";
  return choices.length < 2 ? `${last}` : `${choices.slice(0, -1).join(", ")} or ${last}`;
}

/** A mistake whose message begins with the value. */
function rejected(text: string, problem: string): BadSetting {
  return new BadSetting(`${shown(text)} ${problem}`, problem);
}

/** 0 lets the operating system pick. */
export function parseListenPort(text: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : -1;
  if (port < 0 || port > 65535) throw rejected(text, "is no port, expected 0 to 65535");
  return port;
}

/** Address literal or name, canonical, without brackets. */
export function parseHost(text: string): string {
  try {
    return canonicalHost(text).host;
  } catch {
    throw rejected(text, "is no address, expected an IP address or a host name");
  }
}

/** The pattern as written. */
export function parsePattern(text: string): string {
  // What stands before an @ may be a password.
  if (text.includes("@"))
    throw new BadSetting("a host pattern holds no @, expected a host such as api.example.com");
  return checked(text, parseHostPattern, "is no host pattern, expected a host such as api.example.com");
}

/** The CIDR or address as written. */
export function parseAllowedIp(text: string): string {
  return checked(text, parseCidr, "is no address, expected one such as 10.0.0.1 or 10.0.0.0/8");
}

/** The grant as written; it must expand to hosts. */
export function parseGrant(text: string): string {
  if (hostsForGrant(text).length > 0) return text;
  const known = knownGrants();
  const expected = `, expected ${oneOf(known)}`;
  const hint = didYouMean(text, known) || expected;
  throw new BadSetting(`unknown grant ${shown(text)}${hint}`, `unknown grant${expected}`);
}

/** One of a closed list. */
export function parseChoice<T extends string>(text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw rejected(text, `is not accepted, expected ${oneOf(choices)}`);
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const DURATION = /^(?:[0-9]{1,9}(?:\.[0-9]{1,3})?(?:ms|s|m|h)){1,4}$/;
/** A week: beyond any use here, and far below the 2^31 ms at which timers wrap. */
const MAX_DURATION_MS = 7 * 24 * 3_600_000;

/** `500ms`, `10s`, `1m30s`, `1.5h`, as in Go; the unit may not be left out, but for zero. Milliseconds. */
export function parseDuration(text: string, minMs: number): number {
  if (text !== "0" && !DURATION.test(text)) {
    throw rejected(text, "is no duration, expected a number with its unit, such as 500ms, 10s or 15m");
  }
  let total = 0;
  for (const [, amount = "0", unit = ""] of text.matchAll(/([0-9.]+)(ms|s|m|h)/g)) {
    total += Number(amount) * (UNITS[unit] ?? 0);
  }
  total = Math.round(total);
  if (total < minMs || total > MAX_DURATION_MS) {
    throw rejected(text, `is out of range, expected ${minMs}ms to ${MAX_DURATION_MS / 3_600_000}h`);
  }
  return total;
}

/** A path as written. */
export function parsePath(text: string): string {
  if (text === "" || text.includes("\0")) throw new BadSetting("expected a path");
  return text;
}

/** Visible ASCII: what survives a URL and a Proxy-Authorization field in every client. */
const TOKEN = /^[\x21-\x7e]{1,512}$/;

/** A proxy token; never shown. */
export function parseToken(text: string): Secret {
  if (!TOKEN.test(text)) {
    throw new BadSetting(
      "a token is 1 to 512 visible ASCII characters without spaces (the value is not shown)",
    );
  }
  return new Secret(text);
}

/** A secret that becomes a field value (RFC 9110 section 5.5); never shown. */
export function parseSecret(text: string): Secret {
  if (text === "") throw new BadSetting("is empty");
  if (/[\r\n]/.test(text)) throw new BadSetting("holds a line break, which no header field can carry");
  if (/\p{Cc}/u.test(text) || /[^\0-\xff]/.test(text)) {
    throw new BadSetting("holds a control character or one outside latin1, which no header field can carry");
  }
  if (text !== text.trim()) throw new BadSetting("begins or ends with white space");
  return new Secret(text);
}

/** RFC 9110 section 5.6.2. */
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
/**
 * Name of a field that the proxy may set, as written.
 * @param use what for, as in "cannot carry a credential"
 */
export function parseFieldName(text: string, use?: string): string {
  const problem = fieldNameProblem(text, use);
  if (problem !== undefined) throw rejected(text, problem);
  return text;
}

/** A value that can stand in a header: RFC 9110 section 5.5. */
export function parseHeaderValue(text: string): string {
  if (/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text)) return text;
  throw new BadSetting("is no header value, expected printable ASCII without spaces around it");
}

/** What a client sends where a token belongs. */
export function parsePlaceholder(text: string): string {
  if (/^[\x21-\x7e]{4,512}$/.test(text)) return text;
  throw rejected(text, "is no placeholder, expected 4 to 512 visible ASCII characters without spaces");
}

/** A name that stands in a path of the proxy's own. */
export function parseRelayName(text: string): string {
  if (isRelayName(text)) return text;
  throw rejected(text, "is no name, expected 1 to 128 characters without slash and white space");
}

/** The http(s) URL of a relay or MCP server, as written. User information in it is not shown. */
export function parseRelayUrl(text: string): string {
  try {
    parseRelayTarget("url", "url", text);
    return text;
  } catch {
    throw new BadSetting(
      "is no URL to go to, expected http(s)://host[:port][/path] without user information, query, fragment and dot segments",
    );
  }
}

/** Fields that carry a secret of their own, so that no record may show them. */
const NEVER_CAPTURED = new Set(["authorization", "proxy-authorization", "cookie"]);

/** Name of a request field that records may show, in lower case. */
export function parseCapturedField(text: string): string {
  if (!FIELD_NAME.test(text)) throw rejected(text, "is no header name");
  const key = text.toLowerCase();
  if (NEVER_CAPTURED.has(key)) throw rejected(text, "holds secrets and is never written to the log");
  return key;
}

/** `[HOST:]PORT`, IPv6 in brackets; without a host the loopback address. */
export function parseListenAddress(text: string): ListenAddress {
  const [, host = "127.0.0.1", port] = /^(?:(\[[^\]]+\]|[^:[\]]+):)?([0-9]{1,5})$/.exec(text) ?? [];
  if (port === undefined) {
    throw rejected(text, "is no address to listen on, expected a port such as 9090, or 127.0.0.1:9090");
  }
  return { host: parseHost(host), port: parseListenPort(port) };
}

/** Scheme, user information, host, port; nothing behind the authority but a slash. */
const PROXY_URL = /^http:\/\/(?:([^/?#]*)@)?(\[[^\]]+\]|[^:/?#@[\]]+):([0-9]{1,5})\/?$/i;
const PROXY_URL_FORM = "expected http://host:port or http://user:password@host:port (the value is not shown)";

/** An http:// proxy with its port; user and password percent-encoded where they must be. RFC 9110 section 11.7. */
export function parseProxyUrl(text: string): UpstreamProxyConfig {
  if (/^https:/i.test(text)) throw new BadSetting(`a proxy is reached over http:// only, ${PROXY_URL_FORM}`);
  const [, user, host, port = ""] = PROXY_URL.exec(text) ?? [];
  if (host === undefined) throw new BadSetting(`is no proxy URL, ${PROXY_URL_FORM}`);
  if (Number(port) < 1 || Number(port) > 65535) throw new BadSetting(`has no valid port, ${PROXY_URL_FORM}`);
  try {
    const authorization = user === undefined ? undefined : basicAuthorization(user);
    return { host: canonicalHost(host).host, port: Number(port), authorization };
  } catch {
    throw new BadSetting(`has a host or user information that cannot be read, ${PROXY_URL_FORM}`);
  }
}

/** RFC 7617 section 2: user and password in UTF-8, no control characters, a colon between them. */
function basicAuthorization(userInformation: string): Secret {
  const colon = userInformation.indexOf(":");
  const user = decodeURIComponent(colon < 0 ? userInformation : userInformation.slice(0, colon));
  const password = decodeURIComponent(colon < 0 ? "" : userInformation.slice(colon + 1));
  if (user.includes(":") || /\p{Cc}/u.test(user + password)) throw new RangeError("not Basic credentials");
  return new Secret(`Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`);
}

/** A command for `sh -c`. */
export function parseCommand(text: string): string {
  if (text.trim() === "" || text.includes("\0")) throw new BadSetting("expected a command for the shell");
  return text;
}

/** A web origin as browsers send it: scheme, host, port, no path. */
export function parseOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain = url !== undefined && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`;
  if (url === undefined || !plain || text.endsWith("/")) {
    throw new BadSetting("is no origin, expected scheme and host such as https://app.example.com");
  }
  return url.origin;
}

/** Name of an environment variable. */
export function parseVariable(text: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]{0,254}$/.test(text)) return text;
  // It may be the secret itself, put here by mistake.
  throw new BadSetting("is no variable name, expected letters, digits and _, such as GITHUB_TOKEN");
}

/** Name of a credential in moat's store, as written; it may be the secret itself, put here by mistake. */
export function parseProvider(text: string): string {
  return checked(text, checkProvider);
}

/** Name of a profile of that store, as written. */
export function parseProfile(text: string): string {
  return checked(text, checkProfile);
}

/** The text as written; what `parse` throws names it, `masked` does not. */
export function checked(text: string, parse: (text: string) => unknown, masked?: string): string {
  try {
    parse(text);
    return text;
  } catch (error) {
    if (error instanceof Error) throw new BadSetting(error.message, masked);
    throw error;
  }
}

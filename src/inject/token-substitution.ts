// A placeholder that the client holds instead of a token, and the real token in its place: in the path, in Authorization
// and in a body that is at hand whole. For APIs that want the token there instead of in a field of its own. The query
// is never touched. wire.md section 6 (token substitution); the reference's SetTokenSubstitution.

import type { HeaderList } from "../http1/headers.ts";
import { parseHostPattern } from "../policy/host-pattern.ts";
import type { Secret } from "../values/secret.ts";
import { failed, type SecretSlot } from "./credentials.ts";
import { refuseUnsendable } from "./value-shape.ts";

/** One substitution as configured. */
export interface SubstitutionRule {
  /** Host pattern as written. */
  readonly host: string;
  readonly placeholder: string;
  readonly slot: SecretSlot;
}

/** Long enough not to stand in a request by accident. */
const PLACEHOLDER = /^[\x21-\x7e]{4,512}$/;
/** RFC 3986 section 3.3, pchar: what may stand in a path segment as it is. */
const NOT_IN_PATH = /[^A-Za-z0-9\-._~!$&'()*+,;=:@]/g;
/** RFC 3986 section 5.2.4: dot segments, between slashes as some servers see them. */
const CLIMBS = /(?:\/|%2f|%5c)\.{1,2}(?:\/|%2f|%5c|$)/i;
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;

/** A compiled substitution. */
export class Substitution {
  readonly placeholder: string;
  readonly slot: SecretSlot;
  #sent: Secret | undefined;

  /** @throws Error that names the host and what is wrong */
  constructor(rule: SubstitutionRule) {
    parseHostPattern(rule.host);
    if (!PLACEHOLDER.test(rule.placeholder)) {
      throw new Error(
        `token substitution for ${rule.host}: a placeholder is 4 to 512 visible ASCII characters without spaces`,
      );
    }
    this.placeholder = rule.placeholder;
    this.slot = rule.slot;
  }

  /**
   * The token at hand.
   * @throws ProxyError `credential-failed` when there is none, or one that cannot be sent
   */
  real(): string {
    const secret = this.slot.current() ?? this.slot.held?.();
    if (secret === undefined) throw failed(new Error("no secret at hand for a token substitution"));
    const value = secret.reveal();
    try {
      refuseUnsendable(value);
    } catch (error) {
      throw failed(error);
    }
    this.#sent = secret;
    return value;
  }

  /** The upstream has refused what was sent last. */
  evict(): void {
    this.slot.invalidate?.(this.#sent);
  }
}

/**
 * The target with every placeholder in its path replaced, percent-encoded where a path needs it.
 * @param target origin-form, or `*`
 * @throws ProxyError `credential-failed` for a token that would make another path of it
 */
export function substitutePath(target: string, substitutions: readonly Substitution[]): string {
  const query = target.indexOf("?");
  const end = query < 0 ? target.length : query;
  const before = target.slice(0, end);
  const path = replaced(before, substitutions, pathText);
  // Policy has judged the path without the token: it may fill a segment, not lead to another one.
  if (CLIMBS.test(path) && !CLIMBS.test(before)) {
    throw failed(new Error("a token that makes dot segments cannot be put into a path"));
  }
  return path + target.slice(end);
}

/** A token as it stands in a path. */
export function pathText(real: string): string {
  return real.replaceAll(NOT_IN_PATH, (character) => percentEncode(character));
}

/** Basic with a token in it: another spelling of the token, and what the client sent instead. */
export interface Encoded {
  readonly secret: string;
  readonly placeholder: string;
}

/**
 * Replaces placeholders in Authorization, in the user name and password of Basic too.
 * @returns the values of Basic that hold a token now, without the scheme
 */
export function substituteAuthorization(
  headers: HeaderList,
  substitutions: readonly Substitution[],
): readonly Encoded[] {
  const encoded: Encoded[] = [];
  for (let i = 0; i < headers.keys.length; i++) {
    if (headers.keys[i] !== "authorization") continue;
    const value = headers.values[i] as string; // parallel to keys
    // A placeholder may stand for all of the credentials, also where it looks like base64.
    const whole = replaced(value, substitutions, asItIs);
    if (whole !== value) {
      headers.values[i] = whole;
      continue;
    }
    const basic = substituteBasic(value, substitutions);
    if (basic === undefined) continue;
    headers.values[i] = `Basic ${basic.secret}`;
    encoded.push(basic);
  }
  return encoded;
}

/**
 * The body with every placeholder replaced, escaped as its type wants it; the same one where there is none.
 * @param contentType value of the field, if there is one
 */
export function substituteBody(
  body: Buffer,
  contentType: string | undefined,
  substitutions: readonly Substitution[],
): Buffer {
  const text = body.toString("latin1");
  const type = contentType?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  const out = replaced(text, substitutions, (real) => escapedFor(type, real));
  return out === text ? body : Buffer.from(out, "latin1");
}

/** RFC 7617 section 2: user name and password are in UTF-8, as format basic sends them. Undefined: nothing to replace. */
function substituteBasic(value: string, substitutions: readonly Substitution[]): Encoded | undefined {
  const basic = BASIC.exec(value)?.[1];
  if (basic === undefined) return undefined;
  const plain = Buffer.from(basic, "base64").toString("latin1");
  const out = replaced(plain, substitutions, inUtf8);
  if (out === plain) return undefined;
  return { secret: Buffer.from(out, "latin1").toString("base64"), placeholder: basic };
}

/**
 * In one pass, so that a token is never searched for placeholders; of two that begin at the same place the longer is
 * meant, whatever their order.
 */
function replaced(
  text: string,
  substitutions: readonly Substitution[],
  spelled: (real: string) => string,
): string {
  const present = substitutions.filter(({ placeholder }) => text.includes(placeholder));
  if (present.length === 0) return text;
  const reals = new Map<string, string>();
  const pattern = present
    .map(({ placeholder }) => placeholder)
    .sort((a, b) => b.length - a.length)
    .map((placeholder) => placeholder.replaceAll(/[^A-Za-z0-9]/g, "\\$&"))
    .join("|");
  return text.replaceAll(new RegExp(pattern, "g"), (found) => {
    let real = reals.get(found);
    if (real === undefined) {
      // Every alternative of the pattern is one of their placeholders.
      real = spelled((present.find(({ placeholder }) => placeholder === found) as Substitution).real());
      reals.set(found, real);
    }
    return real;
  });
}

/** A token with a quote or an ampersand in it must not change what the rest of the body says. */
function escapedFor(type: string, real: string): string {
  if (type === "application/x-www-form-urlencoded") return encodeURIComponent(real);
  // Lines of JSON and the like included: application/x-ndjson, application/problem+json, text/json.
  return inUtf8(type.includes("json") ? JSON.stringify(real).slice(1, -1) : real);
}

function asItIs(real: string): string {
  return real;
}

/** The bytes of UTF-8 as a latin1 string. */
function inUtf8(real: string): string {
  return Buffer.from(real, "utf8").toString("latin1");
}

function percentEncode(character: string): string {
  let out = "";
  for (const byte of Buffer.from(character, "utf8"))
    out += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return out;
}

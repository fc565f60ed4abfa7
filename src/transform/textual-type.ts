// Which media types are text, where a secret could stand readable, and in which charsets it would be found. Decides by
// Content-Type alone, never by looking at the body. wire.md section 6 (response-scrub); RFC 9110 section 8.3.1.

import type { HeaderList } from "../http1/headers.ts";

/** Top-level types that are text, or whose parts may be (multipart of a batch, byte ranges of a text, an echoed message). */
const TEXT_TYPES: ReadonlySet<string> = new Set(["text", "multipart", "message"]);

/** Subtypes, without `x-`, and structured syntax suffixes (RFC 6838 section 4.2.8). */
const TEXT_SUBTYPES: ReadonlySet<string> = new Set([
  ...["json", "json5", "json-seq", "ndjson", "jsonl", "jsonlines", "json-lines", "json-stream"],
  ...["xml", "xml-dtd", "xhtml", "yaml", "toml", "graphql", "sql", "csv"],
  ...["javascript", "ecmascript", "typescript", "www-form-urlencoded", "event-stream"],
]);

const TYPE = /^[ \t]*([!#$%&'*+.^_`|~0-9a-z-]+)\/([!#$%&'*+.^_`|~0-9a-z-]+)[ \t]*(?:;|$)/i;
const CHARSET = /;[ \t]*charset[ \t]*=[ \t]*["']?[ \t]*([^"';, \t]+)/gi;

const CHARSET_PARAMETER = /;[ \t]*charset[ \t]*=/i;

/** Charsets in which ASCII text has other bytes than in UTF-8 and UTF-16, which are both searched. */
const UNSEARCHED = /^(utf-?(32|7)|ucs-?4|iso-10646-ucs-4|csucs4|x-ebcdic|ebcdic|cp-?037|ibm-?\d)/i;

/** A missing or unreadable Content-Type counts as text: clients guess, and a secret could be what they find. */
export function isTextual(headers: HeaderList): boolean {
  let seen = false;
  for (let i = 0; i < headers.size; i++) {
    if (headers.keys[i] !== "content-type") continue;
    seen = true;
    if (namesText(headers.values[i] as string)) return true;
  }
  return !seen;
}

function namesText(value: string): boolean {
  const [, type, subtype] = TYPE.exec(value) ?? [];
  if (type === undefined || subtype === undefined) return true;
  if (TEXT_TYPES.has(type.toLowerCase())) return true;
  // What has a charset is text, whatever it is called: application/vnd.github.raw; charset=utf-8.
  if (type.toLowerCase() === "application" && CHARSET_PARAMETER.test(value)) return true;
  const name = subtype.toLowerCase();
  const plain = name.startsWith("x-") ? name.slice(2) : name;
  return TEXT_SUBTYPES.has(plain) || TEXT_SUBTYPES.has(plain.slice(plain.lastIndexOf("+") + 1));
}

/** The Content-Type names a charset in which a secret would not be found. */
export function hidesSecrets(headers: HeaderList): boolean {
  const value = headers.joined("content-type") ?? "";
  for (const [, charset = ""] of value.matchAll(CHARSET)) if (UNSEARCHED.test(charset)) return true;
  return false;
}

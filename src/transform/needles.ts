// What must not be seen in an answer, and what is shown in its place: real tokens and their placeholders, compiled once
// per request. Works on header values; the scanner of bodies uses the same list. Reveals secrets, logs nothing.
// wire.md section 6 (token substitution, response-scrub).

/** One secret in one of the spellings in which an answer may show it. */
export interface Needle {
  /** The same in latin1, which is how header values are read. */
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly placeholder: string;
  readonly replacement: Uint8Array;
}

export interface Hidden {
  readonly secret: string;
  readonly placeholder: string;
}

export class Needles {
  /** Longest first: of two that begin at the same place the longer is replaced. */
  readonly all: readonly Needle[];
  /** Bytes of the longest. */
  readonly longest: number;

  private constructor(all: readonly Needle[]) {
    this.all = all;
    this.longest = all[0]?.bytes.length ?? 0;
  }

  /** Undefined when there is nothing to hide. */
  static of(hidden: readonly Hidden[]): Needles | undefined {
    const all = new Map<string, Needle>();
    for (const { secret, placeholder } of hidden) {
      for (const bytes of bytesOf(secret)) {
        const text = bytes.toString("latin1");
        if (text === "" || all.has(text)) continue;
        all.set(text, { text, bytes, placeholder, replacement: Buffer.from(placeholder, "utf8") });
      }
    }
    if (all.size === 0) return undefined;
    return new Needles([...all.values()].sort((a, b) => b.bytes.length - a.bytes.length));
  }

  /** A header value with every secret in it replaced; the same string where there is none. */
  replaceIn(value: string): string {
    let out = value;
    for (const { text, placeholder } of this.all) {
      if (out.includes(text)) out = out.replaceAll(text, () => placeholder);
    }
    return out;
  }
}

/** RFC 3986 section 3.3: these may stand in a path as they are, and did when a token was put there. */
const PLAIN_IN_PATH = /%(?:24|26|2B|2C|3A|3B|3D|40)/g;
/** Of these characters alone a secret has one spelling: most tokens. */
const PLAIN_EVERYWHERE = /^[A-Za-z0-9._~-]*$/;
const BEYOND_LATIN1 = /[^\0-\xff]/;

/** In UTF-8, and as a field value carries it (RFC 9110 section 5.5). */
function bytesOf(secret: string): readonly Buffer[] {
  if (PLAIN_EVERYWHERE.test(secret)) return [Buffer.from(secret, "latin1")];
  const all = spellings(secret).map((spelling) => Buffer.from(spelling, "utf8"));
  return BEYOND_LATIN1.test(secret) ? all : [...all, Buffer.from(secret, "latin1")];
}

/**
 * As it is, as it stands in a query and in a path, and as some JSON writers escape it: PHP the slash, Go and .NET what
 * HTML minds.
 */
function spellings(secret: string): readonly string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  const query = encodeURIComponent(secret);
  const path = query.replaceAll(PLAIN_IN_PATH, decodeURIComponent);
  return [
    ...[secret, query, path, inLowerCase(query), inLowerCase(path)],
    ...[json, json.replaceAll("/", "\\/"), json.replaceAll(/[<>&]/g, escaped)],
    json.replaceAll(/[<>&'+`]/g, (character) => `\\u${escaped(character).slice(2).toUpperCase()}`),
  ];
}

function inLowerCase(url: string): string {
  return url.replaceAll(/%[0-9A-F]{2}/g, (byte) => byte.toLowerCase());
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

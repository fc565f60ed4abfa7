// The path of a request target in every way that servers are known to read it. Rules are judged on all readings,
// so that no encoding walks past a rule. Decides nothing itself, and changes nothing that is sent upstream.
// RFC 3986 sections 2.1 (percent-encoding), 5.2.4 (dot segments), 6.2.2 (normalisation); RFC 3629 (UTF-8).

/** One way to read a path: its decoded segments. `/` has none, and a slash at the end adds none. */
export interface Reading {
  readonly segments: readonly string[];
  /** True: any number of segments that nobody can know may follow. */
  readonly open: boolean;
}

/** All readings, the usual one first, and what makes them more than one, in words for a log. */
export interface PathReadings {
  readonly readings: readonly Reading[];
  readonly oddity: string | undefined;
}

/** What a single segment says. */
interface Segment {
  readonly text: string;
  /** `open`: this segment and all behind it are uncertain. `wild`: so is all before it. */
  readonly trouble: "open" | "wild" | undefined;
  readonly oddity: string | undefined;
}

/** Bounds the work of a verdict. Far more than any API has; deeper paths are read as unknown. */
const MAX_SEGMENTS = 256;
/** Bounds the decoding, which costs far more per character than reading. In UTF-16 units. */
const MAX_ODD_LENGTH = 8192;
/** How often a server may decode one path, rewriting proxies before it included. */
const MAX_DECODINGS = 3;

const ODD_BYTES = "characters that no path may hold";
const BAD_PERCENT = "invalid percent-encoding";
const BAD_UTF8 = "percent-encoded bytes that are not UTF-8";
const DOUBLE = "double percent-encoding";
const DOTS = "dot segments";
const SLASHES = "repeated slashes";

/** Any path at all. */
const ANYTHING: Reading = Object.freeze({ segments: Object.freeze([]), open: true });

/** What of a decoded segment some servers take for syntax, and what to call it. */
const SYNTAX: readonly (readonly [RegExp, string])[] = [
  [/\//, "an encoded slash"],
  [/\\/, "a backslash"],
  [/\p{Cc}/u, "a NUL or other control character"],
  [/;/, "path parameters"],
  [/[?#]/, "an encoded ? or #"],
];

/**
 * Reads the target of a request: origin-form, of which the query is cut off, or `*`. The cost grows with the
 * length of the target only.
 */
export function readPath(target: string): PathReadings {
  if (target[0] !== "/") return unknown(target === "*" ? "the server as a whole" : ODD_BYTES);
  const query = target.indexOf("?");
  const path = query < 0 ? target : target.slice(0, query);
  const raw = path.split("/", MAX_SEGMENTS + 2);
  raw.shift();
  // "/a" and "/a/" name the same thing to nearly every router, and a rule must not be passed with a slash.
  while (raw[raw.length - 1] === "") raw.pop();
  if (raw.length > MAX_SEGMENTS) return unknown("too many segments");
  if (isPlain(path) && raw.every(isCertain))
    return { readings: [{ segments: raw, open: false }], oddity: undefined };
  return path.length > MAX_ODD_LENGTH ? unknown("encoding in a very long path") : readOdd(raw);
}

/**
 * The one text that a segment of a pattern stands for: decoded once.
 * @returns what is wrong when servers differ on it
 */
export function readSegment(raw: string): { text: string } | { problem: string } {
  const { text, oddity } = decode(raw);
  if (oddity !== undefined) return { problem: oddity };
  return isOrdinary(text) ? { text } : { problem: text === "" ? SLASHES : DOTS };
}

/**
 * The segment as the most tolerant server sees it: any case, any compatible Unicode spelling, without the dots
 * and spaces at the end that Windows drops. Two segments that any server may take for one have the same fold.
 */
export function foldSegment(text: string): string {
  const folded = isAscii(text)
    ? text.toLowerCase()
    : text.normalize("NFKC").toUpperCase().toLowerCase().normalize("NFKC");
  let end = folded.length;
  while (end > 0 && (folded[end - 1] === "." || folded[end - 1] === " ")) end--;
  return end === folded.length ? folded : folded.slice(0, end);
}

function readOdd(raw: readonly string[]): PathReadings {
  const segments: string[] = [];
  let firstOpen: Segment | undefined;
  let certain = 0;
  let dots = false;
  let empty = false;
  for (const part of raw) {
    const segment = decode(part);
    if (segment.trouble === "wild") return unknown(segment.oddity);
    if (segment.trouble === "open" && firstOpen === undefined) {
      firstOpen = segment;
      certain = segments.length;
    }
    dots ||= segment.text === "." || segment.text === "..";
    empty ||= segment.text === "";
    segments.push(segment.text);
  }
  if (firstOpen !== undefined) {
    // Where the certain part ends is itself a matter of reading when something may climb or collapse.
    if (dots || empty) return unknown(firstOpen.oddity);
    return { readings: [{ segments: segments.slice(0, certain), open: true }], oddity: firstOpen.oddity };
  }
  if (!dots && !empty) return { readings: [{ segments, open: false }], oddity: undefined };
  return { readings: spellings(segments), oddity: dots ? DOTS : SLASHES };
}

/**
 * RFC 3986 section 5.2.4 resolves dot segments and keeps empty ones; nginx merges slashes first; others do one,
 * none, or both in the other order.
 */
function spellings(segments: readonly string[]): Reading[] {
  const merged = segments.filter((segment) => segment !== "");
  const all = [
    resolved(merged),
    resolved(segments).filter((s) => s !== ""),
    resolved(segments),
    merged,
    segments,
  ];
  // RFC 3986 section 4.2: "//host/path" given to a URL parser is a network-path reference, its first segment a host.
  if (segments[0] === "") all.push(resolved(merged.slice(1)));
  return all.map((list) => ({ segments: withoutTrailingEmpty(list), open: false }));
}

function resolved(segments: readonly string[]): string[] {
  const out: string[] = [];
  for (const segment of segments) {
    if (segment === "..") out.pop();
    else if (segment !== ".") out.push(segment);
  }
  return out;
}

function withoutTrailingEmpty(segments: readonly string[]): readonly string[] {
  let end = segments.length;
  while (end > 0 && segments[end - 1] === "") end--;
  return segments.slice(0, end);
}

function decode(raw: string): Segment {
  if (!isVisibleAscii(raw)) return { text: raw, trouble: "wild", oddity: ODD_BYTES };
  if (/%(?![0-9a-f]{2})/i.test(raw)) return { text: raw, trouble: "wild", oddity: BAD_PERCENT };
  const text = decodeOnce(raw);
  // Overlong forms such as %c0%af and lone surrogates are not UTF-8, and lenient decoders make a slash of them.
  if (text === undefined) return { text: raw, trouble: "wild", oddity: BAD_UTF8 };
  const final = decodeFully(text);
  if (final === undefined) return { text, trouble: "wild", oddity: DOUBLE };
  // Fullwidth dots and slashes become ASCII where a server maps Unicode to compatible characters.
  const compatible = isAscii(final) ? final : final.normalize("NFKC");
  const oddity =
    SYNTAX.find(([pattern]) => pattern.test(compatible))?.[1] ?? (final === text ? undefined : DOUBLE);
  if (mayClimb(compatible) && text !== "." && text !== "..") {
    return { text, trouble: "wild", oddity: oddity ?? DOTS };
  }
  return { text, trouble: oddity === undefined ? undefined : "open", oddity };
}

/** Decoding that goes on while there is something to decode; undefined when it fails or does not end soon. */
function decodeFully(text: string): string | undefined {
  let now = text;
  for (let i = 0; i < MAX_DECODINGS; i++) {
    if (!/%[0-9a-f]{2}/i.test(now)) return now;
    const next = decodeOnce(now);
    if (next === undefined) return undefined;
    now = next;
  }
  return /%[0-9a-f]{2}/i.test(now) ? undefined : now;
}

function decodeOnce(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

/** Whether some reading finds a dot segment in here: "..;x", "a/../b", "..%00", ".. ". */
function mayClimb(text: string): boolean {
  return text.split(/[/\\;?#\p{Cc}]/u).some((part) => /^[. ]+$/.test(part) && part.includes("."));
}

function unknown(oddity: string | undefined): PathReadings {
  return { readings: [ANYTHING], oddity };
}

function isOrdinary(segment: string): boolean {
  return segment !== "" && segment !== "." && segment !== "..";
}

/** Whether a plain segment is surely no dot segment to anybody, however many dots that one reads as such. */
function isCertain(segment: string): boolean {
  return segment !== "" && segment[0] !== ".";
}

/** Nothing in it that needs decoding or could be read in two ways. */
function isPlain(path: string): boolean {
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    // "#", "%", ";" and "\", control characters, spaces, and everything outside ASCII.
    if (code <= 0x20 || code >= 0x7f || code === 0x23 || code === 0x25 || code === 0x3b || code === 0x5c)
      return false;
  }
  return true;
}

function isVisibleAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code <= 0x20 || code >= 0x7f) return false;
  }
  return true;
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

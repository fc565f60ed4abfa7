// One rule, `allow|deny METHOD[,METHOD] /path/pattern`: its grammar, its match against one reading of a path, and
// what it says in plain words. `*` stands for one whole segment, `**` for any number of them, none included.
// Matches without backtracking: one pass over the path, one bit per segment of the pattern. wire.md section 2.

import { foldSegment, type Reading, readSegment } from "./path.ts";

export interface Rule {
  readonly kind: "allow" | "deny";
  /** Undefined: every method. */
  readonly methods: ReadonlySet<string> | undefined;
  /** Path pattern as written. */
  readonly path: string;
  /** Decoded segments; no two `**` in a row. */
  readonly segments: readonly PatternSegment[];
}

/** A wildcard, or a text: exact for `allow`, folded for `deny`. */
interface PatternSegment {
  readonly span: "one" | "many" | undefined;
  /** Empty for a wildcard. */
  readonly text: string;
}

/** The states of a match are the bits of one 32-bit integer, the last of them its end. */
const MAX_PATTERN = 30;
const FORM = 'write it like "allow GET /repos/**" or "deny * /**"';

/** What the request parser reads. A method outside this list never arrives, so a rule for it is a typing error. */
const METHODS: ReadonlySet<string> = new Set([
  ...["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"],
  ...[
    "COPY",
    "LOCK",
    "MKCOL",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "SEARCH",
    "UNLOCK",
    "BIND",
    "REBIND",
    "UNBIND",
    "ACL",
  ],
  ...["REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "PURGE"],
  ...["MKCALENDAR", "LINK", "UNLINK", "SOURCE"],
]);

/**
 * Reads one rule of a host.
 * @throws Error of one line that names host, rule, problem and what to write
 */
export function parseRule(text: string, host: string): Rule {
  const words = text.trim().split(/\s+/);
  const [kind, methods, path] = words;
  if (kind !== "allow" && kind !== "deny") throw invalidRule(text, host, 'must begin with "allow" or "deny"');
  if (methods === undefined || path === undefined) throw invalidRule(text, host, "needs a method and a path");
  if (words.length > 3) throw invalidRule(text, host, "has more than an action, a method and a path");
  return {
    kind,
    methods: parseMethods(methods, text, host),
    path,
    segments: parsePattern(path, kind, text, host),
  };
}

/**
 * Whether the rule covers the request. `maybe`: it depends on segments that nobody can know.
 * @param reading for a `deny` rule with folded segments: who must not pass must not pass in another spelling
 */
export function matchRule(rule: Rule, method: string, reading: Reading): "yes" | "no" | "maybe" {
  if (rule.methods !== undefined && !rule.methods.has(method)) return "no";
  const pattern = rule.segments;
  let states = spread(1, pattern);
  for (let i = 0; i < reading.segments.length && states !== 0; i++) {
    states = step(states, pattern, reading.segments[i] as string);
  }
  if (states === 0) return "no";
  const end = 1 << pattern.length;
  if (!reading.open) return (states & end) === 0 ? "no" : "yes";
  // Standing in a "**" that ends the pattern: whatever follows is covered.
  const last = pattern[pattern.length - 1];
  return last?.span === "many" && (states & (end >> 1)) !== 0 ? "yes" : "maybe";
}

/** Whether `earlier` takes every request that `later` could: a cheap check for what cannot be meant. */
export function reachesEverything(earlier: Rule, later: Rule): boolean {
  const path = earlier.path === "/**" || earlier.path === later.path;
  // A deny rule is tolerant of case; an allow rule is not, so the same path covers less.
  const tolerant = earlier.path === "/**" || earlier.kind === "deny" || later.kind === "allow";
  const { methods } = earlier;
  const method =
    methods === undefined || (later.methods !== undefined && [...later.methods].every((m) => methods.has(m)));
  return path && tolerant && method;
}

/** Such as `allows GET and HEAD on /repos and everything below it`. */
export function ruleInWords(rule: Rule): string {
  const verb = rule.kind === "allow" ? "allows" : "denies";
  const methods = rule.methods === undefined ? "every method" : listed([...rule.methods]);
  return `${verb} ${methods} on ${pathInWords(rule)}`;
}

function pathInWords({ path, segments }: Rule): string {
  if (segments.length === 0) return "/ alone";
  if (segments.length === 1 && segments[0]?.span === "many") return "every path";
  const below = segments[segments.length - 1]?.span === "many";
  const shown = below ? path.replace(/(?:\/\*\*)+\/*$/, "") : path.replace(/\/+$/, "");
  const inner = below ? segments.slice(0, -1) : segments;
  const notes: string[] = [];
  if (inner.some(({ span }) => span === "one")) notes.push("* is any one segment");
  if (inner.some(({ span }) => span === "many")) notes.push("** is any number of segments");
  const note = notes.length === 0 ? "" : `, where ${notes.join(" and ")}`;
  return `${shown}${below ? " and everything below it" : " alone"}${note}`;
}

function listed(words: readonly string[]): string {
  return words.length < 2
    ? words.join("")
    : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

/** All states after one segment. */
function step(states: number, pattern: readonly PatternSegment[], segment: string): number {
  let next = 0;
  for (let i = 0; i < pattern.length; i++) {
    if ((states & (1 << i)) === 0) continue;
    const wanted = pattern[i] as PatternSegment;
    if (wanted.span === "many") next |= 1 << i;
    else if (wanted.span === "one" ? segment !== "" : wanted.text === segment) next |= 1 << (i + 1);
  }
  return spread(next, pattern);
}

/** A "**" may stand for nothing: who stands before it also stands behind it. */
function spread(states: number, pattern: readonly PatternSegment[]): number {
  let all = states;
  for (let i = 0; i < pattern.length; i++) {
    if ((all & (1 << i)) !== 0 && pattern[i]?.span === "many") all |= 1 << (i + 1);
  }
  return all;
}

function parseMethods(text: string, rule: string, host: string): ReadonlySet<string> | undefined {
  if (text === "*") return undefined;
  const methods = text.split(",").map((method) => method.toUpperCase());
  for (const method of methods) {
    if (method === "CONNECT") throw invalidRule(rule, host, "names CONNECT, which network.allow decides");
    if (!METHODS.has(method)) {
      throw invalidRule(rule, host, `names the unknown method ${JSON.stringify(method)}`);
    }
  }
  return new Set(methods);
}

function parsePattern(path: string, kind: Rule["kind"], rule: string, host: string): PatternSegment[] {
  if (!path.startsWith("/")) throw invalidRule(rule, host, "has a path that does not begin with a slash");
  if (path.includes("?") || path.includes("#")) {
    throw invalidRule(rule, host, "has a query or fragment, but a rule sees the path only");
  }
  const parts = path.slice(1).split("/");
  if (parts[parts.length - 1] === "") parts.pop();
  const segments: PatternSegment[] = [];
  for (const part of parts) {
    if (part === "**") {
      if (segments[segments.length - 1]?.span !== "many") segments.push({ span: "many", text: "" });
    } else if (part === "*") segments.push({ span: "one", text: "" });
    else segments.push({ span: undefined, text: literal(part, kind, rule, host) });
  }
  if (segments.length > MAX_PATTERN) throw invalidRule(rule, host, `has more than ${MAX_PATTERN} segments`);
  return segments;
}

function literal(part: string, kind: Rule["kind"], rule: string, host: string): string {
  if (part.includes("*")) {
    throw invalidRule(
      rule,
      host,
      `has a "*" inside ${JSON.stringify(part)}, but it stands for a whole segment`,
    );
  }
  if (!part.isWellFormed()) throw invalidRule(rule, host, "holds half a character");
  // An operator writes é, a client sends %C3%A9.
  const read = readSegment(part.replaceAll(/[^\p{ASCII}]+/gu, encodeURIComponent));
  if ("problem" in read) {
    throw invalidRule(rule, host, `has ${read.problem} in its path, which servers read in several ways`);
  }
  return kind === "deny" ? foldSegment(read.text) : read.text;
}

function invalidRule(rule: string, host: string, problem: string): Error {
  return new Error(`rule ${JSON.stringify(rule)} for ${host} ${problem}: ${FORM}`);
}

// YAML with source positions: text to plain data, and the line of any place in it. Mistakes are worded here from
// the parser's codes, never from its messages: those repeat the text at fault, which may be a secret.
// YAML 1.2.2, core schema.

import {
  type Document,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
} from "yaml";

export type Place = readonly PropertyKey[];

/** A mistake before its place in the file is put in front of it. */
export interface Mistake {
  /** 1-based; undefined for the file as a whole. */
  readonly line: number | undefined;
  readonly text: string;
}

export interface YamlText {
  /** Plain data; a key without a value is undefined, as if it were not there. */
  readonly data: unknown;
  readonly mistakes: readonly Mistake[];
  /** The key is there and has nothing behind it. */
  emptyAt(place: Place): boolean;
  /** Line of the key or list item at this place, or of the nearest one around it. */
  lineOf(place: Place): number | undefined;
}

const UNDEFINED_ALIAS = "an alias that nothing defines; a value that begins with * must stand in quotes";
/** Bounds what a few nested aliases may expand to. */
const MAX_ALIASES = 100;

const BY_CODE: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: "duplicate key, an earlier line of this mapping has it too",
  TAB_AS_INDENT: "tab in the indentation, YAML takes spaces only",
  BAD_INDENT: "wrong indentation",
  MULTIPLE_DOCS: "a second document begins here, expected one",
  BAD_ALIAS: UNDEFINED_ALIAS,
  TAG_RESOLVE_FAILED: "a tag that is not known; a value that begins with ! must stand in quotes",
  BAD_DQ_ESCAPE: "unknown escape in double quotes, use single quotes for a value with backslashes",
  MISSING_CHAR: "a quote, bracket, brace or colon is missing",
  BAD_SCALAR_START: "a value that begins like this must stand in quotes",
};
const OTHERWISE = "not valid YAML";
/** A mapping inside a value ("a: b: c") is most often a colon that needed quotes. */
const IN_VALUE = "not valid YAML; a value with a colon and a space in it must stand in quotes";

/** What a key of ours looks like; anything else at that place may be a secret and is not shown. */
const PLAIN_KEY = /^([a-z][a-z_]{0,39})\s*:/;

/** A duplicate key is told by its name where the name is plainly one. */
function named(code: string, at: string): string | undefined {
  const key = code === "DUPLICATE_KEY" ? PLAIN_KEY.exec(at)?.[1] : undefined;
  return key === undefined ? undefined : `${key}: ${BY_CODE.DUPLICATE_KEY}`;
}

export function readYaml(text: string): YamlText {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error" });
  const mistakes: Mistake[] = [...document.errors, ...document.warnings].map((problem) => ({
    line: lines.linePos(problem.pos[0]).line,
    text:
      named(problem.code, text.slice(problem.pos[0])) ??
      BY_CODE[problem.code] ??
      (problem.code.includes("IMPLICIT_KEY") ? IN_VALUE : OTHERWISE),
  }));
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return;
      mistakes.push({ line: lines.linePos(alias.range?.[0] ?? 0).line, text: UNDEFINED_ALIAS });
    },
  });
  let data: unknown;
  if (mistakes.length === 0) {
    try {
      data = withoutNulls(document.toJS({ maxAliasCount: MAX_ALIASES }));
    } catch {
      // All that toJS refuses at this point.
      mistakes.push({ line: undefined, text: "its aliases expand to too much" });
    }
  }
  const emptyAt = (place: Place): boolean => document.hasIn(place) && document.getIn(place) === null;
  return { data, mistakes, emptyAt, lineOf: (place) => lineOf(document, lines, place) };
}

function lineOf(document: Document, lines: LineCounter, place: Place): number | undefined {
  let node: unknown = document.contents;
  let offset = isNode(node) ? node.range?.[0] : undefined;
  for (const step of place) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      if (!isPair(pair)) break;
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      if (!isNode(node)) break;
      offset = node.range?.[0] ?? offset;
    } else break;
  }
  return offset === undefined ? undefined : lines.linePos(offset).line;
}

/** `key:` with nothing behind it means "not set", as it does to the reference. A null in a list stays a mistake. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, inner === null ? undefined : withoutNulls(inner)]),
  );
}

// A small TypeScript lexer for the architecture test: words, strings, comments and punctuation with their lines.
// It knows no grammar. What it must get right is what is code and what is not: comments, strings, templates with
// nested expressions, regular expressions. The test compares its imports with those that Bun's own parser finds.

export type TokenKind = "word" | "string" | "template" | "regexp" | "comment" | "punctuation";

export interface Token {
  readonly kind: TokenKind;
  /** As written; for a string without its quotes. */
  readonly text: string;
  /** From 1. */
  readonly line: number;
}

const WORD = /[\p{ID_Start}\p{ID_Continue}$@#]+/uy;
const SPACE = /\s+/y;
const LINE_COMMENT = /\/\/[^\n]*/y;
const BLOCK_COMMENT = /\/\*[\s\S]*?\*\//y;
const STRING = /"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'/y;
const REGEXP = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const TEMPLATE_PART = /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*(?:`|\$\{)/y;

/** Words after which a slash opens a regular expression, though a word usually ends an operand. */
const BEFORE_OPERAND = new Set([
  "return",
  "typeof",
  "case",
  "in",
  "of",
  "void",
  "delete",
  "throw",
  "await",
  "yield",
]);

export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  /** One entry per open template: the depth of braces inside its current `${`. */
  const templates: number[] = [];
  let at = 0;
  let line = 1;

  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  const take = (kind: TokenKind | undefined, raw: string, text = raw): void => {
    if (kind !== undefined) tokens.push({ kind, text, line });
    at += raw.length;
    line += raw.split("\n").length - 1;
  };
  const templatePart = (): void => {
    const part = match(TEMPLATE_PART);
    if (part === undefined) throw new Error(`line ${line}: a template literal does not end`);
    const goesOn = part.endsWith("${");
    if (goesOn) templates.push(0);
    take("template", part, part.slice(0, goesOn ? -2 : -1));
  };

  while (at < source.length) {
    const space = match(SPACE);
    if (space !== undefined) {
      take(undefined, space);
      continue;
    }
    const comment = match(LINE_COMMENT) ?? match(BLOCK_COMMENT);
    if (comment !== undefined) {
      take("comment", comment);
      continue;
    }
    const string = match(STRING);
    if (string !== undefined) {
      take("string", string, string.slice(1, -1));
      continue;
    }
    const word = match(WORD);
    if (word !== undefined) {
      take("word", word);
      continue;
    }
    const character = source.charAt(at);
    if (character === "`") {
      take(undefined, character);
      templatePart();
      continue;
    }
    if (character === "/" && opensRegExp(tokens)) {
      const regexp = match(REGEXP);
      if (regexp !== undefined) {
        take("regexp", regexp);
        continue;
      }
    }
    const depth = templates.at(-1);
    if (depth !== undefined && character === "}" && depth === 0) {
      templates.pop();
      take(undefined, character);
      templatePart();
      continue;
    }
    if (depth !== undefined && character === "{") templates[templates.length - 1] = depth + 1;
    if (depth !== undefined && character === "}") templates[templates.length - 1] = depth - 1;
    take("punctuation", character);
  }
  return tokens;
}

function opensRegExp(tokens: readonly Token[]): boolean {
  const previous = tokens.findLast((token) => token.kind !== "comment");
  if (previous === undefined) return true;
  if (previous.kind === "word") return BEFORE_OPERAND.has(previous.text);
  if (previous.kind === "punctuation") return ![")", "]", "}"].includes(previous.text);
  return false;
}

/** All tokens that are code: what remains when the comments are gone. */
export function codeTokens(source: string): Token[] {
  return tokenize(source).filter((token) => token.kind !== "comment");
}

export interface Import {
  readonly specifier: string;
  /** Names taken from the module; empty for `import "x"`, `import * as x`, `export * from` and `import("x")`. */
  readonly names: readonly string[];
  readonly line: number;
}

/** Every import and re-export, type-only ones included, static and dynamic. */
export function importsOf(code: readonly Token[]): Import[] {
  const found: Import[] = [];
  for (let i = 0; i < code.length; i++) {
    const token = code[i];
    const before = code[i - 1];
    if (token?.kind !== "word" || before?.text === ".") continue;
    if (token.text === "import") {
      const next = code[i + 1];
      const argument = next?.text === "(" ? code[i + 2] : next;
      if (argument?.kind === "string") {
        found.push({ specifier: argument.text, names: [], line: token.line });
        continue;
      }
      if (next?.text === "(" || next?.text === ".") continue;
    } else if (token.text !== "export" || !["{", "*", "type"].includes(code[i + 1]?.text ?? "")) continue;
    const clause = fromClause(code, i);
    if (clause !== undefined) found.push({ ...clause, line: token.line });
  }
  return found;
}

/** Reads `… from "specifier"` behind the token at `start`; undefined where the statement has no `from`. */
function fromClause(code: readonly Token[], start: number): Omit<Import, "line"> | undefined {
  const names: string[] = [];
  let inBraces = false;
  for (let i = start + 1; i < code.length; i++) {
    const token = code[i];
    if (token === undefined || token.text === ";" || token.text === "=") return undefined;
    if (token.text === "{") inBraces = true;
    else if (token.text === "}") inBraces = false;
    else if (token.text === "from" && !inBraces && code[i + 1]?.kind === "string") {
      return { specifier: code[i + 1]?.text ?? "", names };
    } else if (inBraces && token.kind === "word" && code[i - 1]?.text !== "as" && isImportedName(code, i)) {
      names.push(token.text);
    }
  }
  return undefined;
}

function isImportedName(code: readonly Token[], i: number): boolean {
  const text = code[i]?.text;
  if (text === "as") return false;
  // `type` in front of a name is the modifier; alone it is a name.
  return text !== "type" || [",", "}"].includes(code[i + 1]?.text ?? "");
}

// The documents as tests read them: text, fenced blocks, and the commands in them.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dir, "../..");

export const DOCUMENTS: readonly string[] = [
  ...["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"],
  ...readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .sort()
    .map((name) => `docs/${name}`),
];

/** The text of a file, by its path from the root of the project. */
export function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

export interface Block {
  /** `sh`, `yaml` and the like; empty for none. */
  readonly language: string;
  readonly text: string;
}

/** The fenced blocks in their order, without the indentation of the list that they stand in. */
export function blocksOf(document: string): Block[] {
  const found = read(document).matchAll(/^( *)```(\w*)\n([\s\S]*?)^ *```$/gm);
  return [...found].map(([, indent = "", language = "", text = ""]) => ({
    language,
    text: text.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
  }));
}

export function blocks(document: string, language: string): string[] {
  return blocksOf(document).flatMap((block) => (block.language === language ? [block.text] : []));
}

/** Name of the file that a block is the content of: its first line says so. */
export function fileName({ text }: Block): string | undefined {
  return /^# ([\w-]+\.yaml)\n/.exec(text)?.[1];
}

/** The commands of a shell block: continued lines joined, comments left out. */
export function commandsIn(text: string): string[] {
  return text
    .replaceAll(/ *\\\n */g, " ")
    .split("\n")
    .map((line) => line.replace(/(?:^| {2,})#.*$/, "").trim())
    .filter((line) => line !== "");
}

/** Rows of all tables between a heading and the next, as cells. */
export function rows(document: string, heading: string): string[][] {
  const [, section = ""] = `\n${read(document)}`.split(`\n${heading}\n`);
  const [text = ""] = section.split(/^#+ /m);
  return text
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map(cells);
}

/** A bar inside a cell is written with a backslash. */
function cells(line: string): string[] {
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** What stands between backticks. */
export function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, inner]) => inner ?? "");
}

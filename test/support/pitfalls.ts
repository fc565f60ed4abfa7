// What the tests of the pitfalls list share: its lines, the tables of mishaps that another test proves or that cannot
// apply here, and a check that the named test exists. A name may lead through a describe or a table: `outer > inner`.
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Lines of the list: the number, or none for those at its end, and the title. */
export const PITFALLS: readonly (readonly [number: string, title: string])[] = [
  ["1", "credential to wrong or unverified upstream"],
  ["2", "redirect leak"],
  ["3", "host-match divergence"],
  ["4", "streaming silently buffered"],
  ["5", "bodies cut or corrupted"],
  ["6", "timeouts"],
  ["7", "SSRF and policy bypass"],
  ["8", "stale or lost state"],
  ["9", "certificate details"],
  ["10", "fail-open and privilege"],
  ["", "smuggling / hop-by-hop"],
  ["", "exhaustion"],
  ["", "auth protocol"],
  ["", "own endpoints hijack proxied paths"],
  ["", "other"],
];

/** The name of a line's describe. */
export function pitfallName([number, title]: readonly [number: string, title: string]): string {
  return number === "" ? `Also seen: ${title}` : `Pitfall ${number}: ${title}`;
}

/**
 * One row a string: `pitfall | mishap | test file | test name`, or `pitfall | mishap | reason` for what cannot apply. The
 * pitfall is a line's number, or its title where it has none; a `${…}` of the name is written `…`.
 */
export type Row = string;

const TEST_DIR = join(import.meta.dir, "..");

/** Fails for a row whose test is not there. */
export function expectToExist(rows: readonly Row[]): void {
  const missing = rows.filter((row) => {
    const [, , file = "", name = ""] = cells(row);
    return name === "" || !holdsTest(readFileSync(join(TEST_DIR, file), "utf8"), name);
  });
  expect(missing).toEqual([]);
}

/** Fails for a row without a reason. */
export function expectReasons(rows: readonly Row[]): void {
  expect(rows.filter((row) => (cells(row)[2] ?? "").length < 20)).toEqual([]);
}

export function cells(row: Row): readonly string[] {
  return row.split(" | ");
}

/** Every part is a whole string literal of the source, and one of them is the title of a test or a describe. */
export function holdsTest(text: string, name: string): boolean {
  const source = text.replaceAll(/\$\{[^}]*\}/g, "…");
  const parts = name.split(" > ");
  return (
    parts.every((part) => literalAt(source, part) !== undefined) &&
    parts.some((part) => isTitle(source, part))
  );
}

function literalAt(source: string, text: string, from = 0): number | undefined {
  for (const quote of ['"', "'", "`"]) {
    const escaped = quote === '"' ? text.replaceAll('"', '\\"') : text;
    const at = source.indexOf(quote + escaped + quote, from);
    if (at >= 0) return at;
  }
  return undefined;
}

function isTitle(source: string, text: string): boolean {
  for (let at = literalAt(source, text); at !== undefined; at = literalAt(source, text, at + 1)) {
    if (/\b(?:test|describe)\b[^;{}]*\(\s*$/.test(source.slice(Math.max(0, at - 200), at))) return true;
  }
  return false;
}

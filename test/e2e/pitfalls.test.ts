// The pitfalls list as a whole: every line of it has a describe named after it in one of the pitfalls files, and rows say
// what is proved elsewhere or cannot apply. The list itself is not part of the repository: it is compared where it is.
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { holdsTest, PITFALLS, pitfallName } from "../support/pitfalls.ts";

const LIST = join(import.meta.dir, "../../../shared/spec/pitfalls.md");

const sources = readdirSync(import.meta.dir)
  .filter((name) => /^pitfalls-.*\.test\.ts$/.test(name))
  .map((name) => readFileSync(join(import.meta.dir, name), "utf8"));

/** The text of a describe at the top level, to its closing line. */
function describeOf(name: string): string {
  const start = `describe(${JSON.stringify(name)}, `;
  const source = sources.find((text) => text.includes(start)) ?? "";
  const from = source.indexOf(start);
  return from < 0 ? "" : source.slice(from, source.indexOf("\n});", from));
}

/** First cells of all rows. */
const rowed = new Set(
  sources.flatMap((source) => [...source.matchAll(/^ {2}["']([^|"']+) \| /gm)].map(([, pitfall]) => pitfall)),
);

test("the files are found", () => expect(sources.length).toBeGreaterThan(5));

describe("every line of the list has at least one test and at least one row", () => {
  for (const line of PITFALLS) {
    test(pitfallName(line), () => {
      expect(describeOf(pitfallName(line))).toMatch(/\btest(?:\.\w+\([^\n]*\))?\(/);
      expect([...rowed]).toContain(line[0] === "" ? line[1] : line[0]);
    });
  }
});

test("no row is of a line that is not there", () => {
  const known = PITFALLS.map(([number, title]) => (number === "" ? title : number));
  expect([...rowed].filter((pitfall) => pitfall !== undefined && !known.includes(pitfall))).toEqual([]);
});

test("a test that does not exist is found missing", () => {
  const dollar = "$";
  const source = `describe("outer", () => {\n  for (const x of ["one case"]) test(\`of ${dollar}{x}\`, () => 1);\n});`;
  const cases: readonly (readonly [name: string, there: boolean])[] = [
    ["outer", true],
    ["of …", true],
    ["of … > one case", true],
    ["outer > of …", true],
    ["one case", false],
    ["oute", false],
    ["of … > two cases", false],
  ];
  expect(cases.map(([name]) => [name, holdsTest(source, name)])).toEqual(cases as [string, boolean][]);
});

/** Numbered lines and bullets of the list, as in PITFALLS. */
function linesOf(list: string): (readonly [string, string])[] {
  return list.split("\n").flatMap((line) => {
    const [, number, title] = /^(?:(\d+)\.|-) \*\*([^*]+?)\.?\*\*/.exec(line) ?? [];
    return title === undefined ? [] : [[number ?? "", title.toLowerCase()] as const];
  });
}

test.skipIf(!existsSync(LIST))("the list has these lines, and no others", () => {
  const list = readFileSync(LIST, "utf8");
  const lines = linesOf(list);
  expect(lines).toEqual(PITFALLS.map(([number, title]) => [number, title.toLowerCase()] as const));
  // None of another form has been passed over.
  expect(list.split("\n").filter((line) => /^(?:\d+\.|[-*]) /.test(line))).toHaveLength(lines.length);
});

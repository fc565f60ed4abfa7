// Makes table and chart anew from the JSON of a run: `bun bench/report/main.ts RESULT.json [DIRECTORY]`, by default
// into the directory of that file. With docs/ as the directory, the table goes between the marks of performance.md, and
// a short one between those of the README beside it.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { chart } from "./chart.ts";
import type { Result } from "./result.ts";
import { summary } from "./summary.ts";
import { markdown } from "./table.ts";

const BEGIN = "<!-- bench -->\n";
const END = "<!-- end -->";

export function publish(result: Result, directory: string): void {
  writeFileSync(join(directory, "performance.svg"), chart(result));
  const document = join(directory, "performance.md");
  if (!existsSync(document)) writeFileSync(document, `${BEGIN}${END}\n`);
  fill(document, markdown(result));
  const readme = join(directory, "../README.md");
  if (existsSync(readme) && readFileSync(readme, "utf8").includes(BEGIN)) fill(readme, summary(result));
}

/** Puts the text between the marks of a document. */
function fill(document: string, content: string): void {
  const text = readFileSync(document, "utf8");
  const begin = text.indexOf(BEGIN) + BEGIN.length;
  const end = text.indexOf(END, begin);
  if (begin < BEGIN.length || end === -1) throw new Error(`${document} has no ${BEGIN.trim()} … ${END}`);
  writeFileSync(document, `${text.slice(0, begin)}\n${content}\n${text.slice(end)}`);
}

if (import.meta.main) {
  const [path, directory] = Bun.argv.slice(2);
  if (path === undefined) throw new Error("usage: bun bench/report/main.ts RESULT.json [DIRECTORY]");
  publish(JSON.parse(readFileSync(path, "utf8")) as Result, directory ?? dirname(path));
}

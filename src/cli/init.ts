// The init command: writes a commented starter file. It never overwrites anything and asks nothing.
// What is in the file is init-templates.ts's. wire.md section 2.

import { writeFileSync } from "node:fs";
import { defineCommand } from "citty";
import { BadSetting, parsePath } from "../config/setting.ts";
import { shellWord } from "../values/shell-word.ts";
import { UsageError } from "./argv.ts";
import { orFail, printLines } from "./failure.ts";
import { SERVICES, starterFile } from "./init-templates.ts";
import { flagShapes, listed, oneOf, readCommandLine, single } from "./operands.ts";

const STDOUT = 1;
const STDERR = 2;
const DEFAULT_FILE = "moat.yaml";
const NAMES = Object.keys(SERVICES);

const ARGS = {
  for: {
    type: "string",
    valueHint: "service",
    description: `Service to prepare; several with commas or repeated: ${NAMES.join(", ")}`,
  },
  out: {
    type: "string",
    valueHint: "file",
    description: `Where to write, by default ${DEFAULT_FILE}; - is stdout`,
  },
} as const;

export const initCommand = defineCommand({
  meta: { name: "init", description: "Write a commented config file to start from" },
  args: ARGS,
  run: ({ rawArgs }) => orFail(() => init(rawArgs)),
});

function init(args: readonly string[]): void {
  const { flags } = readCommandLine(args, flagShapes(ARGS, ["for"]), 0);
  const names = listed(flags, "for").map((name) => oneOf(name, NAMES, "service"));
  const file = readOut(single(flags, "out"));
  const text = starterFile(names);
  if (file === "-") {
    printLines(STDOUT, [text.trimEnd()]);
    return;
  }
  writeNew(file, text);
  printLines(STDERR, nextSteps(file, names));
}

function readOut(text: string | undefined): string {
  try {
    return parsePath(text ?? DEFAULT_FILE);
  } catch (error) {
    throw error instanceof BadSetting ? new UsageError(`--out: ${error.message}`) : error;
  }
}

/** Creates the file, or fails with one line. */
function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: "wx" });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    if (code === "EEXIST") {
      throw new Error(`${file}: exists already and is left as it is; name another file with --out FILE`);
    }
    throw new Error(`${file}: cannot be written (${code})`);
  }
}

function nextSteps(file: string, names: readonly string[]): string[] {
  const word = shellWord(file);
  const variables = [...new Set(names.flatMap((name) => SERVICES[name]?.variables ?? []))];
  return [
    `wrote ${file}; next:`,
    ...variables.map((name) => `  export ${name}=...`),
    `  moat-proxy check --config ${word}${variables.length > 0 ? " --fetch" : ""}`,
    `  moat-proxy --config ${word}`,
  ];
}

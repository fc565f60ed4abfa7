// The documents against the program: their examples load, their tables list what exists, their links lead somewhere.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { demoCommand } from "../src/cli/demo.ts";
import { mainCommand } from "../src/cli/main-command.ts";
import { readServeFlags, serveArgs } from "../src/cli/serve-flags.ts";
import { type Config, DEFAULT_LIMITS } from "../src/config/config.ts";
import { SOURCE_TYPES } from "../src/config/known-keys.ts";
import { loadConfig } from "../src/config/load.ts";
import { SUPPORTED_KEYS } from "../src/config/schema.ts";

const ROOT = join(import.meta.dir, "..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const DOCUMENTS = [
  ...["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"],
  ...["docs/configuration.md", "docs/commands.md"],
];

function load(yaml: string): Config {
  return loadConfig({ file: "moat.yaml", flags: {}, env: { HOME: "/nonexistent" }, readFile: () => yaml });
}

/** The contents of fenced blocks of a language, without the indentation of the list that they stand in. */
function blocks(document: string, language: string): string[] {
  const found = read(document).matchAll(new RegExp(`^( *)\`\`\`${language}\n([^]*?)^ *\`\`\`$`, "gm"));
  return [...found].map(([, indent = "", text = ""]) => text.replaceAll(new RegExp(`^${indent}`, "gm"), ""));
}

/** Rows of all tables between a heading and the next, as cells. */
function rows(document: string, heading: string): string[][] {
  const [, section = ""] = `\n${read(document)}`.split(`\n${heading}\n`);
  const [text = ""] = section.split(/^#+ /m);
  return text
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => cells(line));
}

/** A bar inside a cell is written with a backslash. */
function cells(line: string): string[] {
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, inner]) => inner ?? "");
}

describe("configuration", () => {
  const examples = ["README.md", "docs/configuration.md"].flatMap((document) => blocks(document, "yaml"));
  const whole = examples.filter((yaml) => !yaml.startsWith("source:"));
  const sources = examples
    .filter((yaml) => yaml.startsWith("source:"))
    .flatMap((yaml) => yaml.trim().split("\n"));

  test("there are whole examples and source examples", () => {
    expect([whole.length, sources.length]).toEqual([2, SOURCE_TYPES.length]);
  });

  test.each(whole.map((yaml) => [yaml]))("an example loads: %j", (yaml) => {
    expect(load(yaml).credentials.length).toBeGreaterThan(0);
  });

  test.each(sources.map((yaml) => [yaml]))("a source loads: %j", (yaml) => {
    const [credential] = load(
      `credentials: [{ host: a.example, ${yaml.replace(/ *#.*$/, "")} }]`,
    ).credentials;
    expect(yaml).toContain(`type: ${credential?.source.type}`);
  });

  test.each(Object.entries(SUPPORTED_KEYS).filter(([place]) => place !== ""))(
    "every key of %s is described, and no other",
    (place, keys) => {
      const list = place.endsWith("[]");
      const heading = `## ${list ? place.slice(0, -2) : place}`;
      const described = rows("docs/configuration.md", heading).flatMap(([key = ""]) => quoted(key));
      expect(described.sort()).toEqual(keys.map((key) => (list ? key : `${place}.${key}`)).sort());
    },
  );

  test("every section of the file has its heading", () => {
    const headings: string[] = read("docs/configuration.md").match(/^## \S+$/gm) ?? [];
    expect(SUPPORTED_KEYS[""]?.filter((key) => !headings.includes(`## ${key}`))).toEqual([]);
  });

  test("the limits have the defaults that are written down", () => {
    const settings = rows("docs/configuration.md", "## limits").map(
      ([key = "", value = ""]) => `  ${quoted(key)[0]?.replace("limits.", "")}: ${quoted(value)[0]}`,
    );
    expect(load(`limits:\n${settings.join("\n")}\n`).limits).toEqual(DEFAULT_LIMITS);
  });
});

describe("commands", () => {
  const flagsIn = (text: string): string[] =>
    [...text.matchAll(/(?<![\w-])--([a-z][a-z-]*)/g)].map(([, flag]) => flag ?? "");

  test("every flag of serve is described, and no other", () => {
    const described = rows("docs/commands.md", "## serve").flatMap(([flag = ""]) => flagsIn(flag));
    expect(described.sort()).toEqual(Object.keys(serveArgs).sort());
  });

  test("every command is described, and no other", () => {
    const described = rows("docs/commands.md", "# Commands").map(([command = ""]) => command);
    const names = Object.keys(mainCommand.subCommands ?? {});
    expect(described.length).toBe(names.length);
    for (const name of names) expect(described.join("\n")).toMatch(new RegExp(`moat-proxy \\[?${name}\\b`));
  });

  test("every flag of the demo is described", () => {
    const [row = ""] = read("docs/commands.md").match(/^\| `moat-proxy demo.*$/m) ?? [];
    expect(Object.keys(demoCommand.args ?? {}).filter((name) => !flagsIn(row).includes(name))).toEqual([]);
  });

  test("the command lines of the documents are accepted", () => {
    const lines = ["README.md", "docs/commands.md"]
      .flatMap((document) => blocks(document, "sh"))
      .join("\n")
      .split("\n")
      .flatMap((line) => / ?dist\/moat-proxy (--.*)$/.exec(line)?.[1] ?? []);
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) expect(() => readServeFlags(line.split(" "))).not.toThrow();
  });
});

describe("links", () => {
  const slug = (heading: string): string =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-");

  test.each(DOCUMENTS.map((path) => [path]))("of %s lead somewhere", (document) => {
    const dead = [...read(document).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target]) => target ?? "")
      .filter((target) => !/^https:\/\//.test(target))
      .filter((target) => {
        const [path = "", anchor] = target.split("#");
        const file = path === "" ? join(ROOT, document) : join(ROOT, dirname(document), path);
        if (relative(ROOT, file).startsWith("..") || !existsSync(file)) return true;
        const headings = readFileSync(file, "utf8").match(/^#+ .*$/gm) ?? [];
        return anchor !== undefined && !headings.some((line) => slug(line.replace(/^#+ /, "")) === anchor);
      });
    expect(dead).toEqual([]);
  });
});

// The documents against the program: their examples load, their tables are those of the program, their links lead
// somewhere. What they quote is docs-texts.test.ts's, their command lines are docs-commands.test.ts's.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { CommandDef } from "citty";
import { argsOf, commandsOf, GENERATED, placesIn, withTables } from "../docs/reference.ts";
import { mainCommand } from "../src/cli/main-command.ts";
import { type Config, DEFAULT_LIMITS } from "../src/config/config.ts";
import { SOURCE_TYPES } from "../src/config/known-keys.ts";
import { loadConfig } from "../src/config/load.ts";
import { SUPPORTED_KEYS } from "../src/config/schema.ts";
import { blocks, DOCUMENTS, quoted, ROOT, read, rows } from "./support/documents.ts";

function load(yaml: string): Config {
  return loadConfig({ file: "moat.yaml", flags: {}, env: { HOME: "/nonexistent" }, readFile: () => yaml });
}

describe("the tables made from the program", () => {
  test.each(GENERATED.map((path) => [path]))(
    "of %s are current (renew them with: bun run docs)",
    async (path) => {
      expect(await withTables(read(path))).toBe(read(path));
    },
  );

  test("are there for every section of the config file, and in one of its own each", () => {
    const places = placesIn(read("docs/configuration.md"), "keys");
    const wanted = [...Object.keys(SUPPORTED_KEYS).filter((place) => place !== ""), "credentials[].source"];
    expect(places.sort()).toEqual(wanted.sort());
  });

  test("are there for every command that takes flags", async () => {
    const wanted: string[] = [];
    const walk = async (command: CommandDef, words: readonly string[]): Promise<void> => {
      if (Object.keys(await argsOf(command)).length > 0) wanted.push(words.join(" "));
      for (const [name, child] of Object.entries(await commandsOf(command)))
        await walk(child, [...words, name]);
    };
    await walk(mainCommand, []);
    expect(wanted).toContain("ca export");
    expect(placesIn(read("docs/commands.md"), "flags").sort()).toEqual(wanted.sort());
  });

  test("are refused for what does not exist", () => {
    const table = (place: string) => `<!-- keys: ${place} -->\n<!-- end -->`;
    expect(withTables(table("proxi"))).rejects.toThrow("no proxi in the config file");
    expect(withTables(table("proxy").replace("keys", "flags"))).rejects.toThrow("no command proxy");
  });
});

describe("configuration", () => {
  const examples = DOCUMENTS.flatMap((document) => blocks(document, "yaml"));
  const whole = examples.filter((yaml) => !/^source:|^# (?:compose|pod)\.yaml/.test(yaml));
  const sources = examples
    .filter((yaml) => yaml.startsWith("source:"))
    .flatMap((yaml) => yaml.trim().split("\n"));

  test("there are whole examples, and one of each source", () => {
    expect([whole.length, sources.length]).toEqual([8, SOURCE_TYPES.length]);
  });

  test.each(whole.map((yaml) => [yaml]))("an example loads: %j", (yaml) => {
    const { credentials, network, extraHeaders, tokenSubstitutions, aws } = load(yaml);
    const said = [credentials, network.rules, extraHeaders, tokenSubstitutions, aws ?? []];
    expect(said.flat().length).toBeGreaterThan(0);
  });

  test.each(sources.map((yaml) => [yaml]))("a source loads: %j", (yaml) => {
    const [credential] = load(`credentials: [{ host: a.example, ${yaml} }]`).credentials;
    expect(yaml).toContain(`type: ${credential?.source.type}`);
  });

  test("the limits have the defaults that are written down", () => {
    const settings = rows("docs/configuration.md", "## limits").map(
      ([key = "", , value = ""]) => `  ${quoted(key)[0]?.replace("limits.", "")}: ${quoted(value)[0]}`,
    );
    expect(load(`limits:\n${settings.join("\n")}\n`).limits).toEqual(DEFAULT_LIMITS);
  });

  test("the keys that need a restart are those of the program", () => {
    const [, list = ""] =
      /These need a restart,[^:]*:([^.]*\.[\s\S]*?)\n\n/.exec(read("docs/configuration.md")) ?? [];
    const inCode = [...read("src/app/needs-restart.ts").matchAll(/^ {2}\["([a-z._]+)", \(config\)/gm)].map(
      ([, key]) => key,
    );
    expect(inCode.length).toBeGreaterThan(5);
    expect(quoted(list)).toEqual(inCode as string[]);
  });
});

describe("commands", () => {
  test("every command is described, and no other", () => {
    const described = rows("docs/commands.md", "# Commands").map(([command = ""]) => command);
    const names = Object.keys(mainCommand.subCommands ?? {});
    expect(described.length).toBe(names.length);
    for (const name of names) expect(described.join("\n")).toMatch(new RegExp(`moat-proxy \\[?${name}\\b`));
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

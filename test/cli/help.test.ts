import { describe, expect, test } from "bun:test";
import { type CommandDef, defineCommand } from "citty";
import { helpText } from "../../src/cli/help.ts";
import { mainCommand } from "../../src/cli/main-command.ts";

type Loader = CommandDef | (() => Promise<CommandDef>);

async function everyCommand(
  words: readonly string[],
  command: CommandDef,
): Promise<[string[], CommandDef][]> {
  const children = Object.entries((command.subCommands ?? {}) as Record<string, Loader>);
  const nested = await Promise.all(
    children.map(async ([name, child]) =>
      everyCommand([...words, name], typeof child === "function" ? await child() : child),
    ),
  );
  return [[[...words], command], ...nested.flat()];
}

const commands = await everyCommand([], mainCommand);

describe("every command", () => {
  test("is there", () => expect(commands.length).toBeGreaterThan(12));

  test.each(commands.map(([words, command]) => [words.join(" "), words, command] as const))(
    "%s: 80 columns, plain, with its whole name and examples",
    async (_name, words, command) => {
      const text = await helpText(command, words, false);
      expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
      expect(text).not.toContain("\u001b");
      expect(text).toContain(`USAGE ${["moat-proxy", ...words].join(" ")}`);
      expect(text.split("EXAMPLES").length - 1).toBe(1);
      expect(text).toMatch(new RegExp(`EXAMPLES\\n\\n.*moat-proxy ${words.join(" ")}`));
    },
  );
});

test("a long description goes on in its own column, with its colour left of it", async () => {
  const command = defineCommand({
    meta: { name: "x", description: "Something" },
    args: { flag: { type: "string", valueHint: "v", description: "word ".repeat(30).trim() } },
  });
  const plain = await helpText(command, ["x"], false);
  const [first = "", second = ""] = plain.split("\n").filter((line) => line.includes("word"));
  expect(first).toStartWith("  --flag=<v>    word ");
  expect(second).toStartWith(`${" ".repeat(16)}word`);
  const coloured = await helpText(command, ["x"], true);
  // citty renders without colour in such an environment, whoever asks.
  const { CI, TEST, TERM, NO_COLOR } = process.env;
  const colourless = Boolean(CI || TEST || TERM === "dumb" || NO_COLOR === "1");
  expect(coloured.includes("\u001b")).toBe(!colourless);
  expect(Bun.stripANSI(coloured).replaceAll(/ +$/gm, "")).toBe(plain);
});

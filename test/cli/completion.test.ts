import { describe, expect, test } from "bun:test";
import { commandTree } from "../../src/cli/completion.ts";
import { SCRIPTS } from "../../src/cli/completion-scripts.ts";
import { mainCommand } from "../../src/cli/main-command.ts";
import { serveArgs } from "../../src/cli/serve-flags.ts";
import { moatProxy } from "../support/command.ts";

const tree = await commandTree(mainCommand);
const nodeOf = (...words: string[]) =>
  [tree, ...tree.children, ...tree.children.flatMap(({ children }) => children)].find(
    (node) => node.words.join(" ") === words.join(" "),
  );

describe("the tree", () => {
  test("holds the flags of the definitions, none by hand", () => {
    expect(nodeOf("serve")?.flags.map(({ name }) => name)).toEqual([...Object.keys(serveArgs), "help"]);
    expect(tree.flags.map(({ name }) => name)).toEqual([...Object.keys(serveArgs), "help", "version"]);
    expect(nodeOf("ca", "show")?.flags.map(({ name }) => name)).toEqual(["ca-dir", "config", "json", "help"]);
  });
  test("knows what follows a flag", () => {
    const kinds = Object.fromEntries(tree.flags.map(({ name, kind }) => [name, kind]));
    expect(kinds).toMatchObject({
      config: "file",
      "ca-dir": "dir",
      policy: "word",
      port: "text",
      "no-auth": "none",
    });
  });
  test("and which words stand alone", () => {
    expect(nodeOf("completion")?.operands).toEqual(["bash", "zsh", "fish"]);
    expect(nodeOf("check")?.operands).toEqual([]);
  });
});

test("the command prints the script", () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const expected = `${SCRIPTS[shell]?.(tree).join("\n")}\n`;
    expect(moatProxy(["completion", shell])).toEqual({ status: 0, stdout: expected, stderr: "" });
  }
});

describe("usage", () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [[], "completion needs a shell: bash, zsh, fish"],
    [["bsh"], 'unknown shell "bsh", did you mean bash?'],
    [["bash", "zsh"], 'unexpected argument "zsh", see --help'],
    [["--shell", "bash"], "unknown flag --shell, "],
  ];
  for (const [args, message] of cases) {
    test(args.join(" ") || "nothing", () => {
      const { status, stdout, stderr } = moatProxy(["completion", ...args]);
      expect([status, stdout]).toEqual([2, ""]);
      expect(stderr).toStartWith(`moat-proxy: ${message}`);
    });
  }
});

// The scripts in the shells that they are for, as far as those are here. bash is told a command line and says what it
// would offer; of the others at least the text is looked at.

import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { commandTree } from "../../src/cli/completion.ts";
import { SCRIPTS } from "../../src/cli/completion-scripts.ts";
import { mainCommand } from "../../src/cli/main-command.ts";
import { scratch } from "../support/command.ts";
import { works } from "../support/programs.ts";

const tree = await commandTree(mainCommand);
const script = (shell: string): string => (SCRIPTS[shell]?.(tree) ?? []).join("\n");

function bash(program: string, cwd?: string): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    ["bash", "--norc", "-c", `${script("bash")}\n${program}`],
    {
      ...(cwd === undefined ? {} : { cwd }),
    },
  );
  expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  return stdout.toString();
}

/** What bash offers for the last of these words, split as bash splits a line. */
function offered(words: readonly string[], cwd?: string): string[] {
  const list = words.map((word) => `'${word}'`).join(" ");
  const text = bash(
    `COMP_WORDS=(moat-proxy ${list}); COMP_CWORD=${words.length}; _moat_proxy; printf '%s\\n' "\${COMPREPLY[@]}"`,
    cwd,
  );
  return text.split("\n").filter((line) => line !== "");
}

describe.skipIf(!works(["bash", "--version"]))("bash", () => {
  test("registers the function", () => {
    expect(bash("complete -p moat-proxy")).toBe("complete -F _moat_proxy moat-proxy\n");
  });

  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ["commands by their beginning", ["ch"], ["check"]],
    ["flags of the default command", ["--policy"], ["--policy"]],
    ["--version of the program", ["--vers"], ["--version"]],
    ["flags of a command", ["serve", "--log-f"], ["--log-format"]],
    ["no flag twice over", ["check", "--meth"], ["--method"]],
    ["the words of a flag", ["serve", "--policy", ""], ["strict", "permissive"]],
    ["behind an equals sign", ["--policy", "=", "per"], ["permissive"]],
    ["right at the equals sign", ["--log-format", "="], ["text", "json"]],
    ["the services of init", ["init", "--for", "git"], ["github", "gitlab"]],
    ["grants", ["--grant", "o"], ["openai"]],
    ["commands below a command", ["ca", ""], ["show", "path", "export", "trust-instructions"]],
    ["flags below a command", ["ca", "show", "--j"], ["--json"]],
    ["platforms", ["ca", "trust-instructions", "--for", "d"], ["debian", "docker"]],
    ["shells", ["completion", ""], ["bash", "zsh", "fish"]],
    ["nothing for a free value", ["--port", ""], []],
    ["nothing that is not there", ["serve", "--zzz"], []],
  ];
  for (const [name, words, expected] of cases) {
    test(name, () => expect(offered(words)).toEqual([...expected]));
  }

  test("every command", () => {
    expect(offered([""]).sort()).toEqual(Object.keys(mainCommand.subCommands ?? {}).sort());
  });

  test("files and directories, with spaces in their names", () => {
    using place = scratch();
    writeFileSync(place.file("my moat.yaml"), "");
    mkdirSync(place.file("my dir"));
    expect(offered(["--config", "my"], place.dir).sort()).toEqual(["my dir", "my moat.yaml"]);
    expect(offered(["--ca-dir", "my"], place.dir)).toEqual(["my dir"]);
  });

  test("leaves the shell's own settings alone", () => {
    expect(
      bash('IFS=:; COMP_WORDS=(moat-proxy --config x); COMP_CWORD=2; _moat_proxy; printf %s "$IFS"'),
    ).toBe(":");
  });
});

describe("zsh", () => {
  test("has every command and every flag with its description", () => {
    const text = script("zsh");
    expect(text).toStartWith("#compdef moat-proxy\n");
    for (const { words } of tree.children) expect(text).toContain(`${words[0]})`);
    expect(text).toContain("'*--policy=[");
    expect(text).toContain(":value:(strict permissive)'");
    expect(text).toContain("'1:word:(bash zsh fish)'");
  });
  test.skipIf(!works(["zsh", "--version"]))("is accepted by zsh", () => {
    const { exitCode, stderr } = Bun.spawnSync(["zsh", "-f", "-n"], { stdin: Buffer.from(script("zsh")) });
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  });
});

describe("fish", () => {
  test("has every command and every flag", () => {
    const text = script("fish");
    for (const { words } of tree.children) expect(text).toContain(` -a ${words[0]} -d '`);
    expect(text).toContain("-n '__fish_seen_subcommand_from init' -l for -x -a 'github ");
    expect(text).toContain(
      "-n '__fish_seen_subcommand_from ca; and not __fish_seen_subcommand_from show path",
    );
  });
  test.skipIf(!works(["fish", "--version"]))("is accepted by fish", () => {
    const { exitCode, stderr } = Bun.spawnSync(["fish", "-n"], { stdin: Buffer.from(script("fish")) });
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  });
});

test("quotes of the shells are balanced in every line", () => {
  // An apostrophe in a description would end a string.
  const node = {
    words: [],
    description: "",
    operands: [],
    children: [],
    flags: [{ name: "x", kind: "none", words: [], description: "it's [odd] \\ this" } as const],
  };
  expect(SCRIPTS.zsh?.(node).join("\n")).toContain("'*--x[it'\\''s \\[odd\\] \\\\ this]'");
  expect(SCRIPTS.fish?.(node).join("\n")).toContain("-d 'it\\'s [odd] \\\\ this'");
});

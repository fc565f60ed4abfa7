// The help text of a command as it is shown: what usage.ts renders, its examples, and no line beyond 80 columns.
// Pure; main-command.ts prints it. wire.md section 1.

import type { ArgsDef, CommandDef } from "citty";
import { wrap } from "./terminal.ts";
import { usageText } from "./usage.ts";

const PROGRAM = "moat-proxy";

/** By the words of the command behind the program's name. */
const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  init: [
    "moat-proxy init --for github,anthropic",
    "moat-proxy init --for npm --for github --out ci/moat.yaml",
    "moat-proxy init --for github --out -   to stdout",
  ],
  check: [
    "moat-proxy check --config moat.yaml           what the file means",
    "moat-proxy check --config moat.yaml --fetch   and whether the sources answer",
    "moat-proxy check https://api.github.com/user --config moat.yaml",
    "moat-proxy check https://api.github.com/repos/a/b --method DELETE --json",
    "moat-proxy check http://wiki.corp.example/ --address 10.1.2.3",
  ],
  ca: ["moat-proxy ca show", "moat-proxy ca trust-instructions --for node,docker"],
  "ca show": ["moat-proxy ca show", "moat-proxy ca show --ca-dir /etc/moat --json"],
  "ca path": ["moat-proxy ca path", 'curl --cacert "$(moat-proxy ca path)" https://example.com/'],
  "ca export": ["moat-proxy ca export > moat-ca.crt", "moat-proxy ca export --out moat-ca.crt"],
  "ca trust-instructions": [
    "moat-proxy ca trust-instructions",
    "moat-proxy ca trust-instructions --for debian --for python",
  ],
  grant: [
    "moat-proxy grant github                        asks for the value, not shown",
    "moat-proxy grant github < token.txt            the value from a file",
    "moat-proxy grant npm --expires 90d --scope read < token.txt",
    "moat-proxy grant mcp linear                    for an MCP server",
    "moat-proxy grant list --json",
  ],
  revoke: ["moat-proxy revoke github", "moat-proxy revoke mcp linear --profile work"],
  completion: [
    'eval "$(moat-proxy completion bash)"                  in ~/.bashrc',
    "moat-proxy completion zsh > ~/.zfunc/_moat-proxy      ~/.zfunc is in $fpath",
    "moat-proxy completion fish > ~/.config/fish/completions/moat-proxy.fish",
  ],
  "aws-credentials": [
    "moat-proxy aws-credentials --url http://192.168.64.1:8080/_aws/credentials",
    "credential_process = moat-proxy aws-credentials     in ~/.aws/config",
  ],
  reload: ["moat-proxy reload --ready-file /run/moat-proxy.json", "moat-proxy reload --pid 4711"],
  schema: ["moat-proxy schema > moat.schema.json"],
  version: ["moat-proxy version", "moat-proxy version --json"],
};

/** Notes below the flags, by command. */
const NOTES: Readonly<Record<string, readonly string[]>> = {
  check: [
    "Exit status with a URL: 0 allowed, 3 denied, 4 when it depends on the address that the name resolves to " +
      "(name it with --address). Without a URL: 0 when the file is valid. Always 1 for a file with mistakes, 2 for " +
      "wrong usage.",
    "The flags of serve are accepted too, so that a whole command line can be checked.",
  ],
  grant: [
    "The value is typed at a prompt that does not show it, or piped in; it is never given on the command line. " +
      "In the config file: source: { type: store, provider: NAME }",
  ],
};

/** @param words the command behind the program's name, such as `["ca", "show"]`; empty for the program */
export async function helpText<T extends ArgsDef>(
  command: CommandDef<T>,
  words: readonly string[],
  colour: boolean,
): Promise<string> {
  // citty puts the name of the parent in front of the command's own, and looks at nothing else of it: hence the cast.
  const parentName = words.length === 0 ? undefined : [PROGRAM, ...words.slice(0, -1)].join(" ");
  const parent = parentName === undefined ? undefined : { meta: { name: parentName } };
  const usage = await usageText(command, parent as CommandDef<T> | undefined, colour);
  const name = words.join(" ");
  const parts = [usage.split("\n").flatMap(fitted).join("\n")];
  for (const note of NOTES[name] ?? []) parts.push(wrap(note).join("\n"));
  const examples = (EXAMPLES[name] ?? []).map((line) => `  ${line}`);
  if (examples.length > 0) parts.push("EXAMPLES", examples.join("\n"));
  return parts.join("\n\n");
}

/** `  --flag=<value>    what it does`: the description goes on in its own column. */
const COLUMNS_LINE = /^( +\S+(?: \S+)* {2,})(\S.*)$/;

/** The commands in one word, as citty shows them in the first line; each has a line of its own below. */
const COMMAND_LIST = /(?:[a-z-]+\|){8,}[a-z-]+/;

function fitted(whole: string): string[] {
  const line = whole.replace(COMMAND_LIST, "COMMAND");
  const plain = Bun.stripANSI(line);
  if (plain.length <= 80) return [line];
  const [, left = "", right] = COLUMNS_LINE.exec(plain) ?? [];
  if (right === undefined) return wrap(plain, "", "  ");
  const lines = wrap(right, " ".repeat(left.length));
  // The left column keeps its colour: its text is cut from the line as it came.
  const coloured = line.slice(0, line.length - right.length);
  return lines.map((text, i) =>
    i === 0 && line.endsWith(right) ? coloured + text.slice(left.length) : text,
  );
}

// The completion command: a script for a shell, made from the definitions of the commands, so that it knows every
// flag. How such a script looks is completion-scripts.ts's. wire.md section 1.

import { type ArgDef, type ArgsDef, type CommandDef, defineCommand } from "citty";
import { knownGrants } from "../policy/grants.ts";
import { UsageError } from "./argv.ts";
import { PLATFORMS } from "./ca-trust.ts";
import { type CommandNode, type FlagNode, SCRIPTS } from "./completion-scripts.ts";
import { orFail, printLines } from "./failure.ts";
import { SERVICES } from "./init-templates.ts";
import { flagShapes, oneOf, readCommandLine } from "./operands.ts";

const STDOUT = 1;
/** Its flags may stand right behind the program's name. */
const DEFAULT_COMMAND = "serve";
const SHELLS = Object.keys(SCRIPTS);
const ARGS = {
  shell: { type: "positional", required: false, valueHint: SHELLS.join("|"), description: "The shell" },
} as const;

/** What may follow a flag, by the hint in its definition; a hint with bars lists the words itself. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  service: Object.keys(SERVICES),
  platform: Object.keys(PLATFORMS),
  name: knownGrants(),
  credential: ["list", "mcp", ...knownGrants()],
};

/** @param root the definition of the whole program */
export function completionCommand(root: () => CommandDef): CommandDef<typeof ARGS> {
  return defineCommand({
    meta: { name: "completion", description: "A script that completes commands and flags in a shell" },
    args: ARGS,
    run: ({ rawArgs }) =>
      orFail(async () => {
        const { operands } = readCommandLine(rawArgs, flagShapes(ARGS), 1);
        const [word] = operands;
        if (word === undefined) throw new UsageError(`completion needs a shell: ${SHELLS.join(", ")}`);
        const render = SCRIPTS[oneOf(word, SHELLS, "shell")];
        printLines(STDOUT, render?.(await commandTree(root())) ?? []);
      }),
  });
}

/** The program with its commands, their flags and the words that they take. */
export async function commandTree(root: CommandDef): Promise<CommandNode> {
  const node = await nodeOf([], root);
  const standard = node.children.find(({ words }) => words[0] === DEFAULT_COMMAND);
  const version: FlagNode = { name: "version", kind: "none", words: [], description: "Print the version" };
  return { ...node, flags: [...(standard?.flags ?? node.flags), version] };
}

async function nodeOf(words: readonly string[], command: CommandDef): Promise<CommandNode> {
  const [meta, args, subCommands] = await Promise.all([
    resolved(command.meta),
    resolved(command.args),
    resolved(command.subCommands),
  ]);
  const children = Object.entries(subCommands ?? {}).map(async ([name, child]) =>
    // citty types the flags of a child as any; they are read from the value itself.
    nodeOf([...words, name], await resolved(child as CommandDef | (() => Promise<CommandDef>))),
  );
  return {
    words,
    description: meta?.description ?? "",
    flags: [...flagsOf(args ?? {}), { name: "help", kind: "none", words: [], description: "Show the help" }],
    operands: Object.values(args ?? {}).flatMap((arg) => (arg.type === "positional" ? choices(arg) : [])),
    children: await Promise.all(children),
  };
}

function flagsOf(args: ArgsDef): FlagNode[] {
  return Object.entries(args)
    .filter(([, { type }]) => type !== "positional")
    .map(([name, arg]) => ({ name, ...valueKind(arg), description: arg.description ?? "" }));
}

function valueKind(arg: ArgDef): Pick<FlagNode, "kind" | "words"> {
  if (arg.type === "boolean") return { kind: "none", words: [] };
  const words = choices(arg);
  if (words.length > 0) return { kind: "word", words };
  const { valueHint } = arg;
  return { kind: valueHint === "file" || valueHint === "dir" ? valueHint : "text", words: [] };
}

function choices({ valueHint = "" }: ArgDef): readonly string[] {
  return WORDS[valueHint] ?? (valueHint.includes("|") ? valueHint.split("|") : []);
}

/** citty takes a value, a promise of one, or a function that gives either. */
async function resolved<T>(value: T | Promise<T> | (() => T) | (() => Promise<T>)): Promise<T> {
  // No definition is itself a function.
  return typeof value === "function" ? (value as () => T | Promise<T>)() : value;
}

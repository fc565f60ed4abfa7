// The commands and their dispatch. citty runs them; what it takes too lightly (a command that does not exist, a flag
// that a command does not know, an error as a stack trace) is settled here. wire.md section 1.

import { type ArgsDef, type CommandDef, defineCommand } from "citty";
import { version } from "../../package.json" with { type: "json" };
import { nearest } from "../config/nearest.ts";
import { shown } from "../config/setting.ts";
import { readFlags, shapesOf, UsageError } from "./argv.ts";
import { orFail, printLines } from "./failure.ts";
import { usageText } from "./usage.ts";

const STDOUT = 1;
const DEFAULT_COMMAND = "serve";
const COMMANDS = ["serve", "demo"];

export const mainCommand = defineCommand({
  meta: {
    name: "moat-proxy",
    version,
    description: "A forward proxy that puts real credentials into requests, so that its clients need none",
  },
  // Loaded when asked for: a usage error of one command needs no other.
  subCommands: {
    serve: () => import("./serve.ts").then(({ serveCommand }) => serveCommand),
    demo: () => import("./demo.ts").then(({ demoCommand }) => strict(demoCommand)),
  },
  setup: ({ rawArgs: [name = ""] }) =>
    orFail(() => {
      if (!COMMANDS.includes(name)) throw unknownCommand(name);
    }),
});

/** The arguments as citty takes them: the default command spelt out, `--version` alone, `help x` as `x --help`. */
export function commandLine(args: readonly string[]): string[] {
  const [first] = args;
  if (args.includes("--version") || first === "-v") return ["--version"];
  if (first === "help") return [...args.slice(1), "--help"];
  const own = first === "--help" || first === "-h" || first?.startsWith("-") === false;
  return own ? [...args] : [DEFAULT_COMMAND, ...args];
}

/** For citty's runMain: the help text on stdout, plain when it is no terminal. */
export async function showUsage<T extends ArgsDef>(
  command: CommandDef<T>,
  parent?: CommandDef<T>,
): Promise<void> {
  printLines(STDOUT, [await usageText(command, parent, process.stdout.isTTY)]);
}

/** The command with its flags checked first, and its errors told in one line. */
function strict<T extends ArgsDef>(command: CommandDef<T>): CommandDef<T> {
  return {
    ...command,
    run: (context) =>
      orFail(async () => {
        const args = await (typeof command.args === "function" ? command.args() : command.args);
        readFlags(context.rawArgs, shapesOf(args ?? {}));
        await command.run?.(context);
      }),
  };
}

function unknownCommand(name: string): UsageError {
  const match = nearest(name, COMMANDS);
  const hint = match === undefined ? `expected ${COMMANDS.join(" or ")}` : `did you mean ${match}?`;
  return new UsageError(`unknown command ${shown(name)}, ${hint}`);
}

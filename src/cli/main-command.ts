// The commands and their dispatch. citty runs them; what it takes too lightly (a command that does not exist, a flag
// that a command does not know, an error as a stack trace) is settled here. wire.md section 1.

import { type ArgsDef, type CommandDef, defineCommand } from "citty";
import { version } from "../../package.json" with { type: "json" };
import { nearest } from "../config/nearest.ts";
import { shown } from "../config/setting.ts";
import { readFlags, shapesOf, UsageError } from "./argv.ts";
import { orFail, printLines } from "./failure.ts";
import { helpText } from "./help.ts";
import { terminalStyle } from "./terminal.ts";

const STDOUT = 1;
const DEFAULT_COMMAND = "serve";
const PROGRAM = "moat-proxy";

// Loaded when asked for: a usage error of one command needs no other.
const subCommands = {
  serve: () => import("./serve.ts").then(({ serveCommand }) => serveCommand),
  init: () => import("./init.ts").then(({ initCommand }) => initCommand),
  check: () => import("./check.ts").then(({ checkCommand }) => checkCommand),
  reload: () => import("./reload.ts").then(({ reloadCommand }) => reloadCommand),
  grant: () => import("./grant.ts").then(({ grantCommand }) => grantCommand),
  revoke: () => import("./revoke.ts").then(({ revokeCommand }) => revokeCommand),
  ca: () => import("./ca.ts").then(({ caCommand }) => caCommand),
  "aws-credentials": () =>
    import("./aws-credentials.ts").then(({ awsCredentialsCommand }) => awsCredentialsCommand),
  schema: () => import("./schema.ts").then(({ schemaCommand }) => schemaCommand),
  demo: () => import("./demo.ts").then(({ demoCommand }) => strict(demoCommand)),
  completion: () =>
    import("./completion.ts").then(({ completionCommand }) => completionCommand(() => mainCommand)),
  version: () => import("./version.ts").then(({ versionCommand }) => versionCommand),
};
const COMMANDS = Object.keys(subCommands);

export const mainCommand: CommandDef = defineCommand({
  meta: {
    name: PROGRAM,
    version,
    description: "A forward proxy that puts real credentials into requests, so that its clients need none",
  },
  subCommands,
  setup: ({ rawArgs: [name = ""] }) =>
    orFail(() => {
      if (!COMMANDS.includes(name)) throw unknownCommand(name);
    }),
});

/** The arguments as citty takes them: the default command spelt out, `--version` alone, `help x` as `x --help`. */
export function commandLine(args: readonly string[]): string[] {
  const [first] = args;
  if (first === "help") return commandLine([...args.slice(1), "--help"]);
  // Help on what does not exist is no help: without the flag, citty runs into the error.
  if (first !== undefined && !first.startsWith("-") && !COMMANDS.includes(first)) return [first];
  if (args.includes("--version") || first === "-v") return ["--version"];
  const own = first === "--help" || first === "-h" || first?.startsWith("-") === false;
  return own ? [...args] : [DEFAULT_COMMAND, ...args];
}

/** For citty's runMain: the help text on stdout, plain when it is no terminal. */
export async function showUsage<T extends ArgsDef>(
  command: CommandDef<T>,
  parent?: CommandDef<T>,
): Promise<void> {
  const names = await Promise.all([parent, command].map(nameOf));
  const words = names.flatMap((name) => (name === undefined || name === PROGRAM ? [] : [name]));
  printLines(STDOUT, [await helpText(command, words, terminalStyle().colour)]);
}

async function nameOf<T extends ArgsDef>(command: CommandDef<T> | undefined): Promise<string | undefined> {
  const meta = command?.meta;
  return (await (typeof meta === "function" ? meta() : meta))?.name;
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
  const hint = match === undefined ? `expected one of ${COMMANDS.join(", ")}` : `did you mean ${match}?`;
  return new UsageError(`unknown command ${shown(name)}, ${hint}`);
}

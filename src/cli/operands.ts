// Command lines with words beside the flags, such as the URL of `check`. argv.ts reads the flags; this tells the two
// apart and says what is wrong with the words. wire.md section 1.

import type { ArgsDef } from "citty";
import { nearest } from "../config/nearest.ts";
import { shown } from "../config/setting.ts";
import { type FlagShape, type FlagValues, readFlags, UsageError } from "./argv.ts";

export interface CommandLine {
  readonly flags: FlagValues;
  readonly operands: readonly string[];
}

/** The flags of a definition; those named in `repeatable` may come several times. */
export function flagShapes(
  args: ArgsDef,
  repeatable: readonly string[] = [],
): ReadonlyMap<string, FlagShape> {
  return new Map(
    Object.entries(args)
      .filter(([, { type }]) => type !== "positional")
      .map(([name, { type }]) => [
        name,
        { takesValue: type !== "boolean", repeatable: repeatable.includes(name) },
      ]),
  );
}

/** Flags with their values, and the words that are neither, each in its order. Behind `--` all are words. */
export function splitArguments(
  args: readonly string[],
  shapes: ReadonlyMap<string, FlagShape>,
): { readonly flags: string[]; readonly operands: string[] } {
  const flags: string[] = [];
  const operands: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (arg === "--") return { flags, operands: [...operands, ...args.slice(i + 1)] };
    if (!arg.startsWith("-") || arg === "-") operands.push(arg);
    else {
      flags.push(arg);
      const next = args[i + 1];
      const takesNext = shapes.get(arg.slice(2))?.takesValue === true && next !== undefined;
      if (takesNext) {
        flags.push(next);
        i++;
      }
    }
  }
  return { flags, operands };
}

/**
 * @param most how many words may stand beside the flags
 * @throws UsageError for an unknown flag, a missing value or a word too many
 */
export function readCommandLine(
  args: readonly string[],
  shapes: ReadonlyMap<string, FlagShape>,
  most: number,
): CommandLine {
  const { flags, operands } = splitArguments(args, shapes);
  const values = readFlags(flags, shapes);
  const extra = operands[most];
  if (extra !== undefined) throw new UsageError(`unexpected argument ${shown(extra)}, see --help`);
  return { flags: values, operands };
}

/** The last value of a flag that may come once. */
export function single(flags: FlagValues, name: string): string | undefined {
  return flags.get(name)?.at(-1);
}

/** The word as one of `known`. Throws UsageError with the nearest. @param what such as "platform" */
export function oneOf<T extends string>(word: string, known: readonly T[], what: string): T {
  const found = known.find((each) => each === word);
  if (found !== undefined) return found;
  const match = nearest(word, known);
  const hint = match === undefined ? `expected one of ${known.join(", ")}` : `did you mean ${match}?`;
  throw new UsageError(`unknown ${what} ${shown(word)}, ${hint}`);
}

/** Values of a repeatable flag that also takes several at once: `--for a,b --for c`; each once, in order. */
export function listed(flags: FlagValues, name: string): string[] {
  const words = (flags.get(name) ?? []).flatMap((text) => text.split(",")).map((word) => word.trim());
  return [...new Set(words.filter((word) => word !== ""))];
}

// The command line, read strictly: citty takes unknown flags, repeated ones and missing values in silence, and a
// mistyped --no-auth must not start a proxy. citty keeps the dispatch and the help texts. wire.md section 1.

import type { ArgsDef } from "citty";
import { nearest } from "../config/nearest.ts";
import { shown } from "../config/setting.ts";

/** A command line that cannot be meant: exit status 2. The message is one line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface FlagShape {
  readonly takesValue: boolean;
  readonly repeatable: boolean;
}

/** Values by flag name; a flag that takes none has one empty value. */
export type FlagValues = ReadonlyMap<string, readonly string[]>;

/**
 * Reads `--name value`, `--name=value` and `--name`.
 * @param later flags of the contract that are refused with "not supported yet"
 * @throws UsageError for the first thing that is wrong
 */
export function readFlags(
  args: readonly string[],
  shapes: ReadonlyMap<string, FlagShape>,
  later: readonly string[] = [],
): FlagValues {
  const values = new Map<string, string[]>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (!arg.startsWith("--") || arg === "--") throw unexpected(arg, i);
    const equals = arg.indexOf("=");
    const name = arg.slice(2, equals < 0 ? undefined : equals);
    const shape = shapes.get(name);
    if (shape === undefined) throw unknownFlag(name, shapes, later);
    let value = "";
    if (shape.takesValue) {
      const next = equals < 0 ? args[++i] : arg.slice(equals + 1);
      if (next === undefined) throw new UsageError(`--${name}: needs a value`);
      // "--config --port 1" forgot the file; nobody has a file of that name.
      if (equals < 0 && next.startsWith("--")) {
        throw new UsageError(`--${name}: needs a value; one that begins with -- is written --${name}=…`);
      }
      value = next;
    } else if (equals >= 0) throw new UsageError(`--${name}: takes no value`);
    const earlier = values.get(name);
    if (earlier !== undefined && !shape.repeatable)
      throw new UsageError(`--${name}: given twice, expected once`);
    values.set(name, [...(earlier ?? []), value]);
  }
  return values;
}

/** The shapes of a command's flags, from its citty definition. None of them may be repeated. */
export function shapesOf(args: ArgsDef): ReadonlyMap<string, FlagShape> {
  return new Map(
    Object.entries(args).map(([name, { type }]) => [
      name,
      { takesValue: type !== "boolean", repeatable: false },
    ]),
  );
}

/** A flag by its name only: what is written behind "=" may be a secret. */
function unknownFlag(
  name: string,
  shapes: ReadonlyMap<string, FlagShape>,
  later: readonly string[],
): UsageError {
  if (later.includes(name)) return new UsageError(`--${name}: not supported yet`);
  const match = nearest(name, shapes.keys());
  const hint = match === undefined ? "see --help" : `did you mean --${match}?`;
  return new UsageError(`unknown flag ${shown(`--${name}`).slice(1, -1)}, ${hint}`);
}

/** Behind the first flag a stray word may be a secret whose flag was mistyped, so it is not repeated. */
function unexpected(arg: string, index: number): UsageError {
  const what =
    index === 0 ? `unexpected argument ${shown(arg)}` : `unexpected argument at position ${index + 1}`;
  return new UsageError(`${what}, expected a flag such as --port (see --help)`);
}

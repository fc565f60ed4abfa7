// How a command ends when it cannot do its work: one line per mistake on stderr, never a stack trace, and the exit
// status. 1 for a configuration or start-up failure, 2 for usage. wire.md section 1.

import { ConfigError } from "../config/config-error.ts";
import { descriptor, LineWriter } from "../log/line-writer.ts";
import { bound, clean } from "../log/redact.ts";
import { UsageError } from "./argv.ts";

export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;

/** Longer than any message of ours; an error from elsewhere may be of any length. */
const MAX_LINE = 2_000;
const STDOUT = 1;
const STDERR = 2;

export interface Failure {
  readonly status: number;
  readonly lines: readonly string[];
}

/** What to print and how to end. Of an unexpected error only the first line of its message is kept. */
export function failureOf(error: unknown): Failure {
  if (error instanceof ConfigError) return { status: EXIT_FAILURE, lines: error.mistakes.map(oneLine) };
  const message = error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
  const status = error instanceof UsageError ? EXIT_USAGE : EXIT_FAILURE;
  return { status, lines: [oneLine(`moat-proxy: ${message}`)] };
}

/** Runs a command; what it throws ends the process. */
export async function orFail(command: () => Promise<void> | void): Promise<void> {
  try {
    await command();
  } catch (error) {
    const { status, lines } = failureOf(error);
    printLines(STDERR, lines);
    process.exit(status);
  }
}

/** Writes the lines and returns when they are written, even to a pipe and right before the process ends. */
export function printLines(fd: typeof STDOUT | typeof STDERR, lines: readonly string[]): void {
  const writer = new LineWriter(descriptor(fd), () => "");
  for (const line of lines) writer.write(`${line}\n`);
  writer.flush();
}

function oneLine(text: string): string {
  return bound(clean(text), MAX_LINE);
}

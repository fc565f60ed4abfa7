// The logger as a command wants it: the configured output, colour where a person looks, and a word on stderr when a log
// file takes nothing. The only part of the log that looks at the real terminal.

import { isatty } from "node:tty";
import { wantsColour } from "./colour.ts";
import { descriptor, LineWriter } from "./line-writer.ts";
import { type LogOutput, openLogOutput, outputReason } from "./log-output.ts";
import { createLogger, type Logger, type LogLevel } from "./logger.ts";
import { clean } from "./redact.ts";
import type { TerminalStyle } from "./terminal-layout.ts";

export interface LogSettings {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  /** `stderr`, `stdout` or a path. */
  readonly output: string;
}

const STDERR = 2;
/** Where the terminal does not tell. */
const DEFAULT_COLUMNS = 80;

/** @throws Error of one line when a log file cannot be opened */
export function openLogger(
  { level, format, output: where }: LogSettings,
  env: Readonly<Record<string, string | undefined>>,
): Logger {
  const { output, reopen, fd } = openLogOutput(where);
  const terminal = terminalOf(fd, env);
  return createLogger({
    ...{ level, format, output, reopen, terminal },
    colour: wantsColour(env, terminal !== undefined),
    onTrouble: fd === STDERR ? () => undefined : (code) => tell(where, outputReason(code)),
  });
}

function terminalOf(
  fd: LogOutput["fd"],
  env: Readonly<Record<string, string | undefined>>,
): TerminalStyle | undefined {
  if (fd === undefined || !isatty(fd)) return undefined;
  const stream = fd === STDERR ? process.stderr : process.stdout;
  return { colour: wantsColour(env, true), columns: () => stream.columns || DEFAULT_COLUMNS };
}

function tell(where: string, reason: string): void {
  const writer = new LineWriter(descriptor(STDERR), () => "");
  writer.write(
    `moat-proxy: log output ${clean(where)}: ${reason}; serving goes on, lost lines are counted\n`,
  );
  writer.drain();
}

// The program's log: level, message and fields to one line of text or JSON; control characters never pass.
// Why not pino: it works in the compiled binary without worker threads, but took 11 us of CPU for a request record
// where this takes 3 (Bun 1.4.5, JSON, writer included), of some 40 for the whole request; and its text form, our
// default, is a second package that reads the JSON back.

import type { RequestRecord } from "../proxy/record.ts";
import { jsonLayout } from "./json-layout.ts";
import type { Layout, LogFields, LogLevel } from "./layout.ts";
import { LineWriter, type Output } from "./line-writer.ts";
import { type TerminalStyle, terminalLayout } from "./terminal-layout.ts";
import { textLayout } from "./text-layout.ts";

export type { LogFields, LogLevel, LogValue } from "./layout.ts";

export interface Logger {
  debug(msg: string, fields?: LogFields): void;
  info(msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  error(msg: string, fields?: LogFields): void;
  /** The line of a request; only createRequestLog calls it, which makes the record fit to print. */
  request(level: LogLevel, record: RequestRecord): void;
  /** Writes what waits in memory. Call it last, before the process ends. */
  flush(): void;
  /** Opens a log file anew, for logrotate; where that fails the old file stays in use, and the log says so. */
  reopen(): void;
  /** Lines that an output which was blocked, full or gone has cost since the start. */
  readonly lost: number;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  readonly output: Output;
  /** Unix milliseconds. */
  readonly now?: () => number;
  /** Text only: the output is a terminal of this style. At level debug it gets every field all the same. */
  readonly terminal?: TerminalStyle | undefined;
  /** Text only: colour for an output that is no terminal, which somebody has to ask for (FORCE_COLOR). */
  readonly colour?: boolean;
  /** Makes `output` write to the file that has its name now. Throws Error of one line. */
  readonly reopen?: () => void;
  /** Told why the output takes nothing, once per outage: the log itself cannot say so then. */
  readonly onTrouble?: (reason: string) => void;
}

const NO_FIELDS: LogFields = Object.freeze({});
const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export function createLogger(options: LogOptions): Logger {
  const { level, now = Date.now } = options;
  const layout = layoutOf(options);
  const lost = (count: number): string =>
    layout.line(now(), "warn", "log lines lost: the output took none", { count });
  const writer = new LineWriter(options.output, lost, options.onTrouble);
  const at = (own: LogLevel) =>
    RANK[own] < RANK[level]
      ? () => undefined
      : (msg: string, fields = NO_FIELDS) => writer.write(layout.line(now(), own, msg, fields));
  const error = at("error");
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error,
    request(own, record) {
      if (RANK[own] >= RANK[level]) writer.write(layout.request(now(), own, record));
    },
    flush: () => writer.flush(),
    reopen() {
      // What was logged until now belongs into the file that was there until now.
      writer.drain();
      try {
        options.reopen?.();
      } catch (reason) {
        error("the log file stays the old one", { error: reason instanceof Error ? reason.message : "" });
      }
      writer.retry();
    },
    get lost() {
      return writer.lost;
    },
  };
}

/** `text`: `time LEVEL message key=value …`, or columns on a terminal; `json`: one object a line. */
function layoutOf({ format, level, terminal, colour = false }: LogOptions): Layout {
  if (format === "json") return jsonLayout();
  return terminal === undefined || level === "debug"
    ? textLayout(terminal?.colour ?? colour)
    : terminalLayout(terminal);
}

// The program's log: level, message and fields to one line of text or JSON; control characters never pass.
// Why not pino: it works in the compiled binary without worker threads, but took 11 us of CPU for a request record
// where this takes 3 (Bun 1.4.5, JSON, writer included), of some 40 for the whole request; and its text form, our
// default, is a second package that reads the JSON back.

import { LineWriter, type Output } from "./line-writer.ts";
import { clean } from "./redact.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

export type LogValue = string | number | boolean | readonly string[] | undefined;
/** Keys in the order in which they are to stand, none of them time, level or msg; undefined values are left out. */
export type LogFields = Readonly<Record<string, LogValue>>;

export interface Logger {
  debug(msg: string, fields?: LogFields): void;
  info(msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  error(msg: string, fields?: LogFields): void;
  /** Writes what waits in memory. Call it last, before the process ends. */
  flush(): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  readonly output: Output;
  /** Unix milliseconds. */
  readonly now?: () => number;
}

const NO_FIELDS: LogFields = Object.freeze({});
const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** `text`: `time LEVEL message key=value …`; `json`: one object a line with time, level, msg, then the fields. */
export function createLogger({ level, format, output, now = Date.now }: LogOptions): Logger {
  const time = isoClock(now);
  const line = format === "json" ? jsonLine : textLine;
  const lost = (count: number): string =>
    line(time(), "warn", "log lines lost, the output was blocked", { count });
  const writer = new LineWriter(output, lost);
  const at = (own: LogLevel) =>
    RANK[own] < RANK[level]
      ? () => undefined
      : (msg: string, fields = NO_FIELDS) => writer.write(line(time(), own, msg, fields));
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    flush: () => writer.flush(),
  };
}

/**
 * What only a control character, a separator, a mark of direction, or a backslash in a value can put into a JSON
 * line: one look at the whole line instead of one at every value.
 */
const SUSPECT = /\\|[^ -~]/;

function jsonLine(time: string, level: LogLevel, msg: string, fields: LogFields): string {
  const body = JSON.stringify(fields);
  const head = `{"time":"${time}","level":"${level}","msg":${JSON.stringify(msg)}`;
  const line = body === "{}" ? `${head}}` : `${head},${body.slice(1)}`;
  if (!SUSPECT.test(line)) return `${line}\n`;
  const cleaned = JSON.parse(line, (_key, value: unknown) =>
    typeof value === "string" ? clean(value) : value,
  );
  return `${JSON.stringify(cleaned)}\n`;
}

function textLine(time: string, level: LogLevel, msg: string, fields: LogFields): string {
  let line = `${time} ${level.toUpperCase().padEnd(5)} ${clean(msg)}`;
  for (const key in fields) {
    const value = fields[key];
    if (value !== undefined) line += ` ${key}=${textValue(value)}`;
  }
  return `${line}\n`;
}

/** Visible ASCII without quote and equals sign: stands bare. All else is cleaned, and quoted where it is ambiguous. */
const PLAIN = /^[!#-<>-~]+$/;
const AMBIGUOUS = /[\s"=]|^$/;

function textValue(value: string | number | boolean | readonly string[]): string {
  // String() joins a list with commas, and masks a Secret that got past the types.
  const text = String(value);
  if (PLAIN.test(text)) return text;
  const cleaned = clean(text);
  return AMBIGUOUS.test(cleaned) ? JSON.stringify(cleaned) : cleaned;
}

/** ISO 8601 in UTC with milliseconds; formatted once per millisecond. */
function isoClock(now: () => number): () => string {
  let at = Number.NaN;
  let text = "";
  return () => {
    const time = now();
    if (time !== at) {
      at = time;
      text = new Date(time).toISOString();
    }
    return text;
  };
}

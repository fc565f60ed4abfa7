// What a log line may look like, and of what it is made. The layouts are json-layout.ts, text-layout.ts and
// terminal-layout.ts; whichever it is, no control character of a value reaches the line. wire.md section 12.

import type { RequestRecord } from "../proxy/record.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

export type LogValue = string | number | boolean | readonly string[] | undefined;
/** Keys in the order in which they are to stand, none of them time, level or msg; undefined values are left out. */
export type LogFields = Readonly<Record<string, LogValue>>;

/** Makes lines, each with its line feed. Times are Unix milliseconds. */
export interface Layout {
  line(time: number, level: LogLevel, msg: string, fields: LogFields): string;
  /** @param record with every text bounded, and its path free of tokens: see request-log.ts */
  request(time: number, level: LogLevel, record: RequestRecord): string;
}

/** ISO 8601 in UTC with milliseconds; formatted once per millisecond. */
export function isoClock(): (time: number) => string {
  let at = Number.NaN;
  let text = "";
  return (time) => {
    if (time !== at) {
      at = time;
      text = new Date(time).toISOString();
    }
    return text;
  };
}

/** Milliseconds as a record shows them: three decimals. */
export function roundedMs(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

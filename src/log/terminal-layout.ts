// Log lines for a person at a terminal: local time, aligned columns, a request on one row of the terminal's width where
// it fits. What a person does not need (ids, sizes, addresses) is left out: the other layouts have it all.
// Control characters of a value never reach the terminal. wire.md section 12.

import type { RequestRecord } from "../proxy/record.ts";
import { type Colour, colouredLevel, paint } from "./colour.ts";
import type { Layout, LogFields, LogLevel } from "./layout.ts";
import { bound, clean } from "./redact.ts";
import { fit } from "./text-layout.ts";

export interface TerminalStyle {
  readonly colour: boolean;
  /** Width now; a person may resize the window. */
  readonly columns: () => number;
}

/** `12:34:56 INFO  200 CONNECT 12.3ms `: what stands before the URL. */
const BEFORE_URL = 8 + 1 + 5 + 1 + 3 + 1 + 7 + 1 + 6 + 1;
/** On a narrow terminal, or beside a long reason, a URL keeps this much; the row wraps then. */
const MIN_URL = 24;

export function terminalLayout({ colour, columns }: TerminalStyle): Layout {
  const ink = (text: string, own: Colour | undefined): string => (colour ? paint(text, own) : text);
  const start = (time: number, level: LogLevel): string =>
    `${ink(localTime(time), "dim")} ${colouredLevel(level, colour)}`;
  return {
    line: (time, level, msg, fields) => `${start(time, level)} ${clean(msg)}${tail(fields, ink)}\n`,
    request(time, level, record) {
      const { status, method } = record;
      const note = noteOf(record);
      const room = columns() - BEFORE_URL - (note === "" ? 0 : note.length + 2);
      const url = bound(clean(record.host + shownPath(record)), Math.max(MIN_URL, room));
      const code = ink((status === 0 ? "-" : String(status)).padStart(3), statusColour(status));
      const took = ink(shortDuration(record.durationMs).padStart(6), "dim");
      const why = note === "" ? "" : `  ${ink(note, noteColour(level))}`;
      return `${start(time, level)} ${code} ${clean(method).padEnd(7)} ${took} ${url}${why}\n`;
    },
  };
}

function shownPath({ path, query }: RequestRecord): string {
  return query === undefined || query === "" ? path : `${path}?${query}`;
}

/** Why it did not go through, else whose credential it carried. */
function noteOf(record: RequestRecord): string {
  const { error, denyReason, injectedHeaders, grants } = record;
  if (error !== undefined) return clean(error);
  if (record.denied) return denyReason === undefined ? "denied" : `denied: ${clean(denyReason)}`;
  if (record.status === 0) return "the client left";
  if (grants.length > 0) return clean(`with ${grants.join(", ")}`);
  return injectedHeaders.length > 0 ? clean(`with ${injectedHeaders.join(", ")}`) : "";
}

function noteColour(level: LogLevel): Colour {
  if (level === "error") return "red";
  return level === "warn" ? "yellow" : "cyan";
}

function statusColour(status: number): Colour {
  if (status === 0) return "dim";
  if (status < 300) return "green";
  if (status < 400) return "cyan";
  return status < 500 ? "yellow" : "red";
}

function tail(fields: LogFields, ink: (text: string, own: Colour) => string): string {
  let text = "";
  for (const key in fields) {
    const value = fields[key];
    if (value !== undefined) text += ` ${ink(`${key}=`, "dim")}${fit(String(value))}`;
  }
  return text === "" ? "" : ` ${text}`;
}

/** hh:mm:ss on this machine's clock, which is the one on the person's wall. */
function localTime(time: number): string {
  const date = new Date(time);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}

/** At most six characters: 0.3ms, 12ms, 1.2s, 59s, 12min, 100h. */
export function shortDuration(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(1)}ms`;
  if (ms < 999.5) return `${Math.round(ms)}ms`;
  const seconds = ms / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  if (seconds < 59.5) return `${Math.round(seconds)}s`;
  const minutes = seconds / 60;
  return minutes < 99.5 ? `${Math.round(minutes)}min` : `${Math.round(minutes / 60)}h`;
}

// When to colour, and the few colours there are. no-color.org, force-color.org; where both are set FORCE_COLOR wins, as
// in Node. Pure: the environment arrives as a parameter.

import type { LogLevel } from "./layout.ts";

export type Colour = "dim" | "red" | "green" | "yellow" | "cyan";

const SGR: Readonly<Record<Colour, string>> = { dim: "2", red: "31", green: "32", yellow: "33", cyan: "36" };

/** @param terminal whether the output is one */
export function wantsColour(env: Readonly<Record<string, string | undefined>>, terminal: boolean): boolean {
  const force = env.FORCE_COLOR;
  if (force) return force !== "0" && force !== "false";
  return terminal && !env.NO_COLOR && env.TERM !== "dumb";
}

/** The text in a colour; as it is without one. */
export function paint(text: string, colour: Colour | undefined): string {
  return colour === undefined ? text : `\u001b[${SGR[colour]}m${text}\u001b[0m`;
}

const LEVELS: Readonly<Record<LogLevel, { readonly name: string; readonly colour: Colour }>> = {
  debug: { name: "DEBUG", colour: "dim" },
  info: { name: "INFO ", colour: "green" },
  warn: { name: "WARN ", colour: "yellow" },
  error: { name: "ERROR", colour: "red" },
};

/** Five columns. */
export function colouredLevel(level: LogLevel, colour: boolean): string {
  const { name, colour: own } = LEVELS[level];
  return colour ? paint(name, own) : name;
}

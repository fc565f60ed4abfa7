// How text looks where it is read: colours only on a terminal and never against NO_COLOR (no-color.org), lines of at
// most 80 columns. Pure but for `terminalStyle`, which looks at the process.

import { wantsColour } from "../log/colour.ts";

export interface Style {
  /** SGR colour sequences. */
  readonly colour: boolean;
  /** Characters outside ASCII. */
  readonly unicode: boolean;
}

export type Tone = "strong" | "faint" | "old" | "new" | "good" | "bad";

/** What every terminal has. */
export const COLUMNS = 80;

const SGR: Readonly<Record<Tone, string>> = {
  strong: "1",
  faint: "2",
  old: "33",
  new: "1;32",
  good: "32",
  bad: "1;31",
};

export function paint(style: Style, tone: Tone, text: string): string {
  return style.colour && text !== "" ? `\x1b[${SGR[tone]}m${text}\x1b[0m` : text;
}

/** The style of standard output. */
export function terminalStyle(): Style {
  const { env, stdout } = process;
  const terminal = stdout.isTTY === true && env.TERM !== "dumb";
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || "";
  return { colour: wantsColour(env, stdout.isTTY === true), unicode: terminal && /utf-?8/i.test(locale) };
}

/**
 * Breaks text at spaces, never at a no-break space, which becomes a plain one. A word longer than a line keeps a line
 * of its own: a path or a pattern is copied whole.
 * @param first what the first line begins with
 * @param indent what the others begin with
 */
export function wrap(text: string, first = "", indent = first, columns = COLUMNS): string[] {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(" ")) {
    if (!empty && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = indent;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line].map((each) => each.replaceAll("\u00a0", " ").trimEnd());
}

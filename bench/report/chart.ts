// An SVG chart of CPU per operation as a ratio to nginx, made from a result alone. A dot for the median and a line for
// the spread, on a logarithmic axis: an interpreter is dozens of times further right. No script, no font of its own.

import { WITH_ONE } from "../targets/with-one.ts";
import type { Result } from "./result.ts";
import { ANCHOR, figuresOf, type Spread } from "./statistics.ts";

const OURS = "moat-proxy";
const COLOURS: Readonly<Record<string, string>> = {
  [OURS]: "#0b6e4f",
  nginx: "#59636e",
  squid: "#b45309",
  mitmdump: "#8250df",
  gatekeeper: "#0969da",
};
const OTHER_COLOUR = "#cf222e";
const WIDTH = 860;
const LEFT = 320;
/** Right of the axis stands what moat-proxy takes. */
const RIGHT = 90;
const TOP = 90;
const ROW = 30;
const BOTTOM = 54;
const FONT = 'font-family="system-ui, sans-serif"';
const TICKS = [0.25, 0.5, 1, 2, 5, 10, 20, 50, 100];

interface Row {
  readonly title: string;
  readonly dots: readonly { readonly target: string; readonly ratio: Spread; readonly micros: number }[];
}

export function chart(result: Result): string {
  const rows = rowsOf(result);
  const targets = [...new Set(rows.flatMap(({ dots }) => dots.map(({ target }) => target)))];
  const all = rows.flatMap(({ dots }) => dots.flatMap(({ ratio }) => [ratio.least, ratio.most]));
  const low = Math.log(Math.min(0.5, ...all) * 0.9);
  const high = Math.log(Math.max(2, ...all) * 1.15);
  const x = (ratio: number): number =>
    round(LEFT + ((Math.log(ratio) - low) / (high - low)) * (WIDTH - LEFT - RIGHT));
  const height = TOP + rows.length * ROW + BOTTOM;
  const bottom = TOP + rows.length * ROW;
  const ticks = TICKS.filter((tick) => Math.log(tick) >= low && Math.log(tick) <= high);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>CPU per operation, as a ratio to nginx</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(16, 28, "CPU per operation, as a ratio to nginx", 'font-size="17" font-weight="600"'),
    text(
      16,
      48,
      "Left of 1 is cheaper than nginx. Dot: median; line: least to most of all rounds.",
      'font-size="12" fill="#59636e"',
    ),
    ...legend(targets),
    text(WIDTH - 16, 70, OURS, `font-size="12" text-anchor="end" fill="${COLOURS[OURS]}"`),
    ...ticks.map((tick) => {
      const stroke = tick === 1 ? 'stroke="#1f2328" stroke-width="1.5"' : 'stroke="#d1d9e0"';
      return `<line x1="${x(tick)}" y1="${TOP}" x2="${x(tick)}" y2="${bottom}" ${stroke}/>${text(x(tick), bottom + 18, `${tick}×`, 'font-size="12" text-anchor="middle" fill="#59636e"')}`;
    }),
    ...rows.flatMap((row, i) => rowMarks(row, TOP + i * ROW + ROW / 2, x)),
    text(
      16,
      height - 12,
      `${result.date.slice(0, 10)}, ${result.machine.cpu}, ${result.rounds} interleaved rounds; on the right: CPU of moat-proxy`,
      'font-size="11" fill="#59636e"',
    ),
    "</svg>\n",
  ].join("\n");
}

function rowsOf(result: Result): Row[] {
  return result.scenarios.flatMap(({ title, series }) => {
    const dots = figuresOf(series).flatMap(({ target, ratio, cpu }) =>
      target === ANCHOR || target === WITH_ONE || ratio === undefined || cpu === undefined
        ? []
        : [{ target, ratio, micros: cpu.median }],
    );
    return dots.length === 0 ? [] : [{ title, dots }];
  });
}

function rowMarks({ title, dots }: Row, y: number, x: (ratio: number) => number): string[] {
  const label = text(LEFT - 12, y + 4, title, 'font-size="12.5" text-anchor="end" fill="#1f2328"');
  const rule = `<line x1="${LEFT}" y1="${y}" x2="${WIDTH - RIGHT}" y2="${y}" stroke="#eff2f5"/>`;
  const marks = dots.map(({ target, ratio }) => {
    const colour = COLOURS[target] ?? OTHER_COLOUR;
    const line = `<line x1="${x(ratio.least)}" y1="${y}" x2="${x(ratio.most)}" y2="${y}" stroke="${colour}" stroke-width="3" stroke-opacity="0.35" stroke-linecap="round"/>`;
    return `${line}<circle cx="${x(ratio.median)}" cy="${y}" r="5" fill="${colour}"><title>${escaped(target)}: ${ratio.median.toFixed(2)}</title></circle>`;
  });
  const ours = dots.find(({ target }) => target === OURS);
  const figure =
    ours === undefined
      ? []
      : [
          text(
            WIDTH - 16,
            y + 4,
            micros(ours.micros),
            `font-size="12" text-anchor="end" fill="${COLOURS[OURS]}"`,
          ),
        ];
  return [label, rule, ...marks, ...figure];
}

function legend(targets: readonly string[]): string[] {
  let at = LEFT;
  return targets.map((target) => {
    const x = at;
    at += 40 + target.length * 7.5;
    const dot = `<circle cx="${x + 5}" cy="66" r="5" fill="${COLOURS[target] ?? OTHER_COLOUR}"/>`;
    return `${dot}${text(x + 15, 70, target, 'font-size="12.5" fill="#1f2328"')}`;
  });
}

function micros(value: number): string {
  return value < 1_000 ? `${value.toFixed(0)} µs` : `${(value / 1_000).toFixed(value < 10_000 ? 1 : 0)} ms`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${x}" y="${y}" ${FONT} ${attributes}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

// The short table for a README: one line per scenario, what it costs us and nginx, and how many times nginx the others
// take. Made from a result alone.

import type { Result } from "./result.ts";
import { figuresOf } from "./statistics.ts";

const OURS = "moat-proxy";
const ANCHOR = "nginx";
/** What a scenario measures beside the targets themselves. */
const NOT_A_PEER = new Set([OURS, ANCHOR, "direct", `${OURS} with 1`]);

/** CPU µs per operation of both, and ratios to nginx; medians. */
export function summary({ scenarios }: Result): string {
  const all = scenarios.map(({ title, series }) => ({ title, figures: figuresOf(series) }));
  const named = all.flatMap(({ figures }) => figures.map(({ target }) => target));
  const peers = [...new Set(named)].filter((name) => !NOT_A_PEER.has(name));
  const head = ["CPU µs per operation", OURS, ANCHOR, "ratio", ...peers.map((name) => `${name}, ratio`)];
  const lines = all.map(({ title, figures }) => {
    const of = (name: string) => figures.find(({ target }) => target === name);
    return [
      title,
      micros(of(OURS)?.cpu?.median),
      micros(of(ANCHOR)?.cpu?.median),
      ratio(of(OURS)?.ratio?.median),
      ...peers.map((name) => ratio(of(name)?.ratio?.median)),
    ];
  });
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

function micros(value: number | undefined): string {
  if (value === undefined) return "–";
  return value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });
}

function ratio(value: number | undefined): string {
  return value === undefined ? "–" : value.toFixed(value < 10 ? 2 : 0);
}

// What the guard decides from its rounds. Pure: a test feeds it.

import { spreadOf } from "./report/statistics.ts";

/** More than this over the baseline is a regression. */
export const TOLERANCE = 0.2;

export interface Baseline {
  /** moat-proxy's CPU per request as a ratio to the reference workload's: the median of several series. */
  readonly ratio: number;
  /** Medians of the single series, to show the noise. */
  readonly series: readonly number[];
  readonly bun: string;
  readonly cpu: string;
}

export interface Verdict {
  readonly over: boolean;
  readonly line: string;
}

/** @param ratios one for each round of a series */
export function judge(ratios: readonly number[], baseline: Baseline): Verdict {
  const spread = spreadOf(ratios);
  if (spread === undefined) throw new Error("no rounds");
  const change = spread.median / baseline.ratio - 1;
  const rounds = ratios.map((ratio) => ratio.toFixed(2)).join(" ");
  return {
    over: change > TOLERANCE,
    line:
      `CPU per request: ${spread.median.toFixed(2)} times the reference (rounds ${rounds}), ` +
      `${Math.abs(change * 100).toFixed(0)} % ${change < 0 ? "below" : "above"} the baseline of ${baseline.ratio.toFixed(2)}`,
  };
}

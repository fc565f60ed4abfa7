// From rounds to figures: medians, ratios to the anchor round by round, and their spread.

import type { Measured } from "../plan.ts";
import type { Series } from "../rounds.ts";

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export interface Figures {
  readonly target: string;
  readonly problem?: string;
  readonly rounds: number;
  /** Microseconds of CPU per operation. */
  readonly cpu?: Spread;
  /** To nginx's in the same round. */
  readonly ratio?: Spread;
  readonly perSecond?: number;
  /** Milliseconds, medians of the rounds. */
  readonly p50?: number;
  readonly p99?: number;
  readonly p999?: number;
  /** MiB at the end of a round, the most of all. */
  readonly rss?: number;
  /** Body megabytes a second. */
  readonly megabytes?: number;
  /** Share of one core that target and generator took. */
  readonly targetCore?: number;
  readonly generatorCore?: number;
  readonly upstreamCore?: number;
  readonly resumed?: number;
  readonly bytesEach?: number;
  readonly late?: number;
}

export const ANCHOR = "nginx";

export function spreadOf(values: readonly number[]): Spread | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const [least] = sorted;
  const most = sorted.at(-1);
  if (least === undefined || most === undefined) return undefined;
  return { median: median(sorted), least, most };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

export function cpuMicros({ cpu, operations }: Measured): number {
  return (cpu.target / operations) * 1e6;
}

/** Ratios of the rounds that both have. */
export function ratios(ours: readonly Measured[], theirs: readonly Measured[]): number[] {
  return ours.flatMap((round, i) => {
    const other = theirs[i];
    return other === undefined ? [] : [cpuMicros(round) / cpuMicros(other)];
  });
}

export function figuresOf(all: readonly Series[]): Figures[] {
  const anchor = all.find(({ target }) => target === ANCHOR);
  return all.map((series) => {
    const { target, rounds, problem } = series;
    const named = { target, rounds: rounds.length, ...(problem === undefined ? {} : { problem }) };
    if (rounds.length === 0) return named;
    const middle = (value: (round: Measured) => number): number => median(rounds.map(value));
    const cpu = spreadOf(rounds.map(cpuMicros));
    // Another kind of thing: the cost of no proxy is the upstream's.
    const ratio = target === "direct" ? undefined : spreadOf(ratios(rounds, anchor?.rounds ?? []));
    const each = rounds.flatMap(({ bytesEach }) => (bytesEach === undefined ? [] : [bytesEach]));
    const late = rounds.flatMap((round) => (round.late === undefined ? [] : [round.late]));
    return {
      ...named,
      ...(cpu === undefined ? {} : { cpu }),
      ...(ratio === undefined ? {} : { ratio }),
      perSecond: middle(({ operations, seconds }) => operations / seconds),
      p50: middle(({ latency }) => latency.p50),
      p99: middle(({ latency }) => latency.p99),
      p999: middle(({ latency }) => latency.p999),
      rss: Math.max(...rounds.map(({ rss }) => rss)) / 1024,
      megabytes: middle(({ bytes, seconds }) => bytes / seconds / 1e6),
      targetCore: middle((round) => round.cpu.target / round.seconds),
      generatorCore: middle((round) => round.cpu.generator / round.seconds),
      upstreamCore: middle((round) => round.cpu.upstream / round.seconds),
      resumed: middle(({ resumed, operations }) => resumed / operations),
      ...(each.length === 0 ? {} : { bytesEach: median(each) }),
      ...(late.length === 0 ? {} : { late: median(late) }),
    };
  });
}

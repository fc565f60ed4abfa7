// From measured rounds to the figures, the table, the chart and the verdict of the guard.

import { describe, expect, test } from "bun:test";
import { Latencies } from "../../bench/load/latencies.ts";
import type { Measured } from "../../bench/plan.ts";
import { chart } from "../../bench/report/chart.ts";
import type { Result } from "../../bench/report/result.ts";
import { figuresOf, median, spreadOf } from "../../bench/report/statistics.ts";
import { summary } from "../../bench/report/summary.ts";
import { markdown } from "../../bench/report/table.ts";
import { type Baseline, judge } from "../../bench/verdict.ts";

function measured(cpuMicros: number, p99 = 1): Measured {
  const operations = 1_000;
  const cpu = { target: (cpuMicros * operations) / 1e6, generator: 0.1, upstream: 0.2 };
  return {
    ...{ operations, seconds: 0.5, cpu, latency: { p50: 0.5, p99, p999: 2 } },
    ...{ rss: 10 * 1024, bytes: 1_000_000, resumed: 0 },
  };
}

const series = [
  { target: "moat-proxy", rounds: [30, 90, 40].map((micros) => measured(micros)) },
  { target: "nginx", rounds: [30, 45, 20].map((micros) => measured(micros)) },
  { target: "squid", rounds: [], problem: "not <installed> | here" },
];
const RESULT: Result = {
  ...{ version: 1, date: "2026-01-02T03:04:05.000Z", quick: false, rounds: 3 },
  machine: { cpu: "Some <CPU>", cores: 2, kernel: "6.1" },
  versions: { Bun: "1.4.5" },
  scenarios: [{ id: "get-32", title: "small GET", unit: "request", series }],
  startup: [{ target: "moat-proxy", ready: [40, 50, 60], rss: [50 * 1024] }],
  missing: ["squid: not <installed> | here"],
};

describe("figures", () => {
  test("compare round by round, and take the median of the ratios", () => {
    const [ours] = figuresOf(series);
    expect(ours?.ratio).toEqual({ median: 2, least: 1, most: 2 });
    expect(ours?.cpu?.median).toBeCloseTo(40);
    expect(ours?.perSecond).toBe(2_000);
    expect(ours?.rss).toBe(10);
  });

  test("have no ratio for what has no rounds, nor for going without a proxy", () => {
    const figures = figuresOf([...series, { target: "direct", rounds: [measured(5)] }]);
    expect(figures.map(({ ratio }) => ratio === undefined)).toEqual([false, false, true, true]);
  });

  test.each([
    [[3, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
    [[7], 7],
  ])("the median of %j is %d", (values, expected) => {
    expect(median(values)).toBe(expected);
  });

  test("have no spread without values", () => {
    expect(spreadOf([])).toBeUndefined();
  });
});

test("percentiles are exact, however many latencies there are", () => {
  const latencies = new Latencies();
  for (let i = 200_000; i > 0; i--) latencies.add(i);
  expect(latencies.quantiles(0.5, 0.99, 0.999, 1)).toEqual([100_000, 198_000, 199_800, 200_000]);
  latencies.clear();
  expect(latencies.quantiles(0.5)).toEqual([Number.NaN]);
});

describe("the table", () => {
  const lines = markdown(RESULT).split("\n");

  test("has one row for each target that was measured", () => {
    expect(lines).toContain(
      "| small GET | moat-proxy | 40.0 (30.0 to 90.0) | 2.00 (1.00 to 2.00) | 2,000 | 10 |",
    );
    expect(lines.some((line) => line.startsWith("|  | squid"))).toBe(false);
  });

  test("says once what is missing", () => {
    expect(lines.filter((line) => line.includes("<installed>"))).toEqual(["- squid: not <installed> | here"]);
  });

  test("shows starts and idle memory", () => {
    expect(lines).toContain("| moat-proxy | 50 | 50.0 | – | – |");
  });
});

test("the short table has our cost, nginx's, and how many times that the others take", () => {
  const lines = summary(RESULT).trimEnd().split("\n");
  expect(lines[0]).toMatch(/^\| CPU µs per operation \| moat-proxy \| nginx \| ratio \|/);
  expect(lines.find((line) => line.startsWith("| small GET |"))).toStartWith(
    "| small GET | 40 | 30 | 2.00 |",
  );
  expect(new Set(lines.map((line) => line.split("|").length)).size).toBe(1);
});

describe("the chart", () => {
  const svg = chart(RESULT);

  test("is well-formed: every element closed, every text escaped", () => {
    const open: string[] = [];
    for (const [, slash, name, self] of svg.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/g)) {
      if (slash === "/") expect(open.pop()).toBe(name);
      else if (self !== "/") open.push(name ?? "");
    }
    expect(open).toEqual([]);
    expect(svg).toContain("Some &lt;CPU&gt;");
  });

  test("has a dot for each target beside nginx, the dearer one further right", () => {
    const dots = [...svg.matchAll(/<circle cx="([\d.]+)" cy="[\d.]+" r="5" fill="#\w+"><title>([^<]+)/g)];
    expect(dots.map(([, , title]) => title)).toEqual(["moat-proxy: 2.00"]);
    const one = Number(/<line x1="([\d.]+)"[^>]*stroke="#1f2328"/.exec(svg)?.[1]);
    expect(Number(dots[0]?.[1])).toBeGreaterThan(one);
  });
});

describe("the guard", () => {
  const baseline: Baseline = { ratio: 3, series: [3], bun: "1", cpu: "x" };

  test.each([
    ["the same", [3, 3, 3, 3, 3], false],
    ["one wild round", [3, 3, 3, 3, 30], false],
    ["a fifth over, and no more", [3.6, 3.6, 3.6, 3.6, 3.6], false],
    ["more than a fifth over in most rounds", [3.7, 3.7, 3.7, 3, 3], true],
    ["cheaper", [1, 1, 1, 1, 1], false],
  ])("judges %s", (_name, ratios, over) => {
    expect(judge(ratios, baseline).over).toBe(over);
  });

  test("says what it saw", () => {
    expect(judge([3.3, 3.3, 3.3], baseline).line).toBe(
      "CPU per request: 3.30 times the reference (rounds 3.30 3.30 3.30), 10 % above the baseline of 3.00",
    );
  });
});

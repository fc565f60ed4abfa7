import { expect, test } from "bun:test";
import { DurationHistogram } from "../../src/metrics/histogram.ts";

function buckets(...ms: number[]): Record<string, number> {
  const histogram = new DurationHistogram();
  for (const each of ms) histogram.observe(each);
  return Object.fromEntries(
    histogram.samples({}).map(({ suffix, labels, value }) => [labels?.le ?? suffix ?? "", value]),
  );
}

test("buckets are cumulative, a bound belongs to its own bucket, and the last one holds everything", () => {
  const held = buckets(0, 1, 1.001, 5, 1_000, 300_000, 300_001, 86_400_000);
  expect(held).toMatchObject({
    "0.001": 2,
    "0.005": 4,
    "0.5": 4,
    "1": 5,
    "60": 5,
    "300": 6,
    "+Inf": 8,
    _count: 8,
  });
  expect(held._sum).toBeCloseTo(0.001 + 0.001001 + 0.005 + 1 + 300 + 300.001 + 86_400, 6);
});

test("an empty one has every bucket at zero", () => {
  const held = buckets();
  expect(new Set(Object.values(held))).toEqual(new Set([0]));
  expect(Object.keys(held)).toHaveLength(18);
});

test("labels of the series stand in every sample", () => {
  for (const { labels } of new DurationHistogram().samples({ class: "local" }))
    expect(labels?.class).toBe("local");
});

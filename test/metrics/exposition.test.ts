import { expect, test } from "bun:test";
import { exposition, single } from "../../src/metrics/exposition.ts";

test("a family: help, type, then its samples", () => {
  expect(
    exposition([
      single("a", "gauge", "An a.", 1.5),
      {
        name: "b_total",
        type: "counter",
        help: "Bs.",
        samples: [
          { labels: { x: "1", y: "two" }, value: 3 },
          { suffix: "_created", value: 0 },
        ],
      },
    ]),
  ).toBe(
    "# HELP a An a.\n# TYPE a gauge\na 1.5\n" +
      '# HELP b_total Bs.\n# TYPE b_total counter\nb_total{x="1",y="two"} 3\nb_total_created 0\n',
  );
});

test("a value can end neither its label nor its line, a help text not its line", () => {
  const text = exposition([
    { name: "a", type: "gauge", help: "b\\\nc", samples: [{ labels: { x: '"\\\n} 1' }, value: 1 }] },
  ]);
  expect(text).toBe('# HELP a b\\\\\\nc\n# TYPE a gauge\na{x="\\"\\\\\\n} 1"} 1\n');
});

for (const [value, text] of [
  [Number.NaN, "NaN"],
  [Number.POSITIVE_INFINITY, "+Inf"],
  [Number.NEGATIVE_INFINITY, "-Inf"],
  [1e21, "1e+21"],
  [0, "0"],
] as const) {
  test(`the number ${text}`, () =>
    expect(exposition([single("a", "gauge", "A.", value)])).toEndWith(`\na ${text}\n`));
}

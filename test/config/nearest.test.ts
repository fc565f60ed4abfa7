import { expect, test } from "bun:test";
import { didYouMean, nearest } from "../../src/config/nearest.ts";

const KNOWN = ["source", "header", "host", "format", "allow", "allow-ip"];

const cases: readonly (readonly [string, string | undefined])[] = [
  ["souce", "source"],
  ["Header", "header"],
  ["hots", "host"],
  ["alow-ip", "allow-ip"],
  ["allo", "allow"],
  ["zzzz", undefined],
  ["x", undefined],
  ["", undefined],
  ["x".repeat(100_000), undefined],
];

for (const [word, expected] of cases) {
  test(`${JSON.stringify(word.slice(0, 20))} is near ${expected}`, () =>
    expect(nearest(word, KNOWN)).toBe(expected));
}

test("the end of a message", () => {
  expect(didYouMean("souce", KNOWN)).toBe(', did you mean "source"?');
  expect(didYouMean("zzzz", KNOWN)).toBe("");
});

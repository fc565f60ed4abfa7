import { expect, test } from "bun:test";
import { UsageError } from "../../src/cli/argv.ts";
import { failureOf } from "../../src/cli/failure.ts";
import { ConfigError } from "../../src/config/config-error.ts";

const cases: readonly (readonly [string, unknown, number, readonly string[]])[] = [
  ["usage ends with 2", new UsageError("--port: x"), 2, ["moat-proxy: --port: x"]],
  [
    "configuration ends with 1, a line a mistake",
    new ConfigError(["a:1: x", "a:2: y"]),
    1,
    ["a:1: x", "a:2: y"],
  ],
  ["start-up ends with 1", new Error("cannot listen"), 1, ["moat-proxy: cannot listen"]],
  ["the first line only", new Error("first\n    at stack (x.ts:1)"), 1, ["moat-proxy: first"]],
  ["something else thrown", "odd", 1, ["moat-proxy: odd"]],
  ["control characters", new ConfigError(["a:1: \u001b[2Jx\ny"]), 1, ["a:1: [2Jxy"]],
];

for (const [name, error, status, lines] of cases) {
  test(name, () => expect(failureOf(error)).toEqual({ status, lines }));
}

test("a line is bounded", () => {
  expect(failureOf(new Error("x".repeat(100_000))).lines[0]?.length).toBe(2_000);
});

import { expect, test } from "bun:test";
import { isoClock, roundedMs } from "../../src/log/layout.ts";

test("the ISO time follows the clock, forwards and backwards", () => {
  const iso = isoClock();
  expect(iso(0)).toBe("1970-01-01T00:00:00.000Z");
  expect(iso(1)).toBe("1970-01-01T00:00:00.001Z");
  expect(iso(1)).toBe("1970-01-01T00:00:00.001Z");
  expect(iso(0)).toBe("1970-01-01T00:00:00.000Z");
});

test("durations have at most three decimals", () => {
  expect(roundedMs(12.3456789)).toBe(12.346);
  expect(roundedMs(0.0004)).toBe(0);
  expect(roundedMs(7)).toBe(7);
});

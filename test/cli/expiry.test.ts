import { describe, expect, test } from "bun:test";
import { parseExpiry } from "../../src/cli/expiry.ts";
import { BadSetting } from "../../src/config/setting.ts";

const NOW = Date.parse("2026-01-02T03:04:05Z");

describe("an end", () => {
  test.each([
    ["1s", "2026-01-02T03:04:06Z"],
    ["90m", "2026-01-02T04:34:05Z"],
    ["12h", "2026-01-02T15:04:05Z"],
    ["90d", "2026-04-02T03:04:05Z"],
    ["2w", "2026-01-16T03:04:05Z"],
    ["1d12h", "2026-01-03T15:04:05Z"],
    ["2030-01-31T12:00:00Z", "2030-01-31T12:00:00Z"],
    ["2030-01-31T14:00:00+02:00", "2030-01-31T12:00:00Z"],
    ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"],
  ])("%s", (text, time) => expect(parseExpiry(text, NOW)).toBe(Date.parse(time)));

  test("counted from now falls on a whole second, never earlier than asked", () => {
    expect(parseExpiry("1s", NOW + 1)).toBe(NOW + 2_000);
  });

  test.each([
    ["0s", "has passed already"],
    ["2026-01-02T03:04:05Z", "has passed already"],
    ["2020-01-01T00:00:00Z", "has passed already"],
    ["999999999w", "lies behind the year 9999"],
    ["", "is no end, expected such as 12h, 90d or 2030-01-31T12:00:00Z"],
    ["90", "is no end"],
    ["-1d", "is no end"],
    ["1.5h", "is no end"],
    ["1y", "is no end"],
    ["1 d", "is no end"],
    ["2030-01-31", "is no end"],
    ["2030-02-30T12:00:00Z", "is no end"],
    ["tomorrow", "is no end"],
    ["1d".repeat(6), "is no end"],
  ])("refused: %j", (text, problem) => {
    expect(() => parseExpiry(text, NOW)).toThrow(BadSetting);
    expect(() => parseExpiry(text, NOW)).toThrow(problem);
  });
});

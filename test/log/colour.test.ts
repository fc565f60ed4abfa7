import { expect, test } from "bun:test";
import { colouredLevel, paint, wantsColour } from "../../src/log/colour.ts";

const cases: readonly (readonly [string, Readonly<Record<string, string>>, boolean, boolean])[] = [
  ["a terminal", {}, true, true],
  ["a file", {}, false, false],
  ["NO_COLOR", { NO_COLOR: "1" }, true, false],
  ["NO_COLOR, whatever its value", { NO_COLOR: "0" }, true, false],
  ["an empty NO_COLOR says nothing", { NO_COLOR: "" }, true, true],
  ["a dumb terminal", { TERM: "dumb" }, true, false],
  ["FORCE_COLOR on a file", { FORCE_COLOR: "1" }, false, true],
  ["FORCE_COLOR wins over NO_COLOR", { FORCE_COLOR: "1", NO_COLOR: "1" }, false, true],
  ["FORCE_COLOR=0 on a terminal", { FORCE_COLOR: "0" }, true, false],
  ["FORCE_COLOR=false on a terminal", { FORCE_COLOR: "false" }, true, false],
  ["an empty FORCE_COLOR says nothing", { FORCE_COLOR: "" }, false, false],
];
for (const [name, env, terminal, expected] of cases)
  test(`${name}: ${expected ? "colour" : "none"}`, () => expect(wantsColour(env, terminal)).toBe(expected));

test("a colour ends where its text ends", () => {
  expect(paint("x", "yellow")).toBe("\u001b[33mx\u001b[0m");
  expect(paint("x", undefined)).toBe("x");
});

test("levels take five columns", () => {
  for (const level of ["debug", "info", "warn", "error"] as const)
    expect(colouredLevel(level, false)).toHaveLength(5);
});

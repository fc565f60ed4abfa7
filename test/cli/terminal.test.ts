import { describe, expect, test } from "bun:test";
import { COLUMNS, paint, terminalStyle, wrap } from "../../src/cli/terminal.ts";

describe("paint", () => {
  test("colours only where the style allows it, and never nothing", () => {
    expect(paint({ colour: true, unicode: false }, "bad", "x")).toBe("\u001b[1;31mx\u001b[0m");
    expect(paint({ colour: false, unicode: true }, "bad", "x")).toBe("x");
    expect(paint({ colour: true, unicode: false }, "bad", "")).toBe("");
  });
});

describe("wrap", () => {
  const cases: readonly (readonly [string, Parameters<typeof wrap>, readonly string[]])[] = [
    ["a short text", ["one two"], ["one two"]],
    ["at a space", ["one two three", "", "  ", 8], ["one two", "  three"]],
    ["the first line has a start of its own", ["one two", "* ", "  ", 5], ["* one", "  two"]],
    ["a line that is exactly full", ["one two", "", "", 7], ["one two"]],
    ["a word longer than a line", ["a /very/long/path b", "", "", 6], ["a", "/very/long/path", "b"]],
    ["not at a no-break space", ["one line\u00a012", "", "", 8], ["one", "line 12"]],
    ["nothing", ["", "  "], [""]],
  ];
  for (const [name, args, expected] of cases) {
    test(name, () => expect(wrap(...args)).toEqual([...expected]));
  }

  test("80 columns by default", () => {
    const lines = wrap("word ".repeat(100).trim(), "  ");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(COLUMNS);
    expect(lines.join(" ").replaceAll(/ +/g, " ").trim()).toBe("word ".repeat(100).trim());
  });
});

test("the style of a test run is plain or coloured, as the terminal is", () => {
  const { FORCE_COLOR, NO_COLOR } = process.env;
  try {
    process.env.FORCE_COLOR = "1";
    expect(terminalStyle().colour).toBe(true);
    delete process.env.FORCE_COLOR;
    process.env.NO_COLOR = "1";
    expect(terminalStyle().colour).toBe(false);
  } finally {
    for (const [name, value] of Object.entries({ FORCE_COLOR, NO_COLOR })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});

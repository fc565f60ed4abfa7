import { describe, expect, test } from "bun:test";
import { type FlagShape, readFlags, shapesOf, UsageError } from "../../src/cli/argv.ts";

const SHAPES: ReadonlyMap<string, FlagShape> = new Map([
  ["port", { takesValue: true, repeatable: false }],
  ["allow", { takesValue: true, repeatable: true }],
  ["no-auth", { takesValue: false, repeatable: false }],
]);

describe("reads", () => {
  const cases: readonly (readonly [string, readonly string[], Record<string, readonly string[]>])[] = [
    ["nothing", [], {}],
    ["a value behind a space", ["--port", "1"], { port: ["1"] }],
    ["a value behind =", ["--port=1"], { port: ["1"] }],
    ["a value with = in it", ["--allow=a=b"], { allow: ["a=b"] }],
    ["an empty value", ["--allow="], { allow: [""] }],
    ["a value that begins with a dash", ["--port", "-1"], { port: ["-1"] }],
    ["a value that begins with two, behind =", ["--allow=--x"], { allow: ["--x"] }],
    ["a switch", ["--no-auth"], { "no-auth": [""] }],
    [
      "repeated flags in their order",
      ["--allow", "a", "--no-auth", "--allow=b"],
      { allow: ["a", "b"], "no-auth": [""] },
    ],
  ];
  for (const [name, args, expected] of cases) {
    test(name, () => expect(Object.fromEntries(readFlags(args, SHAPES))).toEqual(expected));
  }
});

describe("refuses, in one line", () => {
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    ["an unknown flag", ["--prot", "1"], "unknown flag --prot, did you mean --port?"],
    ["one that is near nothing", ["--xyzzy"], "unknown flag --xyzzy, see --help"],
    ["an unknown flag without its value", ["--alow=hunter2"], "unknown flag --alow, did you mean --allow?"],
    ["a flag of a later version", ["--control", "/x"], "--control: not supported yet"],
    ["control characters", ["--\u001b[2J\n"], "unknown flag --\\u001b[2J\\n, see --help"],
    ["a missing value", ["--port"], "--port: needs a value"],
    [
      "a forgotten value",
      ["--port", "--no-auth"],
      "--port: needs a value; one that begins with -- is written --port=…",
    ],
    ["a value for a switch", ["--no-auth=true"], "--no-auth: takes no value"],
    ["a flag given twice", ["--port", "1", "--port=2"], "--port: given twice, expected once"],
    ["a switch given twice", ["--no-auth", "--no-auth"], "--no-auth: given twice, expected once"],
    ["a stray word", ["x"], 'unexpected argument "x", expected a flag such as --port (see --help)'],
    [
      "a stray word that may be a secret",
      ["--port", "1", "hunter2"],
      "unexpected argument at position 3, expected a flag such as --port (see --help)",
    ],
    ["a short flag", ["-p"], 'unexpected argument "-p", expected a flag such as --port (see --help)'],
    ["the end of flags", ["--"], 'unexpected argument "--", expected a flag such as --port (see --help)'],
    ["names of the prototype", ["--constructor"], "unknown flag --constructor, see --help"],
  ];
  for (const [name, args, message] of cases) {
    test(name, () => expect(() => readFlags(args, SHAPES, ["control"])).toThrow(new UsageError(message)));
  }
});

test("shapes come from a citty definition", () => {
  const shapes = shapesOf({ once: { type: "boolean" }, port: { type: "string", default: "0" } });
  expect(readFlags(["--once", "--port", "1"], shapes).get("port")).toEqual(["1"]);
  expect(() => readFlags(["--once=x"], shapes)).toThrow("takes no value");
});

import { describe, expect, test } from "bun:test";
import { UsageError } from "../../src/cli/argv.ts";
import {
  flagShapes,
  listed,
  oneOf,
  readCommandLine,
  single,
  splitArguments,
} from "../../src/cli/operands.ts";

const SHAPES = flagShapes(
  {
    url: { type: "positional" },
    config: { type: "string" },
    for: { type: "string" },
    json: { type: "boolean" },
  },
  ["for"],
);

test("positionals of a definition are no flags", () => {
  expect([...SHAPES.keys()]).toEqual(["config", "for", "json"]);
  expect(SHAPES.get("for")).toEqual({ takesValue: true, repeatable: true });
  expect(SHAPES.get("json")).toEqual({ takesValue: false, repeatable: false });
});

describe("flags and words are told apart", () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[], readonly string[]])[] = [
    ["nothing", [], [], []],
    ["a word", ["a"], [], ["a"]],
    ["a word behind a value", ["--config", "f", "a"], ["--config", "f"], ["a"]],
    ["a word between", ["--json", "a", "--config=f"], ["--json", "--config=f"], ["a"]],
    ["a value written with =", ["--config=f", "a"], ["--config=f"], ["a"]],
    ["the value of an unknown flag is a word", ["--what", "a"], ["--what"], ["a"]],
    ["all are words behind --", ["a", "--", "--json", "-x"], [], ["a", "--json", "-x"]],
    ["a dash alone is a word", ["-"], [], ["-"]],
    ["a flag without its value", ["--config"], ["--config"], []],
  ];
  for (const [name, args, flags, operands] of cases) {
    test(name, () =>
      expect(splitArguments(args, SHAPES)).toEqual({ flags: [...flags], operands: [...operands] }),
    );
  }
});

describe("refused", () => {
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    ["a word too many", ["a", "b"], 'unexpected argument "b", see --help'],
    ["an unknown flag", ["--jsno"], "unknown flag --jsno, did you mean --json?"],
    ["a missing value", ["--config"], "--config: needs a value"],
    ["a flag as a value", ["--config", "--json"], "--config: needs a value; one that begins with --"],
    ["a short flag", ["-x"], "unexpected argument"],
    ["twice", ["--config", "a", "--config", "b"], "--config: given twice, expected once"],
  ];
  for (const [name, args, message] of cases) {
    test(name, () => {
      expect(() => readCommandLine(args, SHAPES, 1)).toThrow(UsageError);
      expect(() => readCommandLine(args, SHAPES, 1)).toThrow(message);
    });
  }
});

test("values: one, the last, a list", () => {
  const { flags, operands } = readCommandLine(
    ["--for", "a, b", "u", "--for=c,,a", "--config", "f"],
    SHAPES,
    1,
  );
  expect(operands).toEqual(["u"]);
  expect(single(flags, "config")).toBe("f");
  expect(single(flags, "json")).toBeUndefined();
  expect(listed(flags, "for")).toEqual(["a", "b", "c"]);
  expect(listed(flags, "config")).toEqual(["f"]);
});

test("oneOf names the nearest, or all", () => {
  expect(oneOf("zsh", ["bash", "zsh"], "shell")).toBe("zsh");
  expect(() => oneOf("zhs", ["bash", "zsh"], "shell")).toThrow('unknown shell "zhs", did you mean zsh?');
  expect(() => oneOf("nothing", ["bash", "zsh"], "shell")).toThrow(
    'unknown shell "nothing", expected one of bash, zsh',
  );
});

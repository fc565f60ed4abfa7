import { describe, expect, test } from "bun:test";
import { fillVariables } from "../../src/config/variables.ts";

const ENV = { NAME: "value", OTHER: "more", EMPTY: "", NESTED: `\${NAME}`, _1: "one" };

describe("a value", () => {
  const cases: readonly (readonly [string, string])[] = [
    [`\${NAME}`, "value"],
    [`a-\${NAME}-b-\${OTHER}`, "a-value-b-more"],
    [`\${NAME:-default}`, "value"],
    [`\${GONE:-default}`, "default"],
    [`\${EMPTY:-default}`, "default"],
    [`\${GONE:-}`, ""],
    [`\${GONE:-http://u:p@h:1/?a=b}`, "http://u:p@h:1/?a=b"],
    [`\${GONE:-two\nlines}`, "two\nlines"],
    [`\${_1}`, "one"],
    // What came in is not looked at again.
    [`\${NESTED}`, `\${NAME}`],
    [`$\${NAME}`, `\${NAME}`],
    [`a$\${`, `a\${`],
    // A dollar sign alone is no variable: values of today stay what they are.
    ["$NAME", "$NAME"],
    ["pa$$word$", "pa$$word$"],
    ["$(date)", "$(date)"],
  ];
  for (const [text, expected] of cases) {
    test(JSON.stringify(text), () => {
      const filled = fillVariables({ key: text }, ENV);
      expect(filled.mistakes).toEqual([]);
      expect(filled.data).toEqual({ key: expected });
    });
  }
});

describe("a mistake, named and told once", () => {
  const cases: readonly (readonly [string, string])[] = [
    [`\${GONE}`, `environment variable GONE is not set, or empty; \${GONE:-…} gives it a default`],
    [`\${EMPTY}`, `environment variable EMPTY is not set, or empty; \${EMPTY:-…} gives it a default`],
    [
      `\${toString}`,
      `environment variable toString is not set, or empty; \${toString:-…} gives it a default`,
    ],
  ];
  const malformed = [
    `\${}`,
    `\${1}`,
    `\${A B}`,
    `\${NAME-default}`,
    `\${NAME`,
    `\${A:-\${NAME}}`,
    `\${NAME:+x}`,
  ];
  const MALFORMED = `expected \${NAME} or \${NAME:-default} with letters, digits and _ in the name; "$\${" is a plain "\${"`;
  for (const [text, expected] of [...cases, ...malformed.map((text) => [text, MALFORMED] as const)]) {
    test(JSON.stringify(text), () => {
      const filled = fillVariables({ list: [{ key: text }] }, ENV);
      expect(filled.mistakes).toEqual([{ place: ["list", 0, "key"], text: expected }]);
      expect(filled.failedAt(["list", 0, "key"])).toBe(true);
      expect(filled.failedAt(["list", 0])).toBe(false);
    });
  }
});

test("what was filled in is known by its place", () => {
  const key = `\${NAME}`;
  const filled = fillVariables({ a: ["x", `\${NAME}\${OTHER:-y}`], [key]: 7, b: true }, ENV);
  expect(filled.data).toEqual({ a: ["x", "valuemore"], [key]: 7, b: true });
  expect(filled.variablesAt(["a", 1])).toBe(`\${NAME}, \${OTHER}`);
  expect(filled.variablesAt(["a", 0])).toBeUndefined();
});

test("a command is the shell's", () => {
  const data = {
    credentials: [{ source: { type: "process", command: `echo \${GONE}` } }],
    command: `\${NAME}`,
  };
  const filled = fillVariables(data, ENV);
  expect(filled.data).toEqual({ ...data, command: "value" });
  expect(filled.mistakes).toEqual([]);
});

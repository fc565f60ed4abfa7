import { expect, test } from "bun:test";
import { at, mistakesOf } from "../../src/config/mistakes.ts";
import { fileSchema } from "../../src/config/schema.ts";
import { fillVariables } from "../../src/config/variables.ts";
import { readYaml } from "../../src/config/yaml-text.ts";

const cases: readonly (readonly [string, string, string])[] = [
  [
    "several keys in one place",
    "log: { levl: info, frmat: text }",
    'log.levl: unknown key, did you mean "level"?; log.frmat: unknown key, did you mean "format"?',
  ],
  [
    "an item of a list",
    "network: { allow: [a.example, 7] }",
    "network.allow[1]: expected a string: put the value in quotes",
  ],
  ["a list where a string belongs", "proxy: { host: [a] }", "proxy.host: expected a string"],
  [
    "a missing source type",
    "credentials: [{ host: a.example, source: {} }]",
    "credentials[0].source.type: required, expected static, env, file, process or store",
  ],
  [
    "a mistyped source field",
    "credentials: [{ host: a.example, source: { type: env, vra: X } }]",
    'credentials[0].source.var: required; credentials[0].source.vra: unknown key, did you mean "var"?',
  ],
  [
    "neither of two shapes",
    "network: { rules: [7] }",
    "network.rules[0]: expected a string or a mapping of keys to values",
  ],
  [
    "inside the shape that was meant",
    "network: { rules: [{ a.example: deny all }] }",
    'network.rules[0]."a.example": expected a list',
  ],
  ["a choice of another type", "log: { level: [info] }", "log.level: expected debug, info, warn or error"],
  ["a key too long to repeat", `${"k".repeat(200)}: 1`, `"${"k".repeat(80)}…": unknown key`],
];

for (const [name, text, expected] of cases) {
  test(name, () => {
    const yaml = readYaml(text);
    const filled = fillVariables(yaml.data, {});
    const found =
      fileSchema.safeParse(yaml.data).error?.issues.flatMap((issue) => mistakesOf(issue, yaml, filled)) ?? [];
    expect(found.map((mistake) => mistake.text).join("; ")).toBe(expected);
    expect(found.every(({ line }) => line === 1)).toBe(true);
  });
}

test("a mistake of the whole file has no path", () => {
  expect(at(readYaml("a: 1"), [], "odd")).toEqual({ line: 1, text: "odd" });
});

import { describe, expect, test } from "bun:test";
import { readYaml } from "../../src/config/yaml-text.ts";

test("the line of a key, of a list item, and of the nearest thing around what is not there", () => {
  const yaml = readYaml("# c\na:\n  b:\n    - x\n    - y: 1\n      z: 2\n");
  const cases: readonly (readonly [readonly PropertyKey[], number])[] = [
    [["a"], 2],
    [["a", "b"], 3],
    [["a", "b", 0], 4],
    [["a", "b", 1], 5],
    [["a", "b", 1, "z"], 6],
    [["a", "b", 1, "absent"], 5],
    [["a", "b", 7], 3],
    [["absent"], 2],
  ];
  for (const [place, line] of cases) expect(yaml.lineOf(place)).toBe(line);
  expect(readYaml("").lineOf(["a"])).toBeUndefined();
});

test("a key without a value is as good as absent, a null in a list is not", () => {
  expect(readYaml("a:\nb: ~\nc: [~]\nd: { e: }\n").data).toEqual({
    a: undefined,
    b: undefined,
    c: [null],
    d: { e: undefined },
  });
});

test("words that YAML 1.1 took for booleans stay words", () => {
  expect(readYaml("a: no\nb: on\nc: 0777\n").data).toEqual({ a: "no", b: "on", c: 777 });
});

describe("mistakes have a line and no text of the file", () => {
  const cases: readonly (readonly [string, string, number, string])[] = [
    ["duplicate key", "a: 1\nb: 2\na: SECRET\n", 3, "duplicate key"],
    ["tab", "a:\n\tb: SECRET\n", 2, "tab"],
    ["alias", "a: *SECRET\n", 1, "begins with *"],
    ["tag", "a: !SECRET x\n", 1, "begins with !"],
    ["mapping in a value", "a: b: SECRET\n", 1, "colon"],
    ["open quote", "a: 'SECRET\n", 1, ""],
    ["escape", 'a: "\\qSECRET"\n', 1, "escape"],
    ["second document", "a: 1\n---\nb: SECRET\n", 2, "second document"],
  ];
  for (const [name, text, line, words] of cases) {
    test(name, () => {
      const { mistakes, data } = readYaml(text);
      expect(data).toBeUndefined();
      expect(mistakes.length).toBeGreaterThan(0);
      if (words !== "") expect(mistakes.map((mistake) => mistake.line)).toContain(line);
      const all = mistakes.map((mistake) => mistake.text).join("\n");
      expect(all).toContain(words);
      expect(all).not.toContain("SECRET");
    });
  }
});

test("a cycle and a bomb of aliases are refused", () => {
  expect(readYaml("a: &a [*a]\n").mistakes.length).toBe(1);
});

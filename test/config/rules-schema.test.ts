import { describe, expect, test } from "bun:test";
import { rulesSchema } from "../../src/config/rules-schema.ts";

describe("accepts", () => {
  const cases: readonly (readonly [string, unknown, unknown])[] = [
    ["nothing", [], []],
    ["a host alone", ["a.example"], [[{ host: "a.example", rules: [] }]]],
    [
      "a host with rules",
      [{ "*.a.example:8443": ["allow GET,HEAD /x/*", "deny * /**"] }],
      [[{ host: "*.a.example:8443", rules: ["allow GET,HEAD /x/*", "deny * /**"] }]],
    ],
    [
      "several hosts in one mapping",
      [{ "a.example": ["deny * /**"], "b.example": ["allow * /**"] }],
      [
        [
          { host: "a.example", rules: ["deny * /**"] },
          { host: "b.example", rules: ["allow * /**"] },
        ],
      ],
    ],
  ];
  for (const [name, data, expected] of cases)
    test(name, () => expect(rulesSchema.parse(data)).toEqual(expected as never));
});

describe("refuses, at the place of the mistake", () => {
  const cases: readonly (readonly [string, unknown, readonly (readonly (string | number)[])[]])[] = [
    ["a bad host", ["a/b"], [[0]]],
    ["a bad host with rules", [{ "a/b": ["deny * /**"] }], [[0, "a/b"]]],
    ["an empty mapping", [{}], [[0]]],
    ["a host without rules", [{ "a.example": [] }], [[0, "a.example"]]],
    [
      "every bad rule",
      [{ "a.example": ["deny", "allow * /**", "allow FETCH /"] }],
      [
        [0, "a.example", 0],
        [0, "a.example", 2],
      ],
    ],
  ];
  for (const [name, data, places] of cases) {
    test(name, () => {
      const issues = rulesSchema.safeParse(data).error?.issues ?? [];
      expect(issues.map(({ path }) => path)).toEqual(places.map((place) => [...place]));
      for (const issue of issues) expect(issue.message).not.toContain("\n");
    });
  }
});

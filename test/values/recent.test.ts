// A bounded map in order of use.
import { expect, test } from "bun:test";
import { putLast } from "../../src/values/recent.ts";

test("what was used longest ago gives way to one too many, and nothing else", () => {
  const map = new Map<string, number>();
  for (const [at, key] of ["a", "b", "c"].entries()) putLast(map, key, at, 3);
  putLast(map, "a", 9, 3);
  expect([...map]).toEqual([
    ["b", 1],
    ["c", 2],
    ["a", 9],
  ]);
  putLast(map, "d", 4, 3);
  expect([...map.keys()]).toEqual(["c", "a", "d"]);
});

// The header list: order, case and duplicates survive; lookups go by lower-cased key; edits touch nothing else.
// RFC 9110 section 5.3 (order and combination).

import { heapSize } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import { HeaderList } from "../../src/http1/headers.ts";
import { type Field, fieldsOf, headerList } from "./support.ts";

const FIELDS: readonly Field[] = [
  ["Accept", "a"],
  ["X-One", "1"],
  ["accept", "b"],
  ["x-two", "2"],
  ["ACCEPT", "c"],
];

function sample(): HeaderList {
  return headerList(...FIELDS);
}

/** The three arrays stay parallel. */
function check(list: HeaderList): void {
  expect(list.keys).toEqual(list.names.map((name) => name.toLowerCase()));
  expect(list.values).toHaveLength(list.names.length);
  expect(list.size).toBe(list.names.length);
}

describe("reading", () => {
  test("names as sent, keys in lower case, in order", () => {
    const list = sample();
    check(list);
    expect(fieldsOf(list)).toEqual([...FIELDS]);
  });

  test.each([
    ["accept", true, "a", 3, "a, b, c"],
    ["x-one", true, "1", 1, "1"],
    ["x-none", false, undefined, 0, undefined],
    ["Accept", false, undefined, 0, undefined],
  ] as const)("%s: has %p, get %p, count %p, joined %p", (key, has, first, count, joined) => {
    const list = sample();
    expect(list.has(key)).toBe(has);
    expect(list.get(key)).toBe(first);
    expect(list.count(key)).toBe(count);
    expect(list.joined(key)).toBe(joined);
  });

  test("an empty value is a value", () => {
    const list = headerList(["X", ""], ["X", "a"], ["X", ""]);
    expect(list.get("x")).toBe("");
    expect(list.joined("x")).toBe(", a, ");
  });

  test("names that JavaScript objects already have are ordinary fields", () => {
    const list = headerList(["__proto__", "a"], ["constructor", "b"], ["toString", "c"]);
    expect([list.get("__proto__"), list.get("constructor"), list.get("tostring")]).toEqual(["a", "b", "c"]);
    expect(list.has("hasownproperty")).toBe(false);
  });
});

/** [name, edit, what is left] */
const EDITS: readonly (readonly [
  name: string,
  edit: (list: HeaderList) => void,
  expected: readonly Field[],
])[] = [
  ["push appends, duplicates too", (list) => list.push("accept", "d"), [...FIELDS, ["accept", "d"]]],
  [
    "remove takes every field of the name",
    (list) => list.remove("accept"),
    [
      ["X-One", "1"],
      ["x-two", "2"],
    ],
  ],
  ["remove of an absent field changes nothing", (list) => list.remove("x-none"), FIELDS],
  [
    "set replaces all at the first one's place, with the new name",
    (list) => list.set("aCCept", "z"),
    [
      ["aCCept", "z"],
      ["X-One", "1"],
      ["x-two", "2"],
    ],
  ],
  [
    "set replaces a single field in place",
    (list) => list.set("x-one", "z"),
    FIELDS.map((field): Field => (field[0] === "X-One" ? ["x-one", "z"] : field)),
  ],
  ["set appends an absent field", (list) => list.set("X-New", "z"), [...FIELDS, ["X-New", "z"]]],
  [
    "removeWhere sees key and index",
    (list) => list.removeWhere((key, i) => key === "accept" && i > 0),
    [
      ["Accept", "a"],
      ["X-One", "1"],
      ["x-two", "2"],
    ],
  ],
  ["removeWhere of everything", (list) => list.removeWhere(() => true), []],
  ["removeWhere of nothing", (list) => list.removeWhere(() => false), FIELDS],
];

describe("editing", () => {
  test.each(EDITS)("%s", (_name, edit, expected) => {
    const list = sample();
    edit(list);
    check(list);
    expect(fieldsOf(list)).toEqual([...expected]);
  });

  test("set replaces duplicates that stand side by side", () => {
    const list = headerList(["A", "1"], ["a", "2"], ["a", "3"], ["B", "4"]);
    list.set("A", "5");
    check(list);
    expect(fieldsOf(list)).toEqual([
      ["A", "5"],
      ["B", "4"],
    ]);
  });

  test("a clone is independent", () => {
    const list = sample();
    const copy = list.clone();
    check(copy);
    expect(fieldsOf(copy)).toEqual([...FIELDS]);
    copy.remove("accept");
    list.set("X-One", "changed");
    expect(fieldsOf(list)).toHaveLength(FIELDS.length);
    expect(copy.get("x-one")).toBe("1");
  });
});

test("what clients make up as names takes no memory for longer than its head", () => {
  const before = heapAfterCollection();
  for (let i = 0; i < 1_024; i++) {
    const list = new HeaderList();
    list.push(`${String.fromCharCode(65 + (i % 26))}${"X".repeat(50_000 + i)}`, "");
    expect(list.keys[0]).toHaveLength(50_001 + i);
  }
  expect(heapAfterCollection() - before).toBeLessThan(4_000_000);
});

function heapAfterCollection(): number {
  Bun.gc(true);
  return heapSize();
}

// A secret prints [secret] wherever a slip could print it, and comes out in one way only.

import { describe, expect, test } from "bun:test";
import { format, inspect } from "node:util";
import { Secret } from "../../src/values/secret.ts";

const VALUE = "hunter2-hunter2";
const secret = new Secret(VALUE);

/** [way, what it prints] */
const SLIPS: readonly (readonly [way: string, slip: () => unknown, expected: unknown])[] = [
  ["String()", () => String(secret), "[secret]"],
  ["toString()", () => secret.toString(), "[secret]"],
  ["a template", () => `${secret}`, "[secret]"],
  ["concatenation", () => `Bearer ${secret as unknown as string}`, "Bearer [secret]"],
  ["plus", () => ["Bearer "].concat(secret as unknown as string).join(""), "Bearer [secret]"],
  ["join", () => [secret, secret].join(), "[secret],[secret]"],
  ["JSON", () => JSON.stringify(secret), '"[secret]"'],
  ["JSON, nested", () => JSON.stringify({ a: [secret] }), '{"a":["[secret]"]}'],
  ["inspect", () => inspect(secret), "[secret]"],
  [
    "inspect, nested and hidden",
    () => inspect({ a: secret }, { showHidden: true, depth: 9 }),
    "{ a: [secret] }",
  ],
  ["Bun.inspect", () => Bun.inspect(secret), "[secret]"],
  ["format %s", () => format("%s", secret), "[secret]"],
  ["format %o, nested", () => format("%O", { a: secret }), "{ a: [secret] }"],
  ["format %j", () => format("%j", { a: secret }), '{"a":"[secret]"}'],
  ["own keys", () => Reflect.ownKeys(secret), []],
  ["spread", () => ({ ...secret }), {}],
  ["entries", () => Object.entries(secret), []],
  ["structuredClone", () => structuredClone({ ...secret }), {}],
];

describe("Secret", () => {
  test("reveal gives it back, unchanged", () => {
    for (const value of [VALUE, "", "\0\r\n\xe9\u{1f600}"]) expect(new Secret(value).reveal()).toBe(value);
  });

  test.each(SLIPS)("by %s", (_way, slip, expected) => {
    expect(slip()).toEqual(expected);
  });

  test("by an error that carries it", () => {
    const error = Object.assign(new Error("failed", { cause: secret }), { secret });
    for (const text of [inspect(error), Bun.inspect(error), format(error), JSON.stringify(error)]) {
      expect(text).not.toContain(VALUE);
    }
  });

  test("by a map, a set and a deep structure", () => {
    const holder = { map: new Map([["a", secret]]), set: new Set([secret]), deep: { deep: { secret } } };
    expect(inspect(holder, { depth: 9 })).not.toContain(VALUE);
    expect(Bun.inspect(holder)).not.toContain(VALUE);
  });
});

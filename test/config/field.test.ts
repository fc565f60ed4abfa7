import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { duration, key, label, setting, wholeNumber } from "../../src/config/field.ts";
import { BadSetting } from "../../src/config/setting.ts";

describe("a setting", () => {
  const even = setting("even number", (text) => {
    if (Number(text) % 2 !== 0) throw new BadSetting(`${text} is odd`, "is odd");
    return Number(text);
  });
  test("becomes what its parser makes of it", () => expect(even.parse("4")).toBe(4));
  test("tells its mistake with and without the value", () => {
    expect(even.safeParse("3").error?.issues).toMatchObject([
      { code: "custom", message: "3 is odd", params: { masked: "is odd" } },
    ]);
  });
  test("does not hide a bug of its parser", () => {
    const broken = setting("broken", () => {
      throw new TypeError("bug");
    });
    expect(() => broken.parse("x")).toThrow(TypeError);
  });
});

test("durations are milliseconds", () => {
  expect(duration(0).parse("0")).toBe(0);
  expect(duration(1).safeParse("0").success).toBe(false);
});

test.each([[0], [1.5], [11], ["5"], [Number.NaN]])("no whole number from 1 to 10: %p", (value) =>
  expect(wholeNumber(1, 10).safeParse(value).success).toBe(false),
);

test("labels are short and printable", () => {
  expect(label().parse("x".repeat(256))).toHaveLength(256);
  expect(label().safeParse("x".repeat(257)).success).toBe(false);
  expect(label().safeParse("a\tb").success).toBe(false);
});

test("a key may be absent and carries its words", () => {
  const schema = key(z.string(), "What it is", "d");
  expect(schema.parse(undefined)).toBeUndefined();
  expect(z.globalRegistry.get(schema)).toEqual({ description: "What it is", default: "d" });
});

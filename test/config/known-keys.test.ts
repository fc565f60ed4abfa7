import { expect, test } from "bun:test";
import { NOT_YET, SOURCE_FIELDS, SOURCE_TYPES } from "../../src/config/known-keys.ts";
import { SUPPORTED_KEYS } from "../../src/config/schema.ts";
import { sourceSchema } from "../../src/config/source-schema.ts";

test("a key that is read is not called unsupported", () => {
  for (const [place, keys] of Object.entries(NOT_YET)) {
    for (const key of keys) expect(SUPPORTED_KEYS[place]).not.toContain(key);
  }
});

test("the types that are read have their fields", () => {
  for (const member of sourceSchema.options) {
    const { type, ...fields } = member.shape;
    expect(SOURCE_FIELDS[type.value]).toEqual(Object.keys(fields));
  }
  expect(sourceSchema.options.map(({ shape }) => shape.type.value)).toEqual([...SOURCE_TYPES]);
});

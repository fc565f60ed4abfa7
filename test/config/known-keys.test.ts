import { expect, test } from "bun:test";
import { NOT_YET, SOURCE_FIELDS, SOURCE_TYPES } from "../../src/config/known-keys.ts";
import { SUPPORTED_KEYS } from "../../src/config/schema.ts";

test("a key that is read is not called unsupported", () => {
  for (const [place, keys] of Object.entries(NOT_YET)) {
    for (const key of keys) expect(SUPPORTED_KEYS[place]).not.toContain(key);
  }
});

test("the types that are read have their fields", () => {
  for (const type of SOURCE_TYPES) expect(SOURCE_FIELDS[type]).toHaveLength(1);
});

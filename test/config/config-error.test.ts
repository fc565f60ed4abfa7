import { expect, test } from "bun:test";
import { ConfigError } from "../../src/config/config-error.ts";

test("carries every mistake, and all of them in its message", () => {
  const error = new ConfigError(["a", "b"]);
  expect(error.mistakes).toEqual(["a", "b"]);
  expect(error.message).toBe("a\nb");
});

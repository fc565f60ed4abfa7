import { expect, test } from "bun:test";
import { createBugReporter } from "../../src/log/bug-report.ts";
import type { LogFields } from "../../src/log/logger.ts";

function reported(error: unknown): { msg: string; fields: Record<string, unknown> } {
  const lines: { msg: string; fields: Record<string, unknown> }[] = [];
  createBugReporter({
    error: (msg: string, fields: LogFields = {}) => void lines.push({ msg, fields: { ...fields } }),
  })(error);
  const [line] = lines;
  if (line === undefined || lines.length > 1) throw new Error(`${lines.length} lines for one bug`);
  return line;
}

test("an error: its message, and its stack on one line", () => {
  const { msg, fields } = reported(new TypeError("x is not a function"));
  expect(msg).toBe("bug");
  expect(fields.error).toBe("TypeError: x is not a function");
  expect(fields.stack).toContain("bug-report.test.ts");
  expect(fields.stack).toContain(" | ");
  expect(fields.stack).not.toContain("\n");
});

test("its cause is named", () => {
  expect(reported(new Error("a", { cause: new Error("b") })).fields.error).toBe("Error: a: Error: b");
});

test("length and control characters are bounded", () => {
  const error = new Error(`\u001b[31m${"x".repeat(100_000)}`);
  error.stack = `${"frame\r\n".repeat(100_000)}`;
  const { fields } = reported(error);
  expect(String(fields.error)).toHaveLength(512);
  expect(String(fields.stack)).toHaveLength(4_096);
  expect(`${fields.error}${fields.stack}`).not.toMatch(/\p{Cc}/u);
});

const hostile = new Error("hostile");
Object.defineProperty(hostile, "stack", {
  get() {
    throw new Error("from the getter");
  },
});
for (const [name, thrown, shown] of [
  ["a string", "text", "text"],
  ["undefined", undefined, "undefined"],
  ["a symbol", Symbol("s"), "Symbol(s)"],
  ["an object without a prototype", Object.create(null), "something that cannot be shown was thrown"],
  ["an error whose stack throws", hostile, "Error: hostile"],
] as const) {
  test(`${name} can be thrown, too`, () => {
    expect(reported(thrown).fields).toEqual({ error: shown, stack: undefined });
  });
}

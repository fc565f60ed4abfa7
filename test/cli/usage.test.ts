import { expect, test } from "bun:test";
import { defineCommand } from "citty";
import { usageText } from "../../src/cli/usage.ts";

test("a help text has its flags, its examples and no line end beyond its last", async () => {
  const serve = defineCommand({
    meta: { name: "serve", description: "Run it" },
    args: { port: { type: "string", valueHint: "n", description: "Port" } },
  });
  const text = await usageText(serve, undefined, false);
  expect(text).toMatch(/--port=<n> {4}Port\n/);
  expect(text).toContain("\n\nEXAMPLES\n\n  moat-proxy serve ");
  expect(text).not.toMatch(/\s$/);
});

test("a command without examples has no heading for them", async () => {
  const other = defineCommand({ meta: { name: "other", description: "Something else" } });
  expect(await usageText(other, undefined, false)).not.toContain("EXAMPLES");
});

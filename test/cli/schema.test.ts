import { expect, test } from "bun:test";
import { configJsonSchema } from "../../src/config/json-schema.ts";

const SCHEMA = new URL("../../src/cli/schema.ts", import.meta.url).pathname;

function run(rawArgs: readonly string[]): { status: number; stdout: string; stderr: string } {
  const script = `const { schemaCommand } = await import(${JSON.stringify(SCHEMA)});
    await schemaCommand.run({ rawArgs: ${JSON.stringify(rawArgs)} });`;
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, "-e", script]);
  return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

test("prints the schema, whole, on stdout", () => {
  expect(run([])).toEqual({ status: 0, stdout: configJsonSchema(), stderr: "" });
});

test("takes no flag", () => {
  expect(run(["--all"])).toEqual({
    status: 2,
    stdout: "",
    stderr: "moat-proxy: unknown flag --all, see --help\n",
  });
});

import { expect, test } from "bun:test";
import { version } from "../../package.json" with { type: "json" };
import { moatProxy } from "../support/command.ts";

test("the version alone, as --version prints it", () => {
  expect(moatProxy(["version"])).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
});

test("--json: version, runtime and machine on one line", () => {
  const { status, stdout } = moatProxy(["version", "--json"]);
  expect(status).toBe(0);
  expect(stdout).toEndWith("}\n");
  expect(JSON.parse(stdout)).toEqual({
    version,
    bun: Bun.version,
    platform: process.platform,
    arch: process.arch,
  });
});

test("an unknown flag names the nearest", () => {
  expect(moatProxy(["version", "--jsn"])).toEqual({
    status: 2,
    stdout: "",
    stderr: "moat-proxy: unknown flag --jsn, did you mean --json?\n",
  });
});

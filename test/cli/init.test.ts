import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { starterFile } from "../../src/cli/init-templates.ts";
import { moatProxy, scratch } from "../support/command.ts";

test("writes moat.yaml, says what comes next, and the file passes check", () => {
  using place = scratch();
  const { status, stdout, stderr } = moatProxy(["init", "--for", "github,npm"], { cwd: place.dir });
  expect([status, stdout]).toEqual([0, ""]);
  expect(stderr).toBe(
    "wrote moat.yaml; next:\n" +
      "  export GITHUB_TOKEN=...\n" +
      "  export NPM_TOKEN=...\n" +
      "  moat-proxy check --config moat.yaml --fetch\n" +
      "  moat-proxy --config moat.yaml\n",
  );
  expect(readFileSync(place.file("moat.yaml"), "utf8")).toBe(starterFile(["github", "npm"]));
  const check = moatProxy(["check", "--config", "moat.yaml"], { cwd: place.dir });
  expect([check.status, check.stderr]).toEqual([0, ""]);
  expect(check.stdout).toStartWith("moat.yaml: valid\n");
});

describe("never overwrites", () => {
  test("a file", () => {
    using place = scratch();
    const file = place.file("it is mine.yaml");
    writeFileSync(file, "mine");
    const { status, stderr } = moatProxy(["init", "--out", file]);
    expect([status, stderr]).toEqual([
      1,
      `moat-proxy: ${file}: exists already and is left as it is; name another file with --out FILE\n`,
    ]);
    expect(readFileSync(file, "utf8")).toBe("mine");
  });

  test("nor writes through a dangling link", () => {
    using place = scratch();
    symlinkSync(place.file("elsewhere"), place.file("moat.yaml"));
    expect(moatProxy(["init"], { cwd: place.dir }).status).toBe(1);
    expect(existsSync(place.file("elsewhere"))).toBe(false);
  });
});

test("--out - is stdout, and repeated services come once", () => {
  expect(moatProxy(["init", "--for", "npm", "--for", "npm,npm", "--out", "-"])).toEqual({
    status: 0,
    stdout: starterFile(["npm"]),
    stderr: "",
  });
});

describe("refused", () => {
  const cases: readonly (readonly [readonly string[], number, string])[] = [
    [["--for", "gitub"], 2, 'moat-proxy: unknown service "gitub", did you mean github?\n'],
    [["--fro", "github"], 2, "moat-proxy: unknown flag --fro, did you mean --for?\n"],
    [["--out", ""], 2, "moat-proxy: --out: expected a path\n"],
    [["github"], 2, 'moat-proxy: unexpected argument "github", see --help\n'],
  ];
  for (const [args, status, stderr] of cases) {
    test(args.join(" "), () => expect(moatProxy(["init", ...args])).toEqual({ status, stdout: "", stderr }));
  }
});

test("a directory that is not there", () => {
  using place = scratch();
  expect(moatProxy(["init", "--out", "no/x.yaml"], { cwd: place.dir })).toEqual({
    status: 1,
    stdout: "",
    stderr: "moat-proxy: no/x.yaml: cannot be written (ENOENT)\n",
  });
});

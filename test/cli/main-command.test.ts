import { describe, expect, test } from "bun:test";
import { version } from "../../package.json" with { type: "json" };
import { commandLine } from "../../src/cli/main-command.ts";
import { moatProxy } from "../support/command.ts";

describe("the arguments as citty takes them", () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ["serve is the default", [], ["serve"]],
    ["with flags", ["--port", "0"], ["serve", "--port", "0"]],
    ["named", ["serve", "--port", "0"], ["serve", "--port", "0"]],
    ["another command", ["demo", "--once"], ["demo", "--once"]],
    ["help of the program", ["--help"], ["--help"]],
    ["help of a command", ["serve", "--help"], ["serve", "--help"]],
    ["help among flags", ["--port", "0", "--help"], ["serve", "--port", "0", "--help"]],
    ["help as a command", ["help", "demo"], ["demo", "--help"]],
    ["help as a command, two words", ["help", "ca", "show"], ["ca", "show", "--help"]],
    ["help alone", ["help"], ["--help"]],
    ["help on what does not exist", ["srve", "--help"], ["srve"]],
    ["help on what does not exist, the other way", ["help", "srve"], ["srve"]],
    ["version", ["--version"], ["--version"]],
    ["version of a command", ["serve", "--version"], ["--version"]],
    ["version, short", ["-v"], ["--version"]],
  ];
  for (const [name, args, expected] of cases) {
    test(name, () => expect(commandLine(args)).toEqual([...expected]));
  }
});

describe("usage: status 2, one line on stderr, nothing on stdout", () => {
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    ["unknown command", ["srve"], 'moat-proxy: unknown command "srve", did you mean serve?\n'],
    [
      "help on an unknown command",
      ["chekc", "--help"],
      'moat-proxy: unknown command "chekc", did you mean check?\n',
    ],
    [
      "a command like no other",
      ["frobnicate"],
      'moat-proxy: unknown command "frobnicate", expected one of serve, init, check, reload, grant, revoke, ca, ' +
        "aws-credentials, schema, demo, completion, version\n",
    ],
    ["a name that every object has", ["toString"], 'moat-proxy: unknown command "toString", expected one of'],
    ["unknown flag", ["--prot", "1"], "moat-proxy: unknown flag --prot, did you mean --port?\n"],
    [
      "unknown flag of another command",
      ["demo", "--onec"],
      "moat-proxy: unknown flag --onec, did you mean --once?\n",
    ],
    ["bad value", ["serve", "--port", "x"], 'moat-proxy: --port: "x" is no port, expected 0 to 65535\n'],
  ];
  for (const [name, args, stderr] of cases) {
    test(name, () => {
      const found = moatProxy(args);
      expect([found.status, found.stdout]).toEqual([2, ""]);
      if (stderr.endsWith("\n")) expect(found.stderr).toBe(stderr);
      else expect(found.stderr).toStartWith(stderr);
    });
  }
});

test("configuration: status 1, one line for each mistake", () => {
  expect(
    moatProxy(["--config", "/nonexistent/moat.yaml"], { env: { MOAT_PROXY_AUTH_TOKEN: "a b" } }),
  ).toEqual({
    status: 1,
    stdout: "",
    stderr:
      "/nonexistent/moat.yaml: cannot be read: no such file\n" +
      "MOAT_PROXY_AUTH_TOKEN: a token is 1 to 512 visible ASCII characters without spaces (the value is not shown)\n",
  });
  expect(moatProxy([], { env: { MOAT_PROXY_CONFIG: "/nonexistent/env.yaml" } }).stderr).toBe(
    "/nonexistent/env.yaml: cannot be read: no such file\n",
  );
});

test("--version prints the version of package.json", () => {
  expect(moatProxy(["--version"])).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
});

for (const [command, words] of [
  [[], ["serve", "demo", "EXAMPLES"]],
  [["serve"], ["--port=<n>", "--no-auth", "(repeatable)", "EXAMPLES", "--ready-file"]],
  [["demo"], ["--once", "EXAMPLES"]],
  [["check"], ["--method=<m>", "Exit status", "EXAMPLES"]],
  [
    ["ca", "show"],
    ["moat-proxy ca show", "--ca-dir=<dir>", "EXAMPLES"],
  ],
] as const) {
  test(`${["moat-proxy", ...command].join(" ")} --help is plain text on a pipe`, () => {
    const { status, stdout, stderr } = moatProxy([...command, "--help"]);
    expect([status, stderr]).toEqual([0, ""]);
    for (const word of words) expect(stdout).toContain(word);
    expect(stdout).not.toContain("\u001b");
    expect(stdout).not.toMatch(/[ \t]\n/);
  });
}

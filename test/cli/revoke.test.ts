import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { MoatHome } from "../../src/credentials/moat-home.ts";
import { Secret } from "../../src/values/secret.ts";
import { moatProxy, scratch } from "../support/command.ts";

async function filled(HOME: string) {
  const home = new MoatHome({ env: { HOME }, now: Date.now, keychain: () => undefined });
  for (const [provider, profile] of [["github"], ["mcp-linear"], ["github", "work"]] as const) {
    await home.store(profile).save({ provider, token: new Secret("x"), createdAt: 0 });
  }
  return {
    names: () => home.store().names(),
    work: () => home.store("work").names(),
    run: (...args: string[]) => moatProxy(["revoke", ...args], { env: { HOME } }),
  };
}

test("removes one, and no other", async () => {
  using place = scratch();
  const { run, names, work } = await filled(place.dir);
  expect(run("github")).toEqual({
    status: 0,
    stdout: `removed "github" from ${place.dir}/.moat/credentials\n`,
    stderr: "",
  });
  expect([names(), work()]).toEqual([["mcp-linear"], ["github"]]);
  expect(run("mcp", "linear").status).toBe(0);
  expect(run("github", "--profile", "work").status).toBe(0);
  expect([names(), work()]).toEqual([[], []]);
});

test("needs no key", async () => {
  using place = scratch();
  const { run, names } = await filled(place.dir);
  rmSync(place.file(".moat/encryption.key"));
  expect(run("github").status).toBe(0);
  expect(names()).toEqual(["mcp-linear"]);
});

describe("refused, and nothing is removed", () => {
  const cases: readonly (readonly [readonly string[], number, string])[] = [
    [["gihub"], 1, 'no "gihub" in DIR, did you mean "github"?'],
    [["npm"], 1, 'no "npm" in DIR'],
    [["github", "--profile", "home"], 1, 'no "github" in DIR/profiles/home'],
    [[], 2, "revoke needs a name, see --help"],
    [["mcp"], 2, "revoke mcp needs a name, see --help"],
    [["github", "npm"], 2, "revoke takes a name and nothing else: a value is never given"],
    [["../credentials/github"], 2, "NAME: is no name of a credential, expected"],
    [["github", "--profile", ".."], 2, "--profile: is no name of a profile, expected"],
    [["github", "--force"], 2, "unknown flag --force, see --help"],
  ];
  test.each(cases)("%j", async (args, status, problem) => {
    using place = scratch();
    const { run, names } = await filled(place.dir);
    const ended = run(...args);
    expect([ended.status, ended.stdout]).toEqual([status, ""]);
    const directory = `${place.dir}/.moat/credentials`;
    expect(ended.stderr).toStartWith(`moat-proxy: ${problem.replace("DIR", directory)}`);
    expect(names()).toEqual(["github", "mcp-linear"]);
  });
});

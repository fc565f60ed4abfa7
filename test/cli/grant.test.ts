// The command line of grant: names, flags, and what must never be repeated. The value itself is secret-input.test.ts's,
// the list grant-list.test.ts's.

import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { MoatHome } from "../../src/credentials/moat-home.ts";
import { type Ended, moatProxy, scratch } from "../support/command.ts";

const SECRET = "s3cr3t-value";

function grant(HOME: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Ended {
  return moatProxy(["grant", ...args], { env: { HOME, ...env }, input: `${SECRET}\n` });
}

function storeIn(HOME: string, profile?: string) {
  return new MoatHome({ env: { HOME }, now: Date.now, keychain: () => undefined }).store(profile);
}

describe("stores", () => {
  test("under its name, from now on, without an end", async () => {
    using place = scratch();
    const before = Date.now();
    expect(grant(place.dir, ["github"])).toMatchObject({ status: 0, stderr: "" });
    const found = await storeIn(place.dir).get("github");
    expect(found?.token.reveal()).toBe(SECRET);
    expect(found?.createdAt).toBeWithin(before, Date.now() + 1);
    expect(Object.keys(found ?? {}).sort()).toEqual(["createdAt", "provider", "token"]);
  });

  test("in a profile, with an end and scopes, each once", async () => {
    using place = scratch();
    const end = "2090-01-31T12:00:00Z";
    const scopes = ["--scope", "repo", "--scope=read:org", "--scope", "repo"];
    const ended = grant(place.dir, ["--profile", "work", "github", "--expires", end, ...scopes]);
    expect(ended).toEqual({
      status: 0,
      stdout: `stored "github" in ${place.dir}/.moat/credentials/profiles/work, until ${end}\n`,
      stderr: "",
    });
    const found = await storeIn(place.dir, "work").get("github");
    expect(found).toMatchObject({ expiresAt: Date.parse(end), scopes: ["repo", "read:org"] });
    expect(await storeIn(place.dir).get("github")).toBeUndefined();
  });

  test("for an MCP server under the name that moat gives it", async () => {
    using place = scratch();
    expect(grant(place.dir, ["mcp", "linear"]).stdout).toStartWith('stored "mcp-linear" in ');
    expect((await storeIn(place.dir).get("mcp-linear"))?.token.reveal()).toBe(SECRET);
  });

  test("over one that is there", async () => {
    using place = scratch();
    grant(place.dir, ["github", "--scope", "repo"]);
    expect(moatProxy(["grant", "github"], { env: { HOME: place.dir }, input: "new" }).status).toBe(0);
    const found = await storeIn(place.dir).get("github");
    expect([found?.token.reveal(), found?.scopes]).toEqual(["new", undefined]);
  });
});

describe("wrong usage, which stores nothing and repeats no word that may be the value", () => {
  const NO_VALUE =
    "grant takes a name and nothing else: a value is never given on the command line, where other users see it, " +
    "but typed when asked or piped in";
  const NAME =
    "NAME: is no name of a credential, expected 1 to 128 letters, digits and . _ : - without a dot in front or two " +
    "in a row";

  test.each([
    [[], "grant needs a name, see --help"],
    [["mcp"], "grant mcp needs a name, see --help"],
    [["github", SECRET], NO_VALUE],
    [["github", "--profile", "work", SECRET], NO_VALUE],
    [["github", "--", SECRET], NO_VALUE],
    [["mcp", "linear", SECRET], NO_VALUE],
    [[`${SECRET}=`], NAME],
    [[`../${SECRET}`], NAME],
    [["mcp", `../${SECRET}`], NAME],
    [["mcp", "x".repeat(125)], NAME],
    [["github", "--token", SECRET], "unknown flag --token, see --help"],
    [["github", `--value=${SECRET}`], "unknown flag --value, see --help"],
    [["github", "--scop", "repo"], "unknown flag --scop, did you mean --scope?"],
    [["github", "--scope", `a ${SECRET}`], "--scope: expected a scope such as repo or read:org, one each"],
    [
      ["github", "--profile", `../${SECRET}`],
      /^--profile: is no name of a profile, expected 1 to 128 letters/,
    ],
    [["github", "--expires", "soon"], /^--expires: "soon" is no end, expected such as 12h, 90d or 2030-/],
    [
      ["github", "--expires", "2020-01-01T00:00:00Z"],
      /^--expires: "2020-01-01T00:00:00Z" has passed already/,
    ],
    [["github", "--expires", "1d", "--expires", "2d"], "--expires: given twice, expected once"],
    [["github", "--json"], "--json: only grant list has a use for it"],
    [["list", SECRET], "grant list takes no name"],
    [["list", "--expires", "1d"], "--expires: list has no use for it"],
    [["list", "--scope", "repo"], "--scope: list has no use for it"],
  ] as [string[], string | RegExp][])("%j", (args, problem) => {
    using place = scratch();
    const { status, stdout, stderr } = grant(place.dir, args);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toStartWith("moat-proxy: ");
    expect(stderr).not.toContain(SECRET);
    const message = stderr.slice("moat-proxy: ".length).trimEnd();
    if (typeof problem === "string") expect(message).toBe(problem);
    else expect(message).toMatch(problem);
    expect(existsSync(place.file(".moat"))).toBe(false);
  });
});

describe("refused by the store", () => {
  test("a directory that others can read", () => {
    using place = scratch();
    const directory = place.file(".moat/credentials");
    mkdirSync(directory, { recursive: true });
    chmodSync(directory, 0o755);
    const { status, stderr } = grant(place.dir, ["github"]);
    const problem = `${directory} is open to other users (mode 0755); run: chmod 700 ${directory}`;
    expect([status, stderr]).toEqual([1, `moat-proxy: ${problem}\n`]);
    expect(existsSync(place.file(".moat/encryption.key"))).toBe(false);
  });

  test("a key that is lost while something is encrypted", () => {
    using place = scratch();
    grant(place.dir, ["github"]);
    renameSync(place.file(".moat/encryption.key"), place.file("away"));
    const { status, stderr } = grant(place.dir, ["npm"]);
    expect(status).toBe(1);
    expect(stderr).toContain(
      "github.enc is encrypted with one: restore the key, or revoke what only it opens",
    );
    expect(existsSync(place.file(".moat/encryption.key"))).toBe(false);
  });

  test("a word that is no switch of the keychain", () => {
    using place = scratch();
    const { status, stderr } = grant(place.dir, ["github"], { MOAT_PROXY_KEYCHAIN: "file" });
    expect([status, stderr]).toEqual([
      1,
      "moat-proxy: MOAT_PROXY_KEYCHAIN: expected off, or on, which is the default\n",
    ]);
  });
});

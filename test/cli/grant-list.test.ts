import { describe, expect, test } from "bun:test";
import { truncateSync } from "node:fs";
import { entryJson, entryLines } from "../../src/cli/grant-list.ts";
import { MoatHome } from "../../src/credentials/moat-home.ts";
import type { StoreEntry } from "../../src/credentials/store.ts";
import { Secret } from "../../src/values/secret.ts";
import { moatProxy, scratch } from "../support/command.ts";

const PLAIN = { colour: false, unicode: false };
const NOW = Date.parse("2026-01-02T03:04:05Z");
const SECRET = "s3cr3t-value";

const ENTRIES: readonly StoreEntry[] = [
  {
    provider: "github",
    credential: {
      provider: "github",
      token: new Secret(SECRET),
      createdAt: NOW - 999,
      expiresAt: NOW,
      scopes: ["repo", "read:org\u001b[31m"],
    },
    problem: undefined,
  },
  {
    provider: "mcp-linear",
    credential: { provider: "mcp-linear", token: new Secret(SECRET), createdAt: 0, expiresAt: NOW + 1_000 },
    problem: undefined,
  },
  { provider: "npm", credential: undefined, problem: "/x/npm.enc is too short to be a credential: cut off?" },
];

test("as a table", () => {
  expect(entryLines(ENTRIES, NOW, PLAIN)).toEqual([
    "NAME        CREATED               EXPIRES                         SCOPES",
    "github      2026-01-02T03:04:04Z  2026-01-02T03:04:05Z (expired)  repo read:org[31m",
    "mcp-linear  unknown               2026-01-02T03:04:06Z",
    "npm         ?                     ?",
    "  /x/npm.enc is too short to be a credential: cut off?",
  ]);
});

test("as JSON", () => {
  expect(ENTRIES.map((entry) => entryJson(entry, NOW)) as object[]).toEqual([
    {
      name: "github",
      created_at: "2026-01-02T03:04:04.001Z",
      expires_at: "2026-01-02T03:04:05Z",
      expired: true,
      scopes: ["repo", "read:org\u001b[31m"],
      problem: null,
    },
    {
      ...{ name: "mcp-linear", created_at: null, expires_at: "2026-01-02T03:04:06Z", expired: false },
      ...{ scopes: [], problem: null },
    },
    {
      ...{ name: "npm", created_at: null, expires_at: null, expired: false, scopes: [] },
      problem: "/x/npm.enc is too short to be a credential: cut off?",
    },
  ]);
});

describe("the command", () => {
  test("an empty store: nothing on stdout, and nothing made", () => {
    using place = scratch();
    expect(moatProxy(["grant", "list"], { env: { HOME: place.dir } })).toEqual({
      status: 0,
      stdout: "",
      stderr: `nothing in ${place.dir}/.moat/credentials\n`,
    });
    const profile = moatProxy(["grant", "list", "--json", "--profile", "work"], { env: { HOME: place.dir } });
    expect(profile).toEqual({ status: 0, stdout: "[]\n", stderr: "" });
  });

  test("never a value; 1 when something cannot be opened", async () => {
    using place = scratch();
    const env = { HOME: place.dir };
    const store = new MoatHome({ env, now: Date.now, keychain: () => undefined }).store();
    for (const provider of ["github", "npm"]) {
      await store.save({ provider, token: new Secret(SECRET), createdAt: NOW });
    }
    const well = moatProxy(["grant", "list"], { env });
    expect([well.status, well.stderr]).toEqual([0, ""]);
    expect(well.stdout).toMatch(
      /^NAME .*\ngithub {2}2026-01-02T03:04:05Z {2}never\nnpm {5}2026-.* {2}never\n$/,
    );
    truncateSync(store.path("npm"), 40);
    const broken = moatProxy(["grant", "list", "--json"], { env });
    expect(broken.status).toBe(1);
    expect(JSON.parse(broken.stdout)).toMatchObject([
      { name: "github", problem: null },
      { name: "npm", problem: expect.stringContaining("cannot be decrypted") },
    ]);
    for (const { stdout, stderr } of [well, broken]) expect(stdout + stderr).not.toContain(SECRET);
  });
});

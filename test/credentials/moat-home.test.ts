// Where things lie below HOME, and that one home asks for its key once. The store itself is file-store.test.ts's.

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Keychain } from "../../src/credentials/keychain.ts";
import { grantCommand, MoatHome } from "../../src/credentials/moat-home.ts";
import { Secret } from "../../src/values/secret.ts";
import { ownDirectory } from "./source-contract.ts";

const files = ownDirectory();
const now = Date.now;

describe("where credentials lie", () => {
  test.each([
    [undefined, "/home/me/.moat/credentials"],
    ["work", "/home/me/.moat/credentials/profiles/work"],
  ])("profile %s", (profile, directory) => {
    const store = new MoatHome({ env: { HOME: "/home/me" }, now }).store(profile);
    expect(store.directory).toBe(directory);
    expect(store.path("github")).toBe(`${directory}/github.enc`);
  });

  test.each([[{}], [{ HOME: "" }]])("without HOME: that of the user", (env) => {
    expect(new MoatHome({ env, now }).store().directory).toBe(join(homedir(), ".moat/credentials"));
  });

  test.each(["", "..", "../work", "a/b", "a\0"])("no profile of the name %j", (profile) => {
    expect(() => new MoatHome({ env: { HOME: "/home/me" }, now }).store(profile)).toThrow(
      "is no name of a profile",
    );
  });

  test("looking makes nothing", async () => {
    const HOME = files.path("untouched");
    expect(await new MoatHome({ env: { HOME }, now }).store().get("github")).toBeUndefined();
    expect(existsSync(HOME)).toBe(false);
  });
});

test("the keychain is asked when a credential is used, and once for all stores", async () => {
  const HOME = files.path("asked");
  const value = Buffer.alloc(32, 7).toString("base64");
  let asked = 0;
  const keychain: Keychain = {
    get: async () => {
      asked++;
      return { state: "found", value };
    },
    set: async () => false,
  };
  const home = new MoatHome({ env: { HOME }, now, keychain: () => keychain });
  const [plain, work] = [home.store(), home.store("work")];
  expect(home.store("work")).toBe(work);
  await plain.get("github");
  expect(asked).toBe(0);
  await plain.save({ provider: "github", token: new Secret("x"), createdAt: 0 });
  await work.save({ provider: "github", token: new Secret("y"), createdAt: 0 });
  await Promise.all([plain.get("github"), work.get("github"), home.store().list()]);
  expect(asked).toBe(1);
  expect(existsSync(join(HOME, ".moat/encryption.key"))).toBe(false);
});

test("the command that stores a credential", () => {
  expect(grantCommand("github", undefined)).toBe("moat-proxy grant github");
  expect(grantCommand("mcp-linear", "work")).toBe("moat-proxy grant mcp-linear --profile work");
});

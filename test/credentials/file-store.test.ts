// The store on real files: what is written and how, and what is refused. What a file may hold is store-codec.test.ts's.

import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { FileStore } from "../../src/credentials/file-store.ts";
import { MoatHome } from "../../src/credentials/moat-home.ts";
import type { StoredCredential } from "../../src/credentials/store.ts";
import { Secret } from "../../src/values/secret.ts";
import { ownDirectory } from "./source-contract.ts";

const files = ownDirectory();
const NOW = Date.parse("2026-01-02T03:04:05Z");
const TOKEN = "s3cr3t-value";

let homes = 0;

function home(): { readonly dir: string; open(now?: number): FileStore } {
  const dir = files.path(`home${homes++}`);
  return {
    dir,
    open: (now = NOW) =>
      new MoatHome({ env: { HOME: dir }, now: () => now, keychain: () => undefined }).store(),
  };
}

function credential(provider: string, more: Partial<StoredCredential> = {}): StoredCredential {
  return { provider, token: new Secret(TOKEN), createdAt: NOW, ...more };
}

const modeOf = (path: string): number => statSync(path).mode & 0o777;

async function problemOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  const { message } = error as Error;
  expect(message).not.toContain(TOKEN);
  expect(message).not.toMatch(/[\r\n]/);
  return message;
}

describe("saved and given back", () => {
  test("by another process, with all that was saved", async () => {
    const { open } = home();
    const saved = credential("mcp-linear", {
      scopes: ["read", "write"],
      expiresAt: NOW + 1_000,
      metadata: { kind: "oauth" },
    });
    await open().save(saved);
    const found = await open().get("mcp-linear");
    expect(found).toEqual(saved);
    expect(found?.token.reveal()).toBe(TOKEN);
  });

  test("one that is not there is undefined, with no key and no directory made", async () => {
    const { open, dir } = home();
    expect(await open().get("github")).toBeUndefined();
    expect(await open().list()).toEqual([]);
    expect(await open().delete("github")).toBe(false);
    expect(existsSync(dir)).toBe(false);
  });

  test("the files are private, whole, and hold no secret in the clear", async () => {
    const { open, dir } = home();
    const store = open();
    await store.save(credential("github"));
    const path = join(dir, ".moat/credentials/github.enc");
    expect(store.path("github")).toBe(path);
    expect([modeOf(path), modeOf(dirname(path)), modeOf(join(dir, ".moat"))]).toEqual([0o600, 0o700, 0o700]);
    expect(readdirSync(dirname(path))).toEqual(["github.enc"]);
    expect(readFileSync(path).includes(TOKEN)).toBe(false);
    expect(readdirSync(join(dir, ".moat")).sort()).toEqual(["credentials", "encryption.key"]);
  });

  test("the same twice: other bytes, for the nonce is new", async () => {
    const store = home().open();
    await store.save(credential("github"));
    const first = readFileSync(store.path("github"));
    await store.save(credential("github"));
    const second = readFileSync(store.path("github"));
    expect(second.subarray(0, 12)).not.toEqual(first.subarray(0, 12));
    expect(second).not.toEqual(first);
  });

  test("saving again replaces, deleting removes", async () => {
    const store = home().open();
    await store.save(credential("github"));
    await store.save(credential("github", { token: new Secret("new") }));
    expect((await store.get("github"))?.token.reveal()).toBe("new");
    expect([await store.delete("github"), await store.delete("github")]).toEqual([true, false]);
    expect(await store.get("github")).toBeUndefined();
  });

  test("profiles are stores of their own, with the same key", async () => {
    const dir = files.path(`home${homes++}`);
    const made = new MoatHome({ env: { HOME: dir }, now: () => NOW, keychain: () => undefined });
    await made.store().save(credential("github"));
    await made.store("work").save(credential("github", { token: new Secret("at work") }));
    expect((await made.store().get("github"))?.token.reveal()).toBe(TOKEN);
    expect((await made.store("work").get("github"))?.token.reveal()).toBe("at work");
    expect(existsSync(join(dir, ".moat/credentials/profiles/work/github.enc"))).toBe(true);
    expect((await made.store().list()).map(({ provider }) => provider)).toEqual(["github"]);
  });
});

describe("names lead nowhere else", () => {
  test.each(["../github", "a/b", "..", ".", "", "a\0b", "a\\b", ".enc", "/etc/passwd", "x".repeat(129)])(
    "%j is refused by every method, before anything is read or written",
    async (name) => {
      const { open, dir } = home();
      const store = open();
      const problem = "is no name of a credential";
      expect(await problemOf(store.get(name))).toStartWith(problem);
      expect(await problemOf(store.save(credential(name)))).toStartWith(problem);
      expect(await problemOf(store.delete(name))).toStartWith(problem);
      expect(() => store.path(name)).toThrow(problem);
      expect(existsSync(dir)).toBe(false);
    },
  );
});

describe("refused", () => {
  const UNREADABLE = "cannot be decrypted: it is damaged, or was encrypted with another key";

  async function filled() {
    const made = home();
    const store = made.open();
    await store.save(credential("github"));
    return { ...made, store, path: store.path("github") };
  }

  test("another key", async () => {
    const { open, dir, path } = await filled();
    writeFileSync(join(dir, ".moat/encryption.key"), Buffer.alloc(32, 1).toString("base64"));
    expect(await problemOf(open().get("github"))).toBe(`${path} ${UNREADABLE}`);
  });

  test("the right key again: no new start is needed", async () => {
    const { open, dir } = await filled();
    const keyFile = join(dir, ".moat/encryption.key");
    const right = readFileSync(keyFile);
    writeFileSync(keyFile, Buffer.alloc(32, 1).toString("base64"));
    const store = open();
    await problemOf(store.get("github"));
    writeFileSync(keyFile, right);
    expect((await store.get("github"))?.token.reveal()).toBe(TOKEN);
  });

  test("no key any more: none is made, and saving does not make one either", async () => {
    const { open, dir, path } = await filled();
    const keyFile = join(dir, ".moat/encryption.key");
    renameSync(keyFile, `${keyFile}.away`);
    const problem =
      `no encryption key at ${keyFile}, and no keychain can be asked, but ${path} is encrypted with one: ` +
      "restore the key, or revoke what only it opens (moat-proxy revoke NAME)";
    expect(await problemOf(open().get("github"))).toBe(problem);
    expect(await problemOf(open().save(credential("npm")))).toBe(problem);
    expect(existsSync(keyFile)).toBe(false);
    expect(await open().delete("github")).toBe(true);
    await open().save(credential("npm"));
    expect(existsSync(keyFile)).toBe(true);
  });

  test("what is encrypted in a profile keeps a new key from being made, too", async () => {
    const dir = files.path(`home${homes++}`);
    const made = (): MoatHome =>
      new MoatHome({ env: { HOME: dir }, now: () => NOW, keychain: () => undefined });
    await made().store("work").save(credential("github"));
    renameSync(join(dir, ".moat/encryption.key"), join(dir, "away"));
    const problem = await problemOf(made().store().save(credential("npm")));
    expect(problem).toContain("profiles/work/github.enc is encrypted with one");
  });

  test("saving with a key that opens nothing of what is there", async () => {
    const { open, dir, path } = await filled();
    const before = readFileSync(path);
    writeFileSync(join(dir, ".moat/encryption.key"), Buffer.alloc(32, 1).toString("base64"));
    expect(await problemOf(open().save(credential("npm")))).toBe(
      `nothing is stored with a key that opens nothing here: ${path} ${UNREADABLE}`,
    );
    expect(readFileSync(path)).toEqual(before);
    // The credential itself may be put right.
    await open().save(credential("github"));
    expect((await open().get("github"))?.token.reveal()).toBe(TOKEN);
  });

  test("one damaged file among good ones does not keep others from being saved", async () => {
    const { store, path } = await filled();
    await store.save(credential("npm"));
    truncateSync(path, 40);
    await store.save(credential("aws"));
    expect((await store.get("aws"))?.token.reveal()).toBe(TOKEN);
  });

  test("a file that was cut off, a byte that was changed, too much", async () => {
    const { store, path } = await filled();
    const bytes = readFileSync(path);
    truncateSync(path, 20);
    expect(await problemOf(store.get("github"))).toBe(`${path} is too short to be a credential: cut off?`);
    truncateSync(path, 0);
    expect(await problemOf(store.get("github"))).toBe(`${path} is too short to be a credential: cut off?`);
    bytes[20] = (bytes[20] ?? 0) ^ 0x80;
    writeFileSync(path, bytes);
    expect(await problemOf(store.get("github"))).toBe(`${path} ${UNREADABLE}`);
    truncateSync(path, 300 * 1024);
    expect(await problemOf(store.get("github"))).toBe(`${path} is larger than 256 KiB`);
  });

  test("a file under the name of another", async () => {
    const { store, path } = await filled();
    renameSync(path, store.path("npm"));
    expect(await problemOf(store.get("npm"))).toBe(`${store.path("npm")} holds a credential of another name`);
  });

  test("a file, a directory, a key that others can read", async () => {
    const { store, open, dir, path } = await filled();
    chmodSync(path, 0o644);
    expect(await problemOf(store.get("github"))).toBe(
      `${path} is open to other users (mode 0644); run: chmod 600 ${path}`,
    );
    chmodSync(path, 0o600);
    chmodSync(dirname(path), 0o750);
    const open_ = `${dirname(path)} is open to other users (mode 0750); run: chmod 700 ${dirname(path)}`;
    expect(await problemOf(store.get("github"))).toBe(open_);
    expect(await problemOf(store.save(credential("npm")))).toBe(open_);
    expect(await problemOf(store.list())).toBe(open_);
    chmodSync(dirname(path), 0o700);
    const keyFile = join(dir, ".moat/encryption.key");
    chmodSync(keyFile, 0o604);
    expect(await problemOf(open().get("github"))).toBe(
      `${keyFile} is open to other users (mode 0604); run: chmod 600 ${keyFile}`,
    );
  });

  test("one that has expired, from its very millisecond on; it is listed all the same", async () => {
    const { open, dir } = home();
    await open().save(credential("github", { expiresAt: NOW + 1_000 }));
    expect((await open(NOW + 999).get("github"))?.token.reveal()).toBe(TOKEN);
    const path = join(dir, ".moat/credentials/github.enc");
    expect(await problemOf(open(NOW + 1_000).get("github"))).toBe(
      `${path} expired at 2026-01-02T03:04:06Z; run: moat-proxy grant github`,
    );
    const [entry] = await open(NOW + 1_000).list();
    expect([entry?.credential?.expiresAt, entry?.problem]).toEqual([NOW + 1_000, undefined]);
  });
});

describe("listing", () => {
  test("by name, damaged ones with the reason, and no file that is not ours", async () => {
    const { open, dir } = home();
    const store = open();
    for (const name of ["npm", "github", "mcp-linear"]) await store.save(credential(name));
    const directory = join(dir, ".moat/credentials");
    writeFileSync(join(directory, "npm.enc"), "x");
    writeFileSync(join(directory, "README"), "x");
    writeFileSync(join(directory, ".github.enc.0011"), "x");
    writeFileSync(join(directory, ".hidden.enc"), "x");
    writeFileSync(join(directory, "a b.enc"), "x");
    mkdirSync(join(directory, "profiles"));
    expect((await store.list()).map(({ provider, problem }) => [provider, problem])).toEqual([
      ["github", undefined],
      ["mcp-linear", undefined],
      ["npm", `${directory}/npm.enc is too short to be a credential: cut off?`],
    ]);
    expect(store.names()).toEqual(["github", "mcp-linear", "npm"]);
  });

  test("does not show a token when printed", async () => {
    const store = home().open();
    await store.save(credential("github"));
    expect(Bun.inspect([store, await store.list()], { depth: 10 })).not.toContain(TOKEN);
    expect(JSON.stringify(await store.list())).not.toContain(TOKEN);
  });
});

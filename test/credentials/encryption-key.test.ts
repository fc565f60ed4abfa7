// Where the key is looked for, in which order, when one is made, and that none is ever replaced. The keychain is one
// in memory; the file is real.

import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { EncryptionKey } from "../../src/credentials/encryption-key.ts";
import type { Keychain, KeychainAnswer } from "../../src/credentials/keychain.ts";
import { ownDirectory } from "./source-contract.ts";

const files = ownDirectory();
const KEY = Buffer.alloc(32, 7).toString("base64");
const OTHER = Buffer.alloc(32, 8).toString("base64");

class MemoryKeychain implements Keychain {
  answer: KeychainAnswer;
  asked = 0;
  /** What becomes of a value that is stored. */
  readonly onSet: (value: string) => KeychainAnswer | undefined;

  constructor(
    answer: KeychainAnswer,
    onSet: MemoryKeychain["onSet"] = (value) => ({ state: "found", value }),
  ) {
    this.answer = answer;
    this.onSet = onSet;
  }

  async get(): Promise<KeychainAnswer> {
    this.asked++;
    return this.answer;
  }

  async set(value: string): Promise<boolean> {
    const answer = this.onSet(value);
    if (answer !== undefined) this.answer = answer;
    return answer !== undefined;
  }
}

let rigs = 0;

function rig(keychain?: MemoryKeychain, options: { file?: string; sealed?: string } = {}) {
  const directory = files.path(`home${rigs++}`);
  const path = `${directory}/encryption.key`;
  if (options.file !== undefined) {
    mkdirSync(directory);
    writeFileSync(path, options.file, { mode: 0o600 });
  }
  const key = new EncryptionKey({ path, keychain: () => keychain, sealed: () => options.sealed });
  return { key, path, directory };
}

const text = async (key: Promise<{ export(): Buffer }>): Promise<string> =>
  (await key).export().toString("base64");
const found = (value: string): KeychainAnswer => ({ state: "found", value });

describe("looking for it", () => {
  test("in the keychain first, then in the file", async () => {
    expect(await text(rig(new MemoryKeychain(found(KEY)), { file: OTHER }).key.get())).toBe(KEY);
    for (const state of ["absent", "unavailable", "silent"] as const) {
      expect(await text(rig(new MemoryKeychain({ state }), { file: OTHER }).key.get())).toBe(OTHER);
    }
    expect(await text(rig(undefined, { file: KEY }).key.get())).toBe(KEY);
  });

  test("white space around it does not count: editors add a line end", async () => {
    expect(await text(rig(undefined, { file: ` ${KEY}\r\n` }).key.get())).toBe(KEY);
    expect(await text(rig(new MemoryKeychain(found(`${KEY}\n`))).key.get())).toBe(KEY);
  });

  test("once, however many ask; again after a failure, and when it did not fit", async () => {
    const keychain = new MemoryKeychain({ state: "absent" });
    const { key } = rig(keychain);
    expect(await Promise.allSettled([key.get(), key.get()])).toMatchObject([
      { status: "rejected" },
      { status: "rejected" },
    ]);
    expect(keychain.asked).toBe(1);
    keychain.answer = found(KEY);
    expect(await Promise.all([text(key.get()), text(key.get()), text(key.getOrMake())])).toEqual([
      KEY,
      KEY,
      KEY,
    ]);
    expect(keychain.asked).toBe(2);
    keychain.answer = found(OTHER);
    expect(await text(key.get())).toBe(KEY);
    key.forget();
    expect(await text(key.get())).toBe(OTHER);
  });

  test("nowhere: the error says where", async () => {
    const { key, path, directory } = rig();
    await expect(key.get()).rejects.toThrow(
      new Error(`no encryption key at ${path}, and no keychain can be asked`),
    );
    expect(existsSync(directory)).toBe(false);
    const absent = rig(new MemoryKeychain({ state: "absent" }));
    await expect(absent.key.get()).rejects.toThrow(
      new Error(`no encryption key at ${absent.path}, and none in the keychain`),
    );
    const silent = rig(new MemoryKeychain({ state: "silent" }));
    await expect(silent.key.get()).rejects.toThrow(
      new Error(`no encryption key at ${silent.path}, and the keychain did not answer within 15 s`),
    );
  });
});

describe("refused, and not shown", () => {
  const SECRET = "s3cr3t";
  test.each([
    ["nothing", ""],
    ["no base64", `${SECRET}!`],
    ["too short", Buffer.alloc(31, SECRET).toString("base64")],
    ["too long", Buffer.alloc(33, SECRET).toString("base64")],
    ["16 bytes", Buffer.alloc(16, SECRET).toString("base64")],
    ["hex", Buffer.alloc(32, SECRET).toString("hex")],
    ["base64url", Buffer.alloc(32, 0xff).toString("base64url")],
    ["no padding", Buffer.alloc(32, 0xfb).toString("base64").replace("=", "")],
    ["two keys", `${KEY}\n${KEY}`],
    ["raw bytes", Buffer.alloc(32, 0x80).toString("latin1")],
  ])("%s", async (_, content) => {
    const file = rig(undefined, { file: content });
    await expect(file.key.getOrMake()).rejects.toThrow(
      new Error(`${file.path} is no encryption key, expected 32 bytes in base64`),
    );
    expect(readFileSync(file.path, "utf8")).toBe(content);
    const keychain = new MemoryKeychain(found(content));
    await expect(rig(keychain, { file: KEY }).key.getOrMake()).rejects.toThrow(
      new Error(
        "the keychain's item moat, encryption-key, is no encryption key, expected 32 bytes in base64",
      ),
    );
    expect(keychain.answer).toEqual(found(content));
  });

  test("a file that others can read", async () => {
    const { key, path } = rig(undefined, { file: KEY });
    chmodSync(path, 0o640);
    const problem = `${path} is open to other users (mode 0640); run: chmod 600 ${path}`;
    await expect(key.get()).rejects.toThrow(new Error(problem));
    await expect(key.getOrMake()).rejects.toThrow(new Error(problem));
    expect(readFileSync(path, "utf8")).toBe(KEY);
  });

  test("does not show when printed", async () => {
    const { key } = rig(undefined, { file: KEY });
    const shown = Bun.inspect([key, await key.get()], { depth: 10 });
    expect(shown).not.toContain(KEY);
    expect(JSON.stringify(await key.get())).not.toContain(KEY);
  });
});

describe("making one", () => {
  test("goes to the keychain if that works", async () => {
    const keychain = new MemoryKeychain({ state: "absent" });
    const { key, directory } = rig(keychain);
    const made = await text(key.getOrMake());
    expect(Buffer.from(made, "base64").length).toBe(32);
    expect(keychain.answer).toEqual(found(made));
    expect(existsSync(directory)).toBe(false);
  });

  test.each([
    ["without a keychain", undefined],
    ["when it cannot be asked", new MemoryKeychain({ state: "unavailable" }, () => undefined)],
    ["when it does not store", new MemoryKeychain({ state: "absent" }, () => undefined)],
    ["when it loses what it stored", new MemoryKeychain({ state: "absent" }, () => ({ state: "absent" }))],
  ])("goes to the file %s", async (_, keychain) => {
    const { key, path, directory } = rig(keychain);
    const made = await text(key.getOrMake());
    expect(readFileSync(path, "utf8")).toBe(`${made}\n`);
    expect([statSync(path).mode & 0o777, statSync(directory).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(await text(rig(undefined, { file: `${made}\n` }).key.get())).toBe(made);
  });

  test("is different each time", async () => {
    expect(await text(rig().key.getOrMake())).not.toBe(await text(rig().key.getOrMake()));
  });

  test("another process was faster in the keychain: its key counts", async () => {
    const keychain = new MemoryKeychain({ state: "absent" }, () => found(OTHER));
    expect(await text(rig(keychain).key.getOrMake())).toBe(OTHER);
  });

  test("never while something is encrypted: the key is missing, not new", async () => {
    const sealed = "/home/me/.moat/credentials/github.enc";
    const keychain = new MemoryKeychain({ state: "absent" });
    const { key, path, directory } = rig(keychain, { sealed });
    await expect(key.getOrMake()).rejects.toThrow(
      new Error(
        `no encryption key at ${path}, and none in the keychain, but ${sealed} is encrypted with one: ` +
          "restore the key, or revoke what only it opens (moat-proxy revoke NAME)",
      ),
    );
    expect(keychain.answer).toEqual({ state: "absent" });
    expect(existsSync(directory)).toBe(false);
  });

  test("never while the keychain does not answer: it may hold moat's", async () => {
    const { key, path, directory } = rig(new MemoryKeychain({ state: "silent" }));
    await expect(key.getOrMake()).rejects.toThrow(
      new Error(
        `no encryption key at ${path}, and the keychain did not answer within 15 s: ` +
          "unlock it, or set MOAT_PROXY_KEYCHAIN=off",
      ),
    );
    expect(existsSync(directory)).toBe(false);
  });

  test("one that only looks does not fail one that makes", async () => {
    const { key } = rig();
    const looking = key.get();
    const making = text(key.getOrMake());
    await expect(looking).rejects.toThrow("no encryption key");
    expect(Buffer.from(await making, "base64").length).toBe(32);
  });
});

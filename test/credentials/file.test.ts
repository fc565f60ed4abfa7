// The file source on real files: what it reads, what it refuses, and when it notices a change.

import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { FileSource } from "../../src/credentials/file.ts";
import { failureOf, keepsTheSourceContract, ownDirectory } from "./source-contract.ts";

const files = ownDirectory();
/** Long after anything here was written, so that timestamps can be trusted. */
const later = (): number => Date.now() + 3_600_000;

function source(path: string): FileSource {
  return new FileSource(path, later);
}

describe("FileSource", () => {
  keepsTheSourceContract({
    working: (value) => source(files.write("contract", `${value}\n`)),
    failing: (value) => source(files.write("contract-failing", `${value}\n${value}\n`)),
  });

  test.each([
    ["token", "token"],
    ["token\n", "token"],
    ["token\r\n", "token"],
    ["token\n\n", "token"],
    [" token \n", " token "],
    ["\ufefftoken", "token"],
    ["Bearer abc def", "Bearer abc def"],
    ["caf\u00e9", "caf\u00e9"],
    ["x".repeat(64 * 1024), "x".repeat(64 * 1024)],
  ])("%j", (content, value) => {
    const { secret, expiresAt } = source(files.write("content", content)).fetch();
    expect(secret.reveal()).toBe(value);
    expect(expiresAt).toBeUndefined();
  });

  test.each([
    ["empty", "", "is empty"],
    ["only a line end", "\r\n", "is empty"],
    ["two lines", "s3cr3t\ns3cr3t", "holds more than one line"],
    ["a tab", "s3c\tr3t", "holds a control character"],
    ["a NUL", "s3cr3t\0", "holds a control character"],
    ["no text", Uint8Array.of(0x73, 0xff), "is not UTF-8 text"],
    ["UTF-16", Uint8Array.of(0xff, 0xfe, 0x73, 0), "is not UTF-8 text"],
    ["too much", "s".repeat(64 * 1024 + 1), "is larger than 64 KiB"],
  ])("%s is refused", async (name, content, problem) => {
    const path = files.write(`refused ${name}`, content);
    expect(await failureOf(source(path))).toBe(`file ${path} ${problem}`);
  });

  test("no file, a directory, a file in the way", async () => {
    const missing = files.path("missing");
    expect(await failureOf(source(missing))).toBe(`file ${missing} does not exist`);
    const directory = files.path("directory");
    mkdirSync(directory);
    expect(await failureOf(source(directory))).toBe(`file ${directory} is a directory, but must be a file`);
    const below = `${files.write("plain", "token")}/below`;
    expect(await failureOf(source(below))).toStartWith(`file ${below} does not exist`);
    const loop = files.path("loop");
    symlinkSync(loop, loop);
    expect(await failureOf(source(loop))).toContain("too many symbolic links");
  });

  test("a pipe would block, so it is refused and nobody waits", async () => {
    const pipe = files.path("pipe");
    expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
    expect(await failureOf(source(pipe))).toBe(`file ${pipe} is no regular file`);
    expect(await failureOf(source("/dev/zero"))).toBe("file /dev/zero is no regular file");
  });

  test.skipIf(process.getuid?.() === 0)("a file that may not be read", async () => {
    const path = files.write("forbidden", "token");
    chmodSync(path, 0);
    expect(await failureOf(source(path))).toBe(`file ${path} cannot be read: permission denied`);
  });
});

describe("FileSource, changes", () => {
  function settled(name: string): { path: string; source: FileSource } {
    const path = files.write(name, "one");
    const made = source(path);
    expect(made.fetch().secret.reveal()).toBe("one");
    expect(made.changed()).toBe(false);
    return { path, source: made };
  }

  test("nothing has been read yet: that counts as changed", () => {
    expect(source(files.write("unread", "one")).changed()).toBe(true);
  });

  test("written in place", () => {
    const { path, source } = settled("written");
    writeFileSync(path, "three");
    expect(source.changed()).toBe(true);
    expect(source.fetch().secret.reveal()).toBe("three");
    expect(source.changed()).toBe(false);
  });

  test("replaced by a file of the same size and times", () => {
    const { path, source } = settled("replaced");
    utimesSync(path, 1_000, 1_000);
    source.fetch();
    utimesSync(files.write("replacement", "two"), 1_000, 1_000);
    renameSync(files.path("replacement"), path);
    expect(source.changed()).toBe(true);
    expect(source.fetch().secret.reveal()).toBe("two");
  });

  test("a symbolic link that points elsewhere, as Kubernetes does it", () => {
    const link = files.path("link");
    symlinkSync(files.write("data-1", "one"), link);
    const linked = source(link);
    linked.fetch();
    expect(linked.changed()).toBe(false);
    symlinkSync(files.write("data-2", "two"), files.path("link-new"));
    renameSync(files.path("link-new"), link);
    expect(linked.changed()).toBe(true);
    expect(linked.fetch().secret.reveal()).toBe("two");
  });

  test("gone, and back again", async () => {
    const { path, source } = settled("gone");
    rmSync(path);
    expect(source.changed()).toBe(true);
    expect(await failureOf(source)).toBe(`file ${path} does not exist`);
    expect(source.changed()).toBe(true);
    files.write("gone", "back");
    expect(source.fetch().secret.reveal()).toBe("back");
    expect(source.changed()).toBe(false);
  });

  test("a file just written may change again within one tick of its timestamp, so it is read again", () => {
    let now = Date.now();
    const fresh = new FileSource(files.write("fresh", "one"), () => now);
    fresh.fetch();
    expect(fresh.changed()).toBe(true);
    now += 10_000;
    fresh.fetch();
    expect(fresh.changed()).toBe(false);
  });
});

describe("FileSource, warnings", () => {
  test.each([
    [0o600, []],
    [0o400, []],
    [0o640, ["can be read by its group"]],
    [0o644, ["can be read by every user of this machine"]],
    [0o666, ["can be read and written by every user of this machine"]],
    [0o620, ["can be written by its group"]],
  ])("mode %o", (mode, texts) => {
    const path = files.write("mode", "token");
    chmodSync(path, mode);
    const read = source(path);
    expect(read.warnings).toEqual([]);
    read.fetch();
    expect([...read.warnings]).toEqual(
      texts.map((text) => `file ${path} ${text}; chmod 600 keeps it private`),
    );
  });

  test("gone once it is mended", () => {
    const path = files.write("mended", "token");
    chmodSync(path, 0o644);
    const read = source(path);
    read.fetch();
    chmodSync(path, 0o600);
    expect(read.changed()).toBe(true);
    read.fetch();
    expect(read.warnings).toEqual([]);
  });
});

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLogOutput, outputReason } from "../../src/log/log-output.ts";

const dir = mkdtempSync(join(tmpdir(), "moat-log-"));
afterAll(() => rmSync(dir, { recursive: true }));
const bytes = (text: string): Uint8Array => Buffer.from(text);
const message = (task: () => unknown): string => {
  try {
    task();
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
  return "nothing was thrown";
};

test("a file is made, readable by its owner alone", () => {
  const path = join(dir, "new.log");
  const { output, fd } = openLogOutput(path);
  expect(output(bytes("one\n"))).toBe(4);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readFileSync(path, "utf8")).toBe("one\n");
  expect(fd).toBeUndefined();
});

test("a file that is there is appended to, and keeps its mode", () => {
  const path = join(dir, "old.log");
  writeFileSync(path, "before\n");
  chmodSync(path, 0o640);
  openLogOutput(path).output(bytes("after\n"));
  expect(readFileSync(path, "utf8")).toBe("before\nafter\n");
  expect(statSync(path).mode & 0o777).toBe(0o640);
});

test("reopen goes on in the file that has the name then: logrotate", () => {
  const path = join(dir, "turned.log");
  const log = openLogOutput(path);
  log.output(bytes("1\n"));
  renameSync(path, `${path}.1`);
  log.output(bytes("2\n"));
  log.reopen();
  log.output(bytes("3\n"));
  expect(readFileSync(`${path}.1`, "utf8")).toBe("1\n2\n");
  expect(readFileSync(path, "utf8")).toBe("3\n");
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a reopen that fails says why and leaves the old file in use", () => {
  const sub = mkdtempSync(join(dir, "sub-"));
  const path = join(sub, "a.log");
  const log = openLogOutput(path);
  renameSync(sub, `${sub}-away`);
  expect(message(() => log.reopen())).toBe(`log output ${path}: its directory does not exist`);
  log.output(bytes("still\n"));
  expect(readFileSync(join(`${sub}-away`, "a.log"), "utf8")).toBe("still\n");
});

describe("what cannot be opened is told with file and reason", () => {
  test("no such directory", () => {
    const path = join(dir, "none", "a.log");
    expect(message(() => openLogOutput(path))).toBe(`log output ${path}: its directory does not exist`);
  });

  test("a directory", () =>
    expect(message(() => openLogOutput(dir))).toBe(`log output ${dir}: it is a directory`));

  test("a pipe that nobody reads is refused, not waited for", () => {
    const path = join(dir, "pipe");
    expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
    expect(message(() => openLogOutput(path))).toBe(`log output ${path}: nobody reads the pipe`);
  });
});

test.if(process.platform === "linux")("a full device is an error with its code", () => {
  expect(() => openLogOutput("/dev/full").output(bytes("x\n"))).toThrow(
    expect.objectContaining({ code: "ENOSPC" }),
  );
});

test("stdout and stderr have their descriptors and nothing to reopen", () => {
  for (const [where, fd] of [
    ["stdout", 1],
    ["stderr", 2],
  ] as const) {
    const output = openLogOutput(where);
    expect(output.fd).toBe(fd);
    expect(() => output.reopen()).not.toThrow();
  }
});

test("reasons read as words; an unknown code stands for itself", () => {
  expect(outputReason("ENOSPC")).toBe("no space left on the device");
  expect(outputReason("EWHAT")).toBe("EWHAT");
  expect(outputReason("")).toBe("refused by the operating system");
});

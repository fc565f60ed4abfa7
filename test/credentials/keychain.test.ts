// The keychain on Linux, with a program of ours in the place of secret-tool: what it is asked, what its answers mean,
// and that one which never answers is not waited for. Items of the real keychain are never touched.

import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Keychain,
  type KeychainDeps,
  systemKeychain,
  unwrapped,
} from "../../src/credentials/keychain.ts";
import { ownDirectory } from "./source-contract.ts";

const files = ownDirectory();
const BUS = { DBUS_SESSION_BUS_ADDRESS: "unix:path=/nonexistent" };

/** A directory for PATH whose secret-tool is this shell script. */
function tool(name: string, script: string): string {
  const directory = files.path(name);
  mkdirSync(directory);
  const path = join(directory, "secret-tool");
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return directory;
}

function keychain(name: string, script: string, more: Partial<KeychainDeps> = {}): Keychain {
  const env = {
    ...BUS,
    PATH: `${tool(name, script)}:${process.env.PATH}`,
    BUN_OPTIONS: "--smol",
    ...more.env,
  };
  const made = systemKeychain({ platform: "linux", ...more, env });
  if (made === undefined) throw new Error("no keychain");
  return made;
}

describe("what secret-tool answers to a lookup", () => {
  test.each([
    ["the item", "printf a2V5", { state: "found", value: "a2V5" }],
    ["no such item, so it says nothing", "exit 1", { state: "absent" }],
    ["nothing, but success", "exit 0", { state: "absent" }],
    ["no service on the bus", "echo 'The name is not activatable' >&2; exit 1", { state: "unavailable" }],
    ["a bus that is gone", "echo 'Cannot connect' >&2; exit 0", { state: "unavailable" }],
    ["killed from outside", "kill -9 $$", { state: "unavailable" }],
    ["no program that runs", "", { state: "unavailable" }],
    ["much more than a key", "head -c 1000000 /dev/zero >&2; exit 1", { state: "unavailable" }],
  ] as [string, string, object][])("%s", async (name, script, answer) => {
    const found = keychain(`get ${name}`, script);
    if (script === "") writeFileSync(files.path(`get ${name}/secret-tool`), "#!/nonexistent/shell\n");
    expect((await found.get()) as object).toEqual(answer);
  });

  test("none in time: it is ended and not waited for", async () => {
    const pipe = files.path("pipe");
    expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
    const silent = keychain("silent", `exec sleep 600 3>'${pipe}'`, { timeoutMs: 300 });
    // Read to its end when the last process that holds it open is gone.
    const gone = readFile(pipe);
    expect(await silent.get()).toEqual({ state: "silent" });
    expect((await gone).length).toBe(0);
    expect(await keychain("silent set", "exec sleep 600", { timeoutMs: 100 }).set("x")).toBe(false);
  });

  test("it is asked for moat's item, without the switches of the runtime", async () => {
    const log = files.path("asked");
    const asked = keychain("asked-of", `echo "$@" > '${log}'; echo "bun=$BUN_OPTIONS" >> '${log}'; exit 1`);
    await asked.get();
    expect(readFileSync(log, "utf8")).toBe("lookup service moat username encryption-key\nbun=\n");
  });
});

describe("storing", () => {
  test("the value goes over stdin, never over the command line", async () => {
    const log = files.path("stored");
    const storing = keychain("store", `printf '%s\\n' "$@" > '${log}'; cat >> '${log}'`);
    expect(await storing.set("the key")).toBe(true);
    expect(readFileSync(log, "utf8")).toBe(
      "store\n--label=Password for 'encryption-key' on 'moat'\nservice\nmoat\nusername\nencryption-key\nthe key",
    );
  });

  test("a failure is told, also one that does not read", async () => {
    expect(await keychain("store fails", "cat >/dev/null; exit 1").set("x")).toBe(false);
    expect(await keychain("store closes", "exec 0<&-; exit 1").set("x".repeat(1_000_000))).toBe(false);
  });
});

describe("whether there is one", () => {
  const PATH = tool("on path", "exit 1");
  const of = (env: KeychainDeps["env"], platform: NodeJS.Platform = "linux"): boolean =>
    systemKeychain({ env, platform }) !== undefined;

  test("on Linux with a session bus and secret-tool only", () => {
    expect(of({ ...BUS, PATH })).toBe(true);
    expect(of({ PATH })).toBe(false);
    expect(of({ PATH, DBUS_SESSION_BUS_ADDRESS: "" })).toBe(false);
    expect(of({ ...BUS, PATH: "/nonexistent" })).toBe(false);
    expect(of(BUS)).toBe(false);
    expect(of({ PATH, XDG_RUNTIME_DIR: files.path("runtime") })).toBe(false);
    mkdirSync(files.path("runtime"));
    writeFileSync(files.path("runtime/bus"), "");
    expect(of({ PATH, XDG_RUNTIME_DIR: files.path("runtime") })).toBe(true);
  });

  test("on macOS and Windows always", () => {
    expect([of({}, "darwin"), of({}, "win32")]).toEqual([true, true]);
  });

  test("unless it is switched off, and a slip of the pen is not taken for that", () => {
    expect(of({ ...BUS, PATH, MOAT_PROXY_KEYCHAIN: "off" })).toBe(false);
    expect(of({ MOAT_PROXY_KEYCHAIN: "off" }, "darwin")).toBe(false);
    expect(of({ ...BUS, PATH, MOAT_PROXY_KEYCHAIN: "on" })).toBe(true);
    expect(of({ ...BUS, PATH, MOAT_PROXY_KEYCHAIN: "" })).toBe(true);
    expect(() => of({ MOAT_PROXY_KEYCHAIN: "Off" })).toThrow(
      "MOAT_PROXY_KEYCHAIN: expected off, or on, which is the default",
    );
  });
});

describe("items that go-keyring wrote on macOS", () => {
  const KEY = Buffer.alloc(32, 7).toString("base64");
  test.each([
    ["as they are", KEY, KEY],
    ["with a line end", `${KEY}\n`, `${KEY}\n`],
    ["in base64", `go-keyring-base64:${Buffer.from(KEY).toString("base64")}`, KEY],
    ["in base64, with a line end", `go-keyring-base64:${Buffer.from(KEY).toString("base64")}\n`, KEY],
    ["in hex", `go-keyring-encoded:${Buffer.from(KEY).toString("hex")}`, KEY],
    ["of another program", "go-keyring-other:eA==", "go-keyring-other:eA=="],
  ])("%s", (_, stored, value) => expect(unwrapped(stored)).toBe(value));
});

import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Listening,
  notifyReady,
  proxyUrl,
  readyJson,
  removeReadyFile,
  writeReadyFile,
  writeTokenFile,
} from "../../src/cli/ready.ts";
import { Secret } from "../../src/values/secret.ts";

const dir = mkdtempSync(join(tmpdir(), "moat-ready-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const OPEN: Listening = {
  host: "127.0.0.1",
  advertiseHost: undefined,
  port: 43121,
  caCertPath: "/ca/ca.crt",
  version: "1.2.3",
  pid: 42,
  authToken: undefined,
};
const GUARDED: Listening = { ...OPEN, host: "0.0.0.0", authToken: new Secret("a/b:c@d") };

describe("the URL for a client", () => {
  test("without a token", () => expect(proxyUrl(OPEN, true)).toBe("http://127.0.0.1:43121"));
  test("IPv6 in brackets", () => expect(proxyUrl({ ...OPEN, host: "::1" }, true)).toBe("http://[::1]:43121"));
  test("with a token that a URL parser gives back", () => {
    const url = proxyUrl(GUARDED, true);
    expect(url).toBe("http://moat:a%2Fb%3Ac%40d@0.0.0.0:43121");
    expect(decodeURIComponent(new URL(url).password)).toBe("a/b:c@d");
  });
});

describe("ready file", () => {
  test("holds what the contract names, and no token", () => {
    expect(JSON.parse(readyJson(GUARDED))).toEqual({
      url: "http://0.0.0.0:43121",
      host: "0.0.0.0",
      port: 43121,
      pid: 42,
      version: "1.2.3",
      ca_cert: "/ca/ca.crt",
      auth_required: true,
    });
    expect(JSON.parse(readyJson({ ...OPEN, caCertPath: undefined }))).toMatchObject({
      ca_cert: null,
      auth_required: false,
    });
  });

  test("replaces an older one and leaves nothing beside it", () => {
    const sub = mkdtempSync(join(dir, "file-"));
    const path = join(sub, "ready.json");
    writeFileSync(path, "old");
    writeReadyFile(path, "new\n", 42);
    expect(readFileSync(path, "utf8")).toBe("new\n");
    expect(readdirSync(sub)).toEqual(["ready.json"]);
    removeReadyFile(path);
    expect(existsSync(path)).toBe(false);
    removeReadyFile(path);
  });

  test("a place that cannot be written is named in one line", () => {
    const path = join(dir, "missing", "ready.json");
    expect(() => writeReadyFile(path, "x", 42)).toThrow(
      `--ready-file: cannot write ${JSON.stringify(path)} (ENOENT)`,
    );
    expect(() => removeReadyFile(dir)).toThrow(/^--ready-file: cannot write [^\n]+$/);
  });
});

test("the advertised host is the one of the URL, the bound address stays the host", () => {
  const advertised = { ...GUARDED, advertiseHost: "proxy.example" };
  expect(proxyUrl(advertised, false)).toBe("http://proxy.example:43121");
  expect(JSON.parse(readyJson(advertised))).toMatchObject({
    url: "http://proxy.example:43121",
    host: "0.0.0.0",
  });
  expect(proxyUrl({ ...OPEN, advertiseHost: "fd00::1" }, false)).toBe("http://[fd00::1]:43121");
});

describe("token file", () => {
  test("is the owner's alone, whatever stood there", () => {
    const sub = mkdtempSync(join(dir, "token-"));
    const path = join(sub, "token");
    const other = join(sub, "other");
    writeFileSync(other, "untouched", { mode: 0o644 });
    symlinkSync(other, path);
    writeTokenFile(path, new Secret("t0ken"), 42);
    expect(readFileSync(path, "utf8")).toBe("t0ken\n");
    expect(lstatSync(path).mode & 0o7777).toBe(0o600);
    expect(lstatSync(path).isFile()).toBe(true);
    expect(readFileSync(other, "utf8")).toBe("untouched");
    expect(readdirSync(sub).sort()).toEqual(["other", "token"]);
  });

  test("a place that cannot be written is named, the token is not", () => {
    const path = join(dir, "missing", "token");
    expect(() => writeTokenFile(path, new Secret("t0ken"), 42)).toThrow(
      `--token-out: cannot write ${JSON.stringify(path)} (ENOENT)`,
    );
  });
});

describe("NOTIFY_SOCKET", () => {
  test("is told READY=1 through systemd-notify, which sees nothing else of the environment", async () => {
    const program = join(dir, "systemd-notify");
    const seen = join(dir, "seen");
    const fifo = join(dir, "told");
    Bun.spawnSync(["mkfifo", fifo]);
    writeFileSync(program, `#!/bin/sh\nset > ${seen}\necho "$1 $NOTIFY_SOCKET" > ${fifo}\n`);
    chmodSync(program, 0o755);
    process.env.MOAT_TEST_SECRET = "hunter2";
    notifyReady(
      "/run/notify",
      (line) => {
        throw new Error(line);
      },
      program,
    );
    expect(await Bun.file(fifo).text()).toBe("--ready /run/notify\n");
    expect(readFileSync(seen, "utf8")).not.toContain("hunter2");
  });

  test("a failure is reported, not thrown", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    notifyReady("/run/notify", resolve, join(dir, "absent"));
    expect(await promise).toContain("could not send READY=1");
  });
});

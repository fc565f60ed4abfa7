// The credential store against the compiled binary: granted over stdin, listed, used by a proxy, rotated, revoked. The
// value is looked for in everything that is printed, in the command lines of all processes, and in the store's files.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { BINARY, NO_KEYCHAIN, type RunningProxy, run, startProxy } from "../support/binary.ts";
import { get, tlsTunnel } from "../support/client.ts";
import { exchange, type Response, text, value } from "../support/http-message.ts";
import { scratchDir } from "../support/scratch.ts";
import { expectNotPrinted, OTHER_SECRET, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";

setDefaultTimeout(30_000);

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of the binary with this HOME; `input` is what it reads. */
async function command(home: string, args: readonly string[], input = ""): Promise<Ended> {
  const child = Bun.spawn([BINARY, ...args], {
    env: { PATH: process.env.PATH ?? "", HOME: home, ...NO_KEYCHAIN },
    stdin: Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    timeout: 20_000,
  });
  const [stdout, stderr, status] = await Promise.all([
    new Response_(child.stdout).text(),
    new Response_(child.stderr).text(),
    child.exited,
  ]);
  const printed = stdout + stderr;
  for (const secret of [SECRET, OTHER_SECRET]) expect(printed).not.toContain(secret);
  return { status, stdout, stderr };
}

/** The global one; the tests' own Response is an HTTP message. */
const Response_ = globalThis.Response;

async function grant(home: string, name: string, secret: string, ...flags: readonly string[]): Promise<void> {
  const ended = await command(home, ["grant", name, ...flags], `${secret}\n`);
  expect({ status: ended.status, stderr: ended.stderr }).toEqual({ status: 0, stderr: "" });
}

const echo = (request: Parameters<typeof value>[0]): string => ok(value(request, "authorization") ?? "none");

function proxyWith(home: string, host: string, source: object): Promise<RunningProxy> {
  return startProxy({ env: { HOME: home }, config: { credentials: [{ host, source }] } });
}

/** Sends requests until `enough` says so of an answer. */
async function until(
  ask: () => Promise<Response>,
  enough: (answer: Response) => boolean,
  ms = 12_000,
): Promise<Response> {
  const deadline = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (enough(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`not after ${ms} ms: ${answer.rawHead}${text(answer)}`);
  }
}

/** What the record of a refused request says. */
async function reasonOf502(proxy: RunningProxy): Promise<string> {
  const [record] = await proxy.untilRecords(1, ({ http_status }) => http_status === 502);
  return String(record?.error);
}

describe("from grant to revoke", () => {
  test("the upstream gets what was granted, then what was granted next, then nothing", async () => {
    const home = scratchDir("moat-store-");
    await using upstream = startUpstream({ reply: echo });
    await grant(home, "github", SECRET, "--scope", "repo");
    const listed = await command(home, ["grant", "list", "--json"]);
    expect(JSON.parse(listed.stdout)).toMatchObject([{ name: "github", scopes: ["repo"], problem: null }]);

    await using proxy = await proxyWith(home, upstream.authority, { type: "store", provider: "github" });
    const tls = await tlsTunnel(proxy, upstream.authority);
    const ask = (): Promise<Response> => exchange(tls, get("/", upstream.authority));
    expect(text(await ask())).toBe(`Bearer ${SECRET}`);

    await grant(home, "github", OTHER_SECRET);
    await until(ask, (answer) => text(answer) === `Bearer ${OTHER_SECRET}`);

    expect((await command(home, ["revoke", "github"])).status).toBe(0);
    const refused = await until(ask, (answer) => answer.status !== 200);
    expect([refused.status, text(refused)]).toEqual([
      502,
      expect.stringContaining("credential resolution failed"),
    ]);
    expect((await ask()).status).toBe(502);
    expect(await reasonOf502(proxy)).toContain(
      'credential store has no "github"; run: moat-proxy grant github',
    );

    await grant(home, "github", SECRET);
    await until(ask, (answer) => text(answer) === `Bearer ${SECRET}`);
    expectNotPrinted(proxy, [SECRET, OTHER_SECRET]);
    tls.destroy();
  });

  test("a profile and an MCP server's name", async () => {
    const home = scratchDir("moat-store-");
    await using upstream = startUpstream({ reply: echo });
    expect((await command(home, ["grant", "mcp", "linear", "--profile", "work"], SECRET)).status).toBe(0);
    const source = { type: "store", provider: "mcp-linear", profile: "work" };
    await using proxy = await proxyWith(home, upstream.authority, source);
    const tls = await tlsTunnel(proxy, upstream.authority);
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe(`Bearer ${SECRET}`);
    tls.destroy();
  });

  test("one with an end is used until then, and what it replaced does not come back", async () => {
    const home = scratchDir("moat-store-");
    await using upstream = startUpstream({ reply: echo });
    await grant(home, "github", SECRET);
    await using proxy = await proxyWith(home, upstream.authority, { type: "store", provider: "github" });
    const tls = await tlsTunnel(proxy, upstream.authority);
    const ask = (): Promise<Response> => exchange(tls, get("/", upstream.authority));
    expect(text(await ask())).toBe(`Bearer ${SECRET}`);
    await grant(home, "github", OTHER_SECRET, "--expires", "2s");
    expect((await until(ask, (answer) => answer.status !== 200)).status).toBe(502);
    expect(await reasonOf502(proxy)).toContain("github.enc expired at ");
    expect((await ask()).status).toBe(502);
    expectNotPrinted(proxy, [SECRET, OTHER_SECRET]);
    tls.destroy();
  });
});

describe("the value is nowhere to be seen", () => {
  test("not in a file of the home, all of which are private", async () => {
    const home = scratchDir("moat-store-");
    await grant(home, "github", SECRET);
    const found = readdirSync(home, { recursive: true, withFileTypes: true });
    const files = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    expect(files.map((path) => path.slice(home.length + 1)).sort()).toEqual([
      ".moat/credentials/github.enc",
      ".moat/encryption.key",
    ]);
    for (const path of files) expect(readFileSync(path).includes(SECRET)).toBe(false);
  });

  test.skipIf(!existsSync("/proc/self/cmdline"))(
    "not in a command line or environment while grant runs (skipped without /proc)",
    async () => {
      const home = scratchDir("moat-store-");
      const child = Bun.spawn([BINARY, "grant", "github"], {
        env: { PATH: process.env.PATH ?? "", HOME: home, ...NO_KEYCHAIN },
        stdin: "pipe",
        stdout: "ignore",
        stderr: "ignore",
      });
      child.stdin.write(SECRET);
      await child.stdin.flush();
      const shown = (): string[] =>
        ["cmdline", "environ"].map((name) => readFileSync(`/proc/${child.pid}/${name}`, "latin1"));
      // Both are empty until the program has been executed.
      while (shown().includes("")) await new Promise(setImmediate);
      expect(shown()[0]).toContain("grant\0github");
      for (const each of shown()) expect(each).not.toContain(SECRET);
      await child.stdin.end();
      expect(await child.exited).toBe(0);
    },
  );

  test("a value on the command line is refused and not repeated", async () => {
    const home = scratchDir("moat-store-");
    const ended = await command(home, ["grant", "github", SECRET]);
    expect([ended.status, ended.stdout]).toEqual([2, ""]);
    expect(ended.stderr).toContain("a value is never given on the command line");
    expect(readdirSync(home)).toEqual([]);
  });
});

describe("a proxy does not start", () => {
  /** A home with `github` in its store, spoilt. */
  async function spoilt(spoil: (store: string, home: string) => void): Promise<string> {
    const home = scratchDir("moat-store-");
    await grant(home, "github", SECRET);
    spoil(join(home, ".moat/credentials"), home);
    return home;
  }

  const cases: readonly (readonly [string, (store: string, home: string) => void, string])[] = [
    [
      "without the credential",
      (store) => rmSync(`${store}/github.enc`),
      'has no "github"; run: moat-proxy grant github',
    ],
    ["when others can read the file", (store) => chmodSync(`${store}/github.enc`, 0o644), "run: chmod 600 "],
    ["when others can enter the directory", (store) => chmodSync(store, 0o755), "run: chmod 700 "],
    [
      "when others can read the key",
      (_, home) => chmodSync(`${home}/.moat/encryption.key`, 0o640),
      "encryption.key is open to other users (mode 0640); run: chmod 600 ",
    ],
    ["without the key", (_, home) => rmSync(`${home}/.moat/encryption.key`), "no encryption key at "],
    [
      "with another key",
      (_, home) => writeFileSync(`${home}/.moat/encryption.key`, Buffer.alloc(32).toString("base64")),
      "cannot be decrypted: it is damaged, or was encrypted with another key",
    ],
    [
      "with a key that is none",
      (_, home) => writeFileSync(`${home}/.moat/encryption.key`, SECRET),
      "encryption.key is no encryption key, expected 32 bytes in base64",
    ],
  ];
  test.each(cases)("%s", async (_, spoil, problem) => {
    const home = await spoilt(spoil);
    const config = {
      credentials: [{ host: "api.example.com", source: { type: "store", provider: "github" } }],
    };
    await using proxy = run({ env: { HOME: home }, config });
    expect(await proxy.exited).toBe(1);
    expect(proxy.stderr).toContain("credential for api.example.com: credential store ");
    expect(proxy.stderr).toContain(problem);
    expectNotPrinted(proxy, [SECRET]);
  });

  test("and without a store source none of this is looked at", async () => {
    const home = await spoilt((store) => chmodSync(store, 0o777));
    await using proxy = await startProxy({ env: { HOME: home } });
    expect(await proxy.stop()).toBe(0);
  });
});

describe("the keychain on Linux", () => {
  /** A secret-tool of ours on PATH, that keeps its item in a file. */
  function withTool(script: string): { env: Record<string, string>; home: string } {
    const home = scratchDir("moat-store-");
    const bin = mkdtempSync(join(home, "bin-"));
    writeFileSync(join(bin, "secret-tool"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const PATH = `${bin}:${process.env.PATH}`;
    const env = {
      PATH,
      HOME: home,
      DBUS_SESSION_BUS_ADDRESS: "unix:path=/nonexistent",
      MOAT_PROXY_KEYCHAIN: "on",
    };
    return { env, home };
  }

  test.skipIf(process.platform !== "linux")(
    "keeps the key when it works, and no file does (skipped elsewhere)",
    async () => {
      const { env, home } = withTool(
        `case $1 in store) cat > "$HOME/item" ;; lookup) cat "$HOME/item" 2>/dev/null ;; esac`,
      );
      const child = Bun.spawn([BINARY, "grant", "github"], {
        env,
        stdin: Buffer.from(SECRET),
        stderr: "inherit",
      });
      expect(await child.exited).toBe(0);
      expect(existsSync(join(home, ".moat/encryption.key"))).toBe(false);
      expect(Buffer.from(readFileSync(join(home, "item"), "utf8"), "base64").length).toBe(32);
      await using upstream = startUpstream({ reply: echo });
      const source = { type: "store", provider: "github" };
      await using proxy = await startProxy({
        env,
        config: { credentials: [{ host: upstream.authority, source }] },
      });
      const tls = await tlsTunnel(proxy, upstream.authority);
      expect(text(await exchange(tls, get("/", upstream.authority)))).toBe(`Bearer ${SECRET}`);
      tls.destroy();
    },
  );
});

// The process source with real commands: what they get, how they fail, and that nothing of them outlives a timeout.

import { describe, expect, test } from "bun:test";
import { createReadStream } from "node:fs";
import { ProcessSource } from "../../src/credentials/process.ts";
import { failureOf, keepsTheSourceContract, ownDirectory } from "./source-contract.ts";

const files = ownDirectory();
const ENV = { PATH: process.env.PATH };

function source(
  command: string,
  options: { env?: Record<string, string | undefined>; timeoutMs?: number; ttlMs?: number } = {},
): ProcessSource {
  const { env = ENV, timeoutMs, ttlMs = 300_000 } = options;
  return new ProcessSource({ command, ttlMs }, { env, now: Date.now, timeoutMs });
}

async function output(command: string, env?: Record<string, string | undefined>): Promise<string> {
  return (await source(command, env === undefined ? {} : { env }).fetch()).secret.reveal();
}

/** Resolves when the last process that holds the pipe open for writing has ended. */
function pipe(name: string): { path: string; opened: Promise<unknown>; released: Promise<unknown> } {
  const path = files.path(name);
  expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
  const stream = createReadStream(path);
  const opened = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  stream.on("data", () => opened.resolve()).on("end", () => released.resolve());
  stream.on("error", (error) => released.reject(error));
  return { path, opened: opened.promise, released: released.promise };
}

describe("ProcessSource", () => {
  keepsTheSourceContract({
    working: (value) => source(`printf %s ${value}`),
    failing: (value) => source(`echo ${value}; echo "debug: ${value}" >&2; exit 3`),
  });

  test("sh -c: pipes, quotes and variables work", async () => {
    expect(await output("printf 'a b\\n' | tr ab xy")).toBe("x y");
    expect(await output('x=token; printf "%s" "$x"')).toBe("token");
  });

  test("plain text lives for its ttl, JSON until its Expiration", async () => {
    const before = Date.now();
    const plain = await source("echo t", { ttlMs: 60_000 }).fetch();
    expect(plain.expiresAt).toBeGreaterThanOrEqual(before + 60_000);
    expect(plain.expiresAt).toBeLessThanOrEqual(Date.now() + 60_000);
    const json = await source(`echo '{"token":"t","Expiration":"2099-01-01T00:00:00Z"}'`).fetch();
    expect(json.expiresAt).toBe(Date.parse("2099-01-01T00:00:00Z"));
  });

  test("the environment arrives, without what is the proxy's own", async () => {
    const env = {
      ...ENV,
      GREETING: "hello",
      UNSET: undefined,
      BUN_OPTIONS: "--smol",
      BUN_BE_BUN: "1",
      MOAT_PROXY_AUTH_TOKEN: "s3cr3t",
    };
    const names = await output("env | cut -d= -f1 | sort | tr '\\n' ' '", env);
    expect(names).toContain("GREETING");
    expect(names).not.toMatch(/BUN_|MOAT_|UNSET/);
    expect(await output("printf %s $GREETING", env)).toBe("hello");
  });

  test("a command gets no input to wait for", async () => {
    expect(await output("cat; echo done")).toBe("done");
  });

  test.each([
    ["exit 3", "ended with status 3"],
    ["echo 'not signed in' >&2; exit 1", "ended with status 1: not signed in"],
    ["echo token; exit 1", "ended with status 1"],
    ["kill -SEGV $$", "was ended by SIGSEGV"],
    ["true", "printed nothing"],
    ["echo '{\"token\":'", "printed something that begins like JSON, but is none"],
    ["head -c 70000 /dev/zero", "printed more than 64 KiB and was ended"],
  ])("%s: %s", async (command, problem) => {
    expect(await failureOf(source(command))).toEndWith(problem);
  });

  test("a command that does not exist is named by the shell", async () => {
    expect(await failureOf(source("no-such-command-here --flag"))).toMatch(
      /^command "no-such-command-here …" ended with status 127: .*not found/,
    );
  });

  test.each([
    ["op read op://vault/item", 'command "op …"'],
    ["/usr/local/bin/get-token s3cr3t", 'command "/usr/local/bin/get-token …"'],
    ["TOKEN=s3cr3t get", "command"],
    ["$(echo s3cr3t)", "command"],
    ["'s3cr3t' x", "command"],
  ])("%s is described as %s", (command, description) => {
    expect(source(command).describe()).toBe(description);
  });

  test("noise on stderr is no failure, and is not kept", async () => {
    expect(await output("head -c 200000 /dev/zero >&2; echo token")).toBe("token");
  });

  test("a daemon that keeps stderr open does not hold up the secret", async () => {
    const held = pipe("daemon");
    const command = `sleep 600 >/dev/null 3>'${held.path}' & echo $!`;
    const pid = Number(await output(command));
    expect(process.kill(pid, "SIGKILL")).toBe(true);
    await held.released;
  });

  test("a timeout ends the command and all that it started", async () => {
    const held = pipe("timeout");
    const command = `exec 3>'${held.path}'; echo ready >&3; sleep 600 & sleep 600 & trap '' TERM; wait; sleep 600`;
    const failure = failureOf(source(command, { timeoutMs: 300 }));
    await held.opened;
    expect(await failure).toBe(
      "command did not finish within 0.3 s and was ended".replace("command", 'command "exec …"'),
    );
    await held.released;
  });

  test("close ends what runs, and the fetch fails", async () => {
    const held = pipe("close");
    const running = source(`exec 3>'${held.path}'; echo ready >&3; sleep 600`);
    const failure = failureOf(running);
    await held.opened;
    running.close();
    expect(await failure).toContain("was ended because the proxy stops");
    await held.released;
  });
});

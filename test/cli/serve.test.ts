import { afterAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const MAIN = new URL("../../src/main.ts", import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), "moat-serve-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Running {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  /** The first line on stdout, without its line feed; undefined when the process ended without one. */
  readonly line: string | undefined;
  /** Everything on stdout and stderr once the process has ended, and its status. */
  readonly end: Promise<{ status: number; stdout: string; stderr: string }>;
  /** Resolves when stderr has shown this text. */
  shown(text: string): Promise<void>;
}

async function serve(args: readonly string[], env: Record<string, string> = {}): Promise<Running> {
  const home = mkdtempSync(join(dir, "home-"));
  const child = Bun.spawn([process.execPath, MAIN, ...args], {
    env: { PATH: process.env.PATH ?? "", HOME: home, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const out = { stdout: "", stderr: "" };
  let watchers: (() => void)[] = [];
  const collect = async (stream: ReadableStream<Uint8Array>, into: "stdout" | "stderr"): Promise<void> => {
    for await (const chunk of stream) {
      out[into] += Buffer.from(chunk).toString();
      for (const watcher of watchers) watcher();
    }
  };
  const collected = Promise.all([collect(child.stdout, "stdout"), collect(child.stderr, "stderr")]);
  const end = Promise.all([child.exited, collected]).then(([status]) => ({ status, ...out }));
  const until = async (holds: () => boolean): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watcher = (): void => {
      if (holds()) resolve();
    };
    watchers.push(watcher);
    watcher();
    await Promise.race([promise, end]);
    watchers = watchers.filter((other) => other !== watcher);
  };
  await until(() => out.stdout.includes("\n"));
  const line = out.stdout.includes("\n") ? out.stdout.split("\n", 1)[0] : undefined;
  return { child, line, end, shown: (text) => until(() => out.stderr.includes(text)) };
}

test("exactly one line on stdout, a ready file behind it, status 0 on SIGTERM", async () => {
  const readyFile = join(dir, "ready.json");
  writeFileSync(readyFile, "stale");
  const { child, line, end } = await serve(["--ready-file", readyFile], { HTTP_PROXY: "http://127.0.0.1:1" });
  expect(line).toMatch(/^http:\/\/127\.0\.0\.1:[1-9][0-9]*$/);
  const ready = JSON.parse(readFileSync(readyFile, "utf8"));
  expect(ready).toMatchObject({ url: line, host: "127.0.0.1", pid: child.pid, auth_required: false });
  expect(existsSync(ready.ca_cert)).toBe(true);
  child.kill("SIGTERM");
  expect(await end).toMatchObject({ status: 0, stdout: `${line}\n` });
});

test("Decision: a non-loopback bind generates a token, which only stdout shows", async () => {
  const readyFile = join(dir, "ready-open.json");
  const { child, line, end } = await serve([
    "--bind",
    "0.0.0.0",
    "--ready-file",
    readyFile,
    "--log-level",
    "debug",
  ]);
  const [, token = ""] = /^http:\/\/moat:([0-9a-f]{64})@0\.0\.0\.0:[0-9]+$/.exec(line ?? "") ?? [];
  expect(token).not.toBe("");
  expect(readFileSync(readyFile, "utf8")).not.toContain(token);
  child.kill("SIGINT");
  const { status, stderr } = await end;
  expect(status).toBe(0);
  expect(stderr).not.toContain(token);
});

test("--auth-token and an open bind warn on stderr, as records of the chosen format", async () => {
  const warned = await serve(["--auth-token", "t0ken", "--log-format", "json"]);
  warned.child.kill("SIGTERM");
  const { stderr } = await warned.end;
  const lines = stderr
    .trimEnd()
    .split("\n")
    .map((text) => JSON.parse(text));
  expect(lines[0]).toMatchObject({ level: "warn", msg: expect.stringContaining("--auth-token") });
  expect(stderr).not.toContain("t0ken");
  expect(warned.line).toStartWith("http://moat:t0ken@127.0.0.1:");

  const open = await serve(["--bind", "0.0.0.0", "--no-auth", "--no-intercept"]);
  open.child.kill("SIGTERM");
  expect((await open.end).stderr).toMatch(/ WARN {2}--no-auth on 0\.0\.0\.0/);
  expect(open.line).toMatch(/^http:\/\/0\.0\.0\.0:/);
});

test("--token-out gets the token, and nothing else does; --advertise-host is in the URL", async () => {
  const tokenFile = join(dir, "token");
  const readyFile = join(dir, "ready-token.json");
  const { child, line, end } = await serve([
    ...["--token-out", tokenFile, "--ready-file", readyFile, "--no-intercept"],
    ...["--advertise-host", "proxy.example", "--log-level", "debug"],
  ]);
  expect(line).toMatch(/^http:\/\/proxy\.example:[0-9]+$/);
  const token = readFileSync(tokenFile, "utf8");
  expect(token).toMatch(/^[0-9a-f]{64}\n$/);
  expect(statSync(tokenFile).mode & 0o777).toBe(0o600);
  const ready = JSON.parse(readFileSync(readyFile, "utf8"));
  expect(ready).toMatchObject({ url: line, host: "127.0.0.1", auth_required: true });
  const health = (host: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${ready.port}/healthz`, { headers: { host } });
  expect((await health("proxy.example")).status).toBe(200);
  expect((await health("other.example")).status).toBe(421);
  child.kill("SIGTERM");
  const { stdout, stderr } = await end;
  expect(stdout + stderr + JSON.stringify(ready)).not.toContain(token.trim());
});

test("--auth-token-file is read; one that is not there is a start-up failure", async () => {
  const tokenFile = join(dir, "given-token");
  writeFileSync(tokenFile, "t0ken\n");
  const given = await serve(["--auth-token-file", tokenFile, "--no-intercept"]);
  expect(given.line).toStartWith("http://moat:t0ken@127.0.0.1:");
  given.child.kill("SIGTERM");
  expect((await given.end).stderr).not.toContain("t0ken");

  const missing = join(dir, "missing-token");
  const { end } = await serve(["--auth-token-file", missing, "--no-intercept"]);
  expect(await end).toEqual({
    status: 1,
    stdout: "",
    stderr: `--auth-token-file: ${JSON.stringify(missing)} cannot be read: no such file\n`,
  });
});

describe("signals of an operator", () => {
  test("SIGHUP: a bad file changes nothing and is told line by line, a good one is taken", async () => {
    const file = join(dir, "reload.yaml");
    writeFileSync(file, "network: { policy: strict }\n");
    const { child, end, shown } = await serve(["--config", file, "--no-intercept"]);
    writeFileSync(file, "network:\n  policy: loose\n  alow: []\n");
    child.kill("SIGHUP");
    await shown("configuration not reloaded");
    writeFileSync(file, "network: { policy: permissive }\n");
    child.kill("SIGHUP");
    await shown("configuration reloaded");
    child.kill("SIGTERM");
    const { status, stderr } = await end;
    expect(status).toBe(0);
    const lines = stderr.split("\n").filter((text) => / (ERROR|WARN) /.test(text));
    expect(lines.map((text) => text.replace(/^\S+ /, "").replace(dir, ""))).toEqual([
      'ERROR /reload.yaml:2: network.policy: "loose" is not accepted, expected strict or permissive',
      'ERROR /reload.yaml:3: network.alow: unknown key, did you mean "allow"?',
      "ERROR configuration not reloaded: the running one stays in use",
    ]);
  });

  test("SIGUSR1: the log file is opened anew", async () => {
    const log = join(mkdtempSync(join(dir, "log-")), "moat.log");
    const { child, end } = await serve(["--log-output", log, "--no-intercept"]);
    renameSync(log, `${log}.1`);
    const { promise: reopened, resolve } = Promise.withResolvers<void>();
    const watcher = watch(dirname(log), () => {
      if (existsSync(log)) resolve();
    });
    child.kill("SIGUSR1");
    await reopened;
    watcher.close();
    child.kill("SIGTERM");
    expect(await end).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync(`${log}.1`, "utf8")).toContain("listening");
    expect(readFileSync(log, "utf8")).toContain("stopping");
  });
});

test("a start-up failure is one line, status 1, and no line on stdout", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const address = taken.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const { end } = await serve(["--port", String(address.port), "--no-intercept"]);
  const { status, stdout, stderr } = await end;
  taken.close();
  expect([status, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(/^moat-proxy: [^\n]+\n$/);
});

test("a ready file that cannot be written ends the start", async () => {
  const { end } = await serve(["--no-intercept", "--ready-file", join(dir, "absent", "ready.json")]);
  const { status, stdout, stderr } = await end;
  expect([status, stdout]).toEqual([1, ""]);
  expect(stderr.trimEnd().split("\n").at(-1)).toMatch(/^moat-proxy: --ready-file: cannot write /);
});

test("a second signal ends a drain at once", async () => {
  const upstream = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => upstream.once("listening", resolve));
  const address = upstream.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const { child, line, end, shown } = await serve([
    "--no-intercept",
    "--allow-ip",
    "127.0.0.1",
    "--drain-timeout",
    "1h",
  ]);
  const { hostname, port } = new URL(line ?? "");
  const client = connect(Number(port), hostname);
  client.on("error", () => {});
  client.write(`CONNECT 127.0.0.1:${address.port} HTTP/1.1\r\nHost: 127.0.0.1:${address.port}\r\n\r\n`);
  const reply = await new Promise<Buffer>((resolve) => client.once("data", resolve));
  expect(reply.toString()).toStartWith("HTTP/1.1 200 ");
  child.kill("SIGTERM");
  await shown("stopping");
  child.kill("SIGINT");
  expect((await end).status).toBe(130);
  client.destroy();
  upstream.close();
});

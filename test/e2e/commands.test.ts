// The commands beside serve, on the compiled binary: what they write and print, and that `check` says what the
// running proxy does.
import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileCheck } from "../../src/cli/check-plan.ts";
import { type Explanation, explain } from "../../src/cli/check-verdict.ts";
import { loadConfig } from "../../src/config/load.ts";
import { readConfigFile } from "../../src/config/read-file.ts";
import { BINARY, startProxy } from "../support/binary.ts";
import { connectProxy, message, openTunnel, startTls } from "../support/client.ts";
import { exchange, type Response, value } from "../support/http-message.ts";
import { runProgram, works } from "../support/programs.ts";
import { ok, startUpstream } from "../support/upstream.ts";

function scratch(): Disposable & { file(name: string): string } {
  const dir = mkdtempSync(join(tmpdir(), "moat-commands-"));
  return {
    file: (name) => join(dir, name),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}

test("init writes a file that check and serve take", async () => {
  using place = scratch();
  const file = place.file("moat.yaml");
  const init = await runProgram([BINARY, "init", "--for", "github,anthropic,npm", "--out", file]);
  expect([init.code, init.stdout]).toEqual([0, ""]);
  expect((await runProgram([BINARY, "init", "--out", file])).code).toBe(1);
  const check = await runProgram([BINARY, "check", "--config", file]);
  expect([check.code, check.stderr]).toEqual([0, ""]);
  await using proxy = await startProxy({
    config: readFileSync(file, "utf8"),
    env: { GITHUB_TOKEN: "a", ANTHROPIC_API_KEY: "b", NPM_TOKEN: "c" },
  });
  expect(proxy.port).toBeGreaterThan(0);
});

test("ca: none before the first start, then the one that serve uses", async () => {
  await using proxy = await startProxy();
  const none = join(proxy.dir, "no-ca");
  const before = await runProgram([BINARY, "ca", "path", "--ca-dir", none]);
  expect([before.code, before.stdout, existsSync(none)]).toEqual([1, "", false]);
  const where = ["--ca-dir", join(proxy.dir, "ca")];
  expect((await runProgram([BINARY, "ca", "path", ...where])).stdout).toBe(`${proxy.caPath}\n`);
  const pem = (await runProgram([BINARY, "ca", "export", ...where])).stdout;
  expect(pem).toBe(readFileSync(proxy.caPath, "utf8"));
  expect((await runProgram([BINARY, "ca", "show", ...where])).stdout).toContain("CN=Moat CA");
});

test("reload: the next request meets the new policy; a bad file changes nothing", async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok() });
  await using proxy = await startProxy({
    config: { network: { policy: "permissive" } },
    wrapper: ["sh", "-c", 'exec "$0" "$@" --ready-file "$TMPDIR/ready.json"'],
  });
  const ready = join(proxy.dir, "ready.json");
  const config = join(proxy.dir, "moat-proxy.yaml");
  const reload = (): Promise<{ code: number }> => runProgram([BINARY, "reload", "--ready-file", ready]);
  const client = await connectProxy(proxy);
  const ask = (): Promise<Response> =>
    exchange(client, message(`GET http://${upstream.authority}/ HTTP/1.1`, [`Host: ${upstream.authority}`]));
  expect((await ask()).status).toBe(200);

  writeFileSync(config, "network: { policy: strikt }\n");
  expect((await reload()).code).toBe(0);
  await proxy.untilOutput("refusal of the file", () => proxy.stderr.includes("not reloaded"));
  expect((await ask()).status).toBe(200);

  writeFileSync(config, "network: { policy: strict }\n");
  expect((await reload()).code).toBe(0);
  await proxy.untilOutput("reload", () => proxy.stderr.includes("configuration reloaded"));
  expect((await ask()).status).toBe(407);
  client.destroy();
  await proxy.stop();
  expect((await runProgram([BINARY, "reload", "--ready-file", ready])).code).toBe(1);
});

describe("check agrees with the running proxy", () => {
  const yaml = (ports: readonly number[]): object => ({
    network: {
      policy: "strict",
      allow: ports.flatMap((port) => [`localhost:${port}`, `169.254.1.1:${port}`]),
      rules: ports.flatMap((port) => [
        {
          [`127.0.0.1:${port}`]: [
            "deny DELETE /**",
            "allow GET,POST /repos/**",
            "allow GET /a/*/c",
            "deny * /a/**",
          ],
        },
      ]),
    },
  });
  const PATHS = [
    ...[
      "/",
      "/repos",
      "/repos/x",
      "/repos//x",
      "/repos/../a/b",
      "/repos/%2e%2e/x",
      "/a/b/c",
      "/A/b/c",
      "/a/b/c/",
    ],
    ...[
      "/a/%62/c",
      "/a/b%2Fc",
      "/repos/x?y=/a",
      "/a/b/c;v=1",
      "//repos/x",
      "/./repos/x",
      "/repos/%",
      "/REPOS/x",
    ],
  ];
  const SEGMENTS = ["repos", "a", "A", "..", "%2e%2E", "x", ""];
  for (const first of SEGMENTS) for (const second of SEGMENTS) PATHS.push(`/${first}/${second}/c`);
  const METHODS = ["GET", "POST", "DELETE", "HEAD", "TRACE"];

  /** What a client sees, in the words of check; undefined where the request was let through. */
  function refusal(reply: Response): string | undefined {
    const blocked = value(reply, "x-moat-blocked");
    return blocked === undefined && reply.status !== 405 && reply.status !== 400
      ? undefined
      : `${reply.status} ${blocked}`;
  }
  function expected({ verdict, status, blocked }: Explanation): string | undefined {
    return verdict === "allowed" ? undefined : `${status} ${blocked}`;
  }

  for (const scheme of ["http", "https"] as const) {
    test(`on every method, path and host over ${scheme}`, async () => {
      await using upstream = startUpstream({
        ...(scheme === "http" ? { tls: false } : {}),
        reply: () => ok(),
      });
      const { port } = upstream;
      const text = JSON.stringify(yaml([port]));
      await using proxy = await startProxy({ config: text });
      const readFile = (): string => text;
      const flags = { allowIps: ["127.0.0.0/8", "::1/128"] };
      const config = loadConfig({ file: "moat.yaml", flags, env: {}, readFile });
      const plan = compileCheck(config, readConfigFile("moat.yaml", readFile, {}), () => []);
      const hosts = [`127.0.0.1:${port}`, `localhost:${port}`, `169.254.1.1:${port}`, `evil.test:${port}`];
      const seen: (readonly [string, string | undefined])[] = [];
      const said: (readonly [string, string | undefined])[] = [];
      for (const host of hosts) {
        const inside = scheme === "https" ? await openTunnel(proxy, host) : undefined;
        const refused =
          inside !== undefined && inside.reply.status !== 200 ? refusal(inside.reply) : undefined;
        const open =
          inside === undefined
            ? await connectProxy(proxy)
            : refused === undefined
              ? await startTls(inside.stream, host, readFileSync(proxy.caPath, "utf8"))
              : undefined;
        for (const method of METHODS) {
          for (const path of PATHS) {
            const url = `${scheme}://${host}${path}`;
            const name = `${method} ${url}`;
            said.push([name, expected(explain(plan, { method, url, headers: [], address: undefined }))]);
            // A tunnel that is refused refuses TRACE as well, before it is seen.
            if (open === undefined) {
              if (method === "TRACE") said.pop();
              else seen.push([name, refused]);
              continue;
            }
            const target = scheme === "http" ? url : path;
            const bytes = message(`${method} ${target} HTTP/1.1`, [`Host: ${host}`]);
            seen.push([name, refusal(await exchange(open, bytes, method))]);
          }
        }
        open?.destroy();
        inside?.stream.destroy();
      }
      expect(seen).toEqual(said);
      expect(seen.length).toBeGreaterThan(1_000);
      const passed = seen.filter(([, refused]) => refused === undefined).length;
      expect(passed).toBeGreaterThan(200);
      expect(seen.length - passed).toBeGreaterThan(200);
    });
  }
});

test("completion: bash takes the script of the binary", async () => {
  if (!works(["bash", "--version"])) return;
  const program = `source <("$0" completion bash); complete -p moat-proxy; COMP_WORDS=(moat-proxy ca sh); COMP_CWORD=2
    _moat_proxy; echo "\${COMPREPLY[@]}"`;
  const { code, stdout, stderr } = await runProgram(["bash", "--norc", "-c", program, BINARY]);
  expect([code, stdout, stderr]).toEqual([0, "complete -F _moat_proxy moat-proxy\nshow\n", ""]);
});

test("version --json names the runtime that is inside", async () => {
  const { code, stdout } = await runProgram([BINARY, "version", "--json"]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    bun: Bun.version,
    platform: process.platform,
    arch: process.arch,
  });
});

describe.skipIf(!works(["python3", "--version"]))("on a terminal of 80 columns", () => {
  const PTY = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
  const onTerminal = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    runProgram(["python3", "-c", PTY, BINARY, ...args], { TERM: "xterm-256color", ...env });

  for (const args of [["check"], ["check", "https://api.github.com/user"], ["--help"], ["check", "--help"]]) {
    test(`${args.join(" ")}: coloured, and plain where NO_COLOR is set`, async () => {
      const coloured = await onTerminal(args);
      expect(coloured.code).toBe(0);
      expect(coloured.stdout).toContain("\u001b[");
      const plain = await onTerminal(args, { NO_COLOR: "1" });
      expect(plain.stdout).not.toContain("\u001b");
      const lines = Bun.stripANSI(coloured.stdout).split("\r\n");
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
      expect(lines.map((line) => line.trimEnd())).toEqual(plain.stdout.split("\r\n"));
    });
  }
});

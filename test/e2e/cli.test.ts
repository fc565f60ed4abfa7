// The command line (wire.md section 1): the ready line, flags and their errors, exit codes, hostile surroundings.
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY, startProxy } from "../support/binary.ts";
import { within } from "../support/byte-stream.ts";
import { connect, connectProxy, get, tlsTunnel } from "../support/client.ts";
import { exchange, text, value } from "../support/http-message.ts";
import { runProgram, works } from "../support/programs.ts";
import { credential, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";

describe("ready", () => {
  test("exactly one line on stdout, the proxy URL; everything else goes to stderr", async () => {
    await using proxy = await startProxy();
    expect(proxy.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const client = await connectProxy(proxy);
    await exchange(client, get("/healthz", "localhost"));
    await exchange(client, get("/nothing", "localhost"));
    client.destroy();
    expect(await proxy.stop()).toBe(0);
    expect(proxy.stdout).toBe(`${proxy.url}\n`);
  });

  test("`serve` is the default command", async () => {
    await using proxy = await startProxy({ wrapper: ["sh", "-c", 'exec "$0" serve "$@"'] });
    expect(proxy.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  });

  test('--ready-file holds JSON {"url","host","port","pid","version","ca_cert","auth_required"} (no token), once listening', async () => {
    const file = (dir: string): string => join(dir, "ready.json");
    await using proxy = await startProxy({
      wrapper: ["sh", "-c", 'exec "$0" "$@" --ready-file "$TMPDIR/ready.json"'],
      args: ["--bind", "0.0.0.0"],
    });
    expect(existsSync(file(proxy.dir))).toBe(true);
    const raw = readFileSync(file(proxy.dir), "utf8");
    const ready = JSON.parse(raw) as Record<string, unknown>;
    expect(Object.keys(ready).sort()).toEqual([
      "auth_required",
      "ca_cert",
      "host",
      "pid",
      "port",
      "url",
      "version",
    ]);
    expect(ready).toMatchObject({ port: proxy.port, pid: proxy.pid, auth_required: true });
    expect(ready.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(proxy.token).toBeString();
    expect(raw).not.toContain(proxy.token ?? "?");
    expect(String(ready.ca_cert)).toContain(proxy.caPath);
  });

  const python = works(["python3", "--version"]);
  test.skipIf(!python)("`NOTIFY_SOCKET` gets `READY=1`", async () => {
    const dir = mkdtempSync(join(tmpdir(), "moat-notify-"));
    const path = join(dir, "notify.sock");
    const receive = [
      "import socket, sys",
      "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)",
      "s.bind(sys.argv[1]); s.settimeout(15)",
      "print('bound', flush=True); print(s.recv(4096).decode(), flush=True)",
    ].join("\n");
    const listener = Bun.spawn(["python3", "-c", receive, path], { stdout: "pipe", stderr: "ignore" });
    try {
      const reader = listener.stdout.getReader();
      await within(reader.read(), "the notify socket");
      await using proxy = await startProxy({ env: { NOTIFY_SOCKET: path } });
      expect(proxy.port).toBeGreaterThan(0);
      let got = "";
      while (!got.includes("READY=1")) {
        const { value: bytes, done } = await within(reader.read(), "READY=1");
        if (done) break;
        got += new TextDecoder().decode(bytes);
      }
      expect(got).toContain("READY=1");
    } finally {
      listener.kill("SIGKILL");
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

describe("Decision: a non-loopback bind with no token generates one (32 random bytes, 64 hex)", () => {
  test("`moat-proxy --port 0 --bind 0.0.0.0` is safe, and the URL on stdout is the only place the token appears", async () => {
    await using proxy = await startProxy({ args: ["--bind", "0.0.0.0"] });
    expect(proxy.url).toMatch(/^http:\/\/moat:[0-9a-f]{64}@0\.0\.0\.0:\d+$/);
    const token = proxy.token ?? "";
    const client = await connectProxy(proxy);
    expect((await exchange(client, get("http://no-such-host.invalid/", "no-such-host.invalid"))).status).toBe(
      407,
    );
    const basic = Buffer.from(`moat:${token}`).toString("base64");
    for (const scheme of [`Basic ${basic}`, `Bearer ${token}`]) {
      const raw = get("http://no-such-host.invalid/", "no-such-host.invalid", [
        `Proxy-Authorization: ${scheme}`,
      ]);
      expect((await exchange(client, raw)).status).toBe(502);
    }
    client.destroy();
    await proxy.stop();
    expect(proxy.stderr).not.toContain(token);
    expect(proxy.stdout).toBe(`${proxy.url}\n`);
  });

  test("two starts make two tokens", async () => {
    await using first = await startProxy({ args: ["--bind", "0.0.0.0"] });
    await using second = await startProxy({ args: ["--bind", "0.0.0.0"] });
    expect(first.token).not.toBe(second.token);
  });

  test("a token of one's own is used instead", async () => {
    await using proxy = await startProxy({
      args: ["--bind", "0.0.0.0"],
      env: { MOAT_PROXY_AUTH_TOKEN: "mine" },
    });
    expect(proxy.url).toBe(`http://moat:mine@0.0.0.0:${proxy.port}`);
  });

  test("--no-auth serves without, and warns", async () => {
    await using proxy = await startProxy({ args: ["--bind", "0.0.0.0", "--no-auth"] });
    expect(proxy.token).toBeUndefined();
    expect(await proxy.untilWarning()).toContain("--no-auth");
    const client = await connectProxy(proxy);
    expect((await exchange(client, get("http://no-such-host.invalid/", "no-such-host.invalid"))).status).toBe(
      502,
    );
    client.destroy();
  });

  test("a loopback bind needs none", async () => {
    await using proxy = await startProxy();
    expect(proxy.token).toBeUndefined();
  });
});

describe("--auth-token", () => {
  test('"on the command line warns that other users can see it", without repeating it', async () => {
    await using proxy = await startProxy({ args: ["--auth-token", "visible-token-1"] });
    expect(proxy.url).toBe(`http://moat:visible-token-1@127.0.0.1:${proxy.port}`);
    expect(await proxy.untilWarning()).toContain("--auth-token");
    expect(proxy.stderr).not.toContain("visible-token-1");
  });

  test("MOAT_PROXY_AUTH_TOKEN does the same without the warning", async () => {
    await using proxy = await startProxy({ env: { MOAT_PROXY_AUTH_TOKEN: "env-token" } });
    expect(proxy.token).toBe("env-token");
    const client = await connectProxy(proxy);
    expect((await exchange(client, get("http://x.invalid/", "x.invalid"))).status).toBe(407);
    client.destroy();
    await proxy.stop();
    expect(
      proxy
        .logLines()
        .map((line) => String(line.msg))
        .join(),
    ).not.toContain("--auth-token");
  });
});

test("`--version`, `--help` on every command", async () => {
  const env = { HOME: "/nonexistent" };
  for (const command of [[], ["serve"], ["demo"]]) {
    const help = await runProgram([BINARY, ...command, "--help"], env);
    expect(help.code).toBe(0);
    expect(help.stdout + help.stderr).toContain("moat-proxy");
    const version = await runProgram([BINARY, ...command, "--version"], env);
    expect(version.code).toBe(0);
    expect(version.stdout).toMatch(/^(moat-proxy )?v?\d+\.\d+\.\d+/);
  }
  const help = await runProgram([BINARY, "serve", "--help"], env);
  for (const flag of "port bind auth-token no-auth ca-dir no-intercept policy allow grant allow-ip upstream-ca ready-file drain-timeout config log-level log-format".split(
    " ",
  )) {
    expect(help.stdout + help.stderr).toMatch(new RegExp(`--${flag.replace(/^no-/, "(no-)?")}\\b`));
  }
});

test('"Flags override the config file"', async () => {
  await using proxy = await startProxy({
    config: {
      proxy: { host: "0.0.0.0", auth_token: "from-file" },
      network: { policy: "strict" },
      log: { format: "text" },
    },
    args: ["--bind", "127.0.0.1", "--policy", "permissive"],
    env: { MOAT_PROXY_AUTH_TOKEN: "from-env" },
  });
  expect(proxy.url).toBe(`http://moat:from-env@127.0.0.1:${proxy.port}`);
  const client = await connectProxy(proxy);
  const raw = get("http://no-such-host.invalid/", "no-such-host.invalid", [
    "Proxy-Authorization: Bearer from-env",
  ]);
  expect((await exchange(client, raw)).status).toBe(502);
  expect(await proxy.untilRecords(1)).toHaveLength(1);
  client.destroy();
});

test("MOAT_PROXY_CONFIG names the config file", async () => {
  await using upstream = startUpstream({ reply: () => ok() });
  await using proxy = await startProxy({
    wrapper: [
      "sh",
      "-c",
      'printf "%s" "$YAML" > "$TMPDIR/env.yaml"; MOAT_PROXY_CONFIG="$TMPDIR/env.yaml" exec "$0" "$@"',
    ],
    env: { YAML: JSON.stringify({ credentials: [credential(upstream.authority)] }) },
  });
  const tls = await tlsTunnel(proxy, upstream.authority);
  await exchange(tls, get("/", upstream.authority));
  expect(upstream.text).toContain(`Bearer ${SECRET}`);
  tls.destroy();
});

test("--ca-dir defaults to ~/.moat/proxy/ca", async () => {
  await using proxy = await startProxy({ standardArgs: false, args: ["--port", "0"] });
  const home = new Bun.Glob("home-*/.moat/proxy/ca/ca.crt").scanSync({ cwd: proxy.dir, dot: true });
  expect([...home]).toHaveLength(1);
});

test('"The proxy ignores HTTP_PROXY and friends in its own environment"', async () => {
  await using trap = startUpstream({ tls: false, reply: () => ok("trapped") });
  await using upstream = startUpstream({ reply: () => ok("direct") });
  await using plain = startUpstream({ tls: false, reply: () => ok("direct") });
  const env: Record<string, string> = {};
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]) {
    env[name] = `http://127.0.0.1:${trap.port}`;
  }
  await using proxy = await startProxy({ env });
  const tls = await tlsTunnel(proxy, upstream.authority);
  expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("direct");
  const client = await connectProxy(proxy);
  expect(text(await exchange(client, get(`http://${plain.authority}/`, plain.authority)))).toBe("direct");
  expect(trap.connections).toHaveLength(0);
  tls.destroy();
  client.destroy();
});

describe("a hostile working directory", () => {
  test("its .env, bunfig.toml, package.json and tsconfig.json have no effect: no code of it runs", async () => {
    await using donor = await startProxy();
    const cwd = join(donor.dir, "hostile");
    mkdirSync(cwd);
    const proof = join(cwd, "proof");
    writeFileSync(
      join(cwd, "evil.ts"),
      `require("node:fs").writeFileSync(${JSON.stringify(proof)}, "ran");\n`,
    );
    writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./evil.ts"]\n[run]\nbun = true\n');
    const secrets = [
      "MOAT_PROXY_AUTH_TOKEN=evil",
      "NODE_TLS_REJECT_UNAUTHORIZED=0",
      "HTTPS_PROXY=http://127.0.0.1:9",
      "MOAT_PROXY_CONFIG=./evil.yaml",
    ];
    for (const name of [".env", ".env.local", ".env.production", ".env.development"])
      writeFileSync(join(cwd, name), secrets.join("\n"));
    writeFileSync(join(cwd, "evil.yaml"), "network: {policy: strict}\n");
    writeFileSync(join(cwd, "package.json"), '{"name":"evil","scripts":{"preinstall":"touch proof"}}');
    writeFileSync(join(cwd, "tsconfig.json"), '{"compilerOptions":{"paths":{"*":["./evil.ts"]}}}');
    writeFileSync(join(cwd, "moat.yaml"), "network: {policy: strict}\n");
    await using upstream = startUpstream({ reply: () => ok("safe") });
    await using proxy = await startProxy({ cwd });
    expect(proxy.token).toBeUndefined();
    const tls = await tlsTunnel(proxy, upstream.authority);
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("safe");
    expect(existsSync(proof)).toBe(false);
    tls.destroy();
  });
});

test("the config file's interception switch: tls.intercept false is --no-intercept", async () => {
  await using upstream = startUpstream({ tls: false });
  await using proxy = await startProxy({ config: { tls: { intercept: false } } });
  const client = await connect(proxy.host, proxy.port);
  await client.write(`CONNECT ${upstream.authority} HTTP/1.1\r\nHost: ${upstream.authority}\r\n\r\n`);
  await client.readUntil("\r\n\r\n");
  const server = await upstream.next();
  await client.write("opaque");
  await server.readUntil("opaque");
  expect(existsSync(proxy.caPath)).toBe(false);
  client.destroy();
});

test("files that the proxy writes are the operator's alone", async () => {
  await using proxy = await startProxy();
  expect(statSync(join(proxy.dir, "ca")).mode & 0o777).toBe(0o700);
  expect(statSync(proxy.caPath.replace(/crt$/, "key")).mode & 0o777).toBe(0o600);
  const client = await connectProxy(proxy);
  const answer = await exchange(client, get("/healthz", "localhost"));
  expect(value(answer, "server")).toBeUndefined();
  client.destroy();
});

// The whole proxy from a Config, in this process: a request end to end, the drain of stop(), start-up errors as one
// line each, and a process that ends by itself when the proxy has stopped.
import { afterAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startApp } from "../src/app.ts";
import { Secret } from "../src/values/secret.ts";
import { type ByteStream, within } from "./support/byte-stream.ts";
import { connect, connectHead, connectProxy, get, openTunnel, tlsTunnel } from "./support/client.ts";
import { exchange, readResponse, text, value, values } from "./support/http-message.ts";
import {
  type ConfigChanges,
  configIn,
  ownDirectory,
  printed,
  startTestApp,
  staticCredential,
} from "./support/net-app.ts";
import { pki } from "./support/pki.ts";
import { runProgram } from "./support/programs.ts";
import { NO_ERRNO, PLACEHOLDER, SECRET } from "./support/secrets.ts";
import { ok, startUpstream } from "./support/upstream.ts";

const TOKEN = "token-8d7c6b5a4f3e2d1c";

describe("a running proxy", () => {
  test("puts the credential into an HTTPS request, and nobody else sees it", async () => {
    await using upstream = startUpstream({ reply: () => ok("hello", ["X-From: upstream"]) });
    await using proxy = await startTestApp({ credentials: [staticCredential(upstream.authority)] });
    const tunnel = await tlsTunnel(proxy, upstream.authority);
    for (let round = 1; round <= 2; round++) {
      const answer = await exchange(
        tunnel,
        get(`/v1/things?q=${round}`, upstream.authority, [
          `Authorization: Bearer ${PLACEHOLDER}`,
          "X-Own: kept",
        ]),
      );
      expect([answer.status, text(answer), value(answer, "x-from")]).toEqual([200, "hello", "upstream"]);
    }
    expect(upstream.requests.map(({ target }) => target)).toEqual(["/v1/things?q=1", "/v1/things?q=2"]);
    for (const request of upstream.requests) {
      expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
      expect(value(request, "x-own")).toBe("kept");
    }
    expect(upstream.text).not.toContain(PLACEHOLDER);
    // The second request took the connection of the first.
    expect(upstream.connections).toHaveLength(1);
    expect(tunnel.text).not.toContain(SECRET);
    const records = proxy.printed.records();
    expect(records).toHaveLength(2);
    expect(records[0]).toMatchObject({
      http_method: "GET",
      http_path: "/v1/things",
      http_status: 200,
      proxy_type: "connect",
      credential_injected: true,
      client_ip: "127.0.0.1",
    });
    expect(proxy.printed.text()).not.toContain(SECRET);
    tunnel.destroy();
  });

  test("takes a credential from the environment", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    process.env.MOAT_TEST_APP_CREDENTIAL = SECRET;
    const source = { type: "env", variable: "MOAT_TEST_APP_CREDENTIAL" } as const;
    try {
      await using proxy = await startTestApp({
        credentials: [staticCredential("127.0.0.1", { header: "X-Api-Key", source })],
      });
      const client = await connectProxy(proxy);
      await exchange(client, get(`http://127.0.0.1:${upstream.port}/`, "127.0.0.1"));
      expect(values(upstream.requests[0] as NonNullable<(typeof upstream.requests)[0]>, "x-api-key")).toEqual(
        [SECRET],
      );
      client.destroy();
    } finally {
      delete process.env.MOAT_TEST_APP_CREDENTIAL;
    }
  });

  test("asks for its token, and says what it serves", async () => {
    await using proxy = await startTestApp({ proxy: { authToken: new Secret(TOKEN) } });
    expect(proxy.app.host).toBe("127.0.0.1");
    expect(proxy.port).toBeGreaterThan(0);
    expect(proxy.caPem).toStartWith("-----BEGIN CERTIFICATE-----");
    const client = await connectProxy(proxy);
    expect((await exchange(client, get("/healthz", "localhost"))).status).toBe(200);
    expect(text(await exchange(client, get("/ca.crt", "localhost")))).toBe(proxy.caPem);
    const head = connectHead("127.0.0.1:9");
    expect((await exchange(client, head)).status).toBe(407);
    const bearer = connectHead("127.0.0.1:bad", [`Proxy-Authorization: Bearer ${TOKEN}`]);
    expect((await exchange(client, bearer)).status).toBe(400);
    expect(proxy.printed.text()).not.toContain(TOKEN);
    client.destroy();
  });

  test("without interception makes no CA, and tunnels bytes", async () => {
    await using upstream = startUpstream({ tls: false });
    await using proxy = await startTestApp({ tls: { intercept: false } });
    expect(proxy.app.caCertPath).toBeUndefined();
    const { stream, reply } = await openTunnel(proxy, upstream.authority);
    expect(reply.status).toBe(200);
    await stream.write("anything");
    expect((await (await upstream.next()).readBytes(8)).toString()).toBe("anything");
    stream.destroy();
  });

  test("keeps its CA from one start to the next", async () => {
    using dir = ownDirectory();
    const paths: (string | undefined)[] = [];
    const made: string[] = [];
    for (let start = 0; start < 2; start++) {
      const lines = printed();
      const app = await startApp(configIn(dir.path), { log: lines.log, version: "0.0.0-test" });
      paths.push(app.caCertPath);
      made.push(lines.text());
      await app.stop(0);
    }
    expect(paths).toEqual([join(dir.path, "ca", "ca.crt"), join(dir.path, "ca", "ca.crt")]);
    expect(made.map((lines) => lines.includes("made a new CA"))).toEqual([true, false]);
  });

  test("refuses an upstream whose certificate it cannot verify: 502, and the upstream heard nothing", async () => {
    await using upstream = startUpstream({ tls: pki().otherCa, reply: () => ok("never") });
    await using proxy = await startTestApp({ credentials: [staticCredential(upstream.authority)] });
    const tunnel = await tlsTunnel(proxy, upstream.authority);
    const answer = await exchange(tunnel, get("/", upstream.authority));
    expect(answer.status).toBe(502);
    expect(text(answer)).not.toMatch(NO_ERRNO);
    expect(upstream.text).toBe("");
    tunnel.destroy();
  });

  test("closes a connection that keeps it waiting for a head, by its sweep", async () => {
    await using proxy = await startTestApp({ limits: { headMs: 1 } });
    const client = await connectProxy(proxy);
    await client.write("GET /");
    const answer = await readResponse(client);
    expect(answer.status).toBe(408);
    await client.readToEnd();
    client.destroy();
  });
});

/** A request whose answer the test gives. */
async function inFlight(
  proxy: Awaited<ReturnType<typeof startTestApp>>,
  authority: string,
): Promise<ByteStream> {
  const tunnel = await tlsTunnel(proxy, authority);
  await tunnel.write(get("/slow", authority));
  return tunnel;
}

describe("stop()", () => {
  test("lets a running request finish, and accepts no more", async () => {
    await using upstream = startUpstream();
    await using proxy = await startTestApp();
    const tunnel = await inFlight(proxy, upstream.authority);
    const stream = await upstream.next();
    await stream.readUntil("\r\n\r\n");
    let stopped = false;
    const stop = proxy.app.stop(3_000).then(() => {
      stopped = true;
    });
    await expect(connect(proxy.host, proxy.port)).rejects.toThrow();
    expect(stopped).toBe(false);
    void stream.write(ok("the whole answer"));
    const answer = await readResponse(tunnel);
    expect([answer.complete, text(answer)]).toEqual([true, "the whole answer"]);
    tunnel.end();
    await within(stop, "end of stop()", 2_000);
    await tunnel.whenEnded();
    await stream.whenEnded();
  });

  test("ends what is idle at once, pooled upstreams too", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startTestApp();
    const used = await tlsTunnel(proxy, upstream.authority);
    await exchange(used, get("/", upstream.authority));
    const silent = await connectProxy(proxy);
    const unused = await tlsTunnel(proxy, upstream.authority);
    await within(proxy.app.stop(60_000), "end of stop()", 2_000);
    for (const client of [used, silent, unused]) await client.whenEnded();
    await upstream.connections[0]?.whenClosed();
  });

  test("cuts what is still running when the time is over", async () => {
    await using upstream = startUpstream();
    await using proxy = await startTestApp();
    const tunnel = await inFlight(proxy, upstream.authority);
    const stream = await upstream.next();
    await stream.readUntil("\r\n\r\n");
    await stream.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    await tunnel.readUntil("half");
    const begin = performance.now();
    await proxy.app.stop(100);
    expect(performance.now() - begin).toBeGreaterThanOrEqual(95);
    expect(performance.now() - begin).toBeLessThan(1_000);
    await tunnel.whenClosed();
    await stream.whenClosed();
    // The record of the request that was cut.
    expect(proxy.printed.records()).toHaveLength(1);
  });

  test("ends an opaque tunnel and a dial under way", async () => {
    await using upstream = startUpstream({ tls: false });
    await using proxy = await startTestApp({ tls: { intercept: false } });
    const { stream } = await openTunnel(proxy, upstream.authority);
    const inner = await upstream.next();
    await within(proxy.app.stop(0), "end of stop()");
    await stream.whenClosed();
    await inner.whenClosed();
  });

  test("twice, at once and later, is the same", async () => {
    await using proxy = await startTestApp();
    await Promise.all([proxy.app.stop(1_000), proxy.app.stop(0)]);
    await proxy.app.stop(0);
  });
});

/** The message of a start that must fail. */
async function startFailure(changes: ConfigChanges): Promise<string> {
  using dir = ownDirectory();
  const lines = printed();
  const deps = { log: lines.log, version: "0.0.0-test" };
  const outcome: unknown = await startApp(configIn(dir.path, changes), deps).then(
    (app) => app.stop(0).then(() => "it started"),
    (error) => error,
  );
  expect(outcome).toBeInstanceOf(Error);
  expect(lines.text()).not.toContain(SECRET);
  return (outcome as Error).message;
}

describe("a start that fails is one line for the operator, with what, where, and no secret", () => {
  const files = ownDirectory();
  afterAll(() => files[Symbol.dispose]());
  const damaged = join(files.path, "damaged.pem");
  writeFileSync(damaged, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");

  const env = (variable: string) =>
    staticCredential("api.example.test", { source: { type: "env", variable } });
  const cases: readonly (readonly [string, ConfigChanges, readonly (string | RegExp)[]])[] = [
    [
      "a credential whose variable is not set",
      { credentials: [staticCredential("other.example.test"), env("MOAT_TEST_APP_MISSING")] },
      ["api.example.test", "MOAT_TEST_APP_MISSING"],
    ],
    [
      "a credential for a pattern that can match nothing",
      { credentials: [staticCredential("https://api.example.test/")] },
      ["https://api.example.test/"],
    ],
    [
      "a credential in a field that cannot carry one",
      { credentials: [staticCredential("api.example.test", { header: "Host" })] },
      ["api.example.test", "Host"],
    ],
    [
      "an upstream CA that is missing",
      { tls: { upstreamCa: "/nowhere/ca.pem" } },
      ["/nowhere/ca.pem", "ENOENT"],
    ],
    ["an upstream CA that is damaged", { tls: { upstreamCa: damaged } }, [damaged]],
    [
      "a CA that is missing",
      { tls: { caCert: "/nowhere/ca.crt", caKey: "/nowhere/ca.key" } },
      ["/nowhere/ca.crt", "ENOENT"],
    ],
    [
      "a bind address of another host",
      { proxy: { host: "198.51.100.77" } },
      ["198.51.100.77:0", "not an address"],
    ],
    ["a bind address that is none", { proxy: { host: "no-such-host.invalid" } }, ["no-such-host.invalid:0"]],
    ["a pattern of the policy", { network: { policy: "strict", allow: ["a b"] } }, ["a b"]],
    ["a grant nobody knows", { network: { policy: "strict", grants: ["nonsense"] } }, ["nonsense"]],
    ["an exempt address that is none", { network: { allowIps: ["10.0.0.0/99"] } }, ["10.0.0.0/99"]],
  ];
  for (const [what, changes, shown] of cases) {
    test(what, async () => {
      const message = await startFailure(changes);
      for (const part of shown) expect(message).toMatch(part);
      expect(message).not.toMatch(/[\r\n]|\bat .*:\d+:\d+|node_modules|\/src\//);
      expect(message).not.toContain(SECRET);
    });
  }

  test("a port in use", async () => {
    await using proxy = await startTestApp();
    const message = await startFailure({ proxy: { port: proxy.port } });
    expect(message).toContain(`127.0.0.1:${proxy.port}`);
    expect(message).toContain("in use");
    expect(message).not.toContain("\n");
  });

  test("a credential whose variable is empty", async () => {
    process.env.MOAT_TEST_APP_EMPTY = "";
    try {
      const message = await startFailure({ credentials: [env("MOAT_TEST_APP_EMPTY")] });
      expect(message).toContain("MOAT_TEST_APP_EMPTY");
    } finally {
      delete process.env.MOAT_TEST_APP_EMPTY;
    }
  });

  test("nothing listens after a failure that comes before the listener", async () => {
    const probe = await startTestApp();
    const { port } = probe;
    await probe[Symbol.asyncDispose]();
    await startFailure({ proxy: { port }, credentials: [env("MOAT_TEST_APP_MISSING")] });
    await expect(connect("127.0.0.1", port)).rejects.toThrow();
  });
});

describe("a process", () => {
  const script = join(import.meta.dir, "support/net-app-child.ts");

  test("ends by itself once the proxy has stopped", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    using dir = ownDirectory();
    const run = runProgram([process.execPath, script, dir.path, upstream.authority], {
      UPSTREAM_CA: pki().caPath,
    });
    const { code, stdout } = await within(run, "end of the process");
    expect(stdout).toBe("200, stopped, -----BEGIN CERTIFICATE-----\n");
    expect(code).toBe(0);
  });

  test("ends by itself when the start has failed", async () => {
    await using busy = await startTestApp();
    using dir = ownDirectory();
    const run = runProgram([process.execPath, script, dir.path, "", `port=${busy.port}`], {
      UPSTREAM_CA: pki().caPath,
    });
    const { code, stdout } = await within(run, "end of the process");
    expect(stdout).toContain("in use");
    expect(code).toBe(0);
  });
});

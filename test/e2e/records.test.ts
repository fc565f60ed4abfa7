// "One record per request" (wire.md section 12): exactly one on every path, its keys and levels, and no secret in it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type LogLine, type RunningProxy, startProxy } from "../support/binary.ts";
import type { ByteStream } from "../support/byte-stream.ts";
import { connectHead, connectProxy, get, message, openTunnel, post, tlsTunnel } from "../support/client.ts";
import { exchange, readHead, readResponse } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { credential, expectNotPrinted, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { closedPort, ok, startUpstream, type Upstream } from "../support/upstream.ts";

const level = (record: LogLine | undefined): string => String(record?.level).toUpperCase();

describe("exactly one record per request, on every path", () => {
  let secure: Upstream;
  let plain: Upstream;
  let proxy: RunningProxy;
  beforeAll(async () => {
    const reply = (request: { target: string }): string =>
      request.target === "/missing" ? "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" : ok();
    secure = startUpstream({ reply });
    plain = startUpstream({ tls: false, reply });
    const allow = [
      secure.authority,
      plain.authority,
      "localhost:1",
      "203.0.113.9:80",
      "127.0.0.1:9",
      "169.254.0.9:80",
    ];
    proxy = await startProxy({
      loopback: false,
      args: ["--allow-ip", "127.0.0.1/32", "--upstream-ca", pki().caPath].concat([
        "--policy",
        "strict",
        ...allow.flatMap((pattern) => ["--allow", pattern]),
      ]),
      config: { credentials: [credential(plain.authority), credential("203.0.113.9")] },
    });
  });
  afterAll(async () => {
    secure.close();
    plain.close();
    await proxy[Symbol.asyncDispose]();
  });

  interface Case {
    readonly name: string;
    readonly tunnel?: boolean;
    readonly raw: () => string;
    readonly status: number;
    readonly level: string;
    readonly expected?: Readonly<Record<string, unknown>>;
  }
  const at = (path: string): string => `http://${plain.authority}${path}`;
  const cases: readonly Case[] = [
    {
      name: "forwarded, plain http",
      raw: () => get(at("/"), plain.authority),
      status: 200,
      level: "INFO",
      expected: { proxy_type: "http" },
    },
    {
      name: "404 of the upstream",
      raw: () => get(at("/missing"), plain.authority),
      status: 404,
      level: "WARN",
    },
    {
      name: "forwarded, in a tunnel",
      tunnel: true,
      raw: () => get("/", secure.authority),
      status: 200,
      level: "INFO",
      expected: { proxy_type: "connect" },
    },
    { name: "misdirected", tunnel: true, raw: () => get("/", "evil.test"), status: 421, level: "WARN" },
    {
      name: "malformed, in a tunnel",
      tunnel: true,
      raw: () => "GET / HTTP/1.1\r\nBad Field: x\r\n\r\n",
      status: 400,
      level: "WARN",
    },
    {
      name: "malformed, outside",
      raw: () => "GET / HTTP/1.1\r\nBad Field: x\r\n\r\n",
      status: 400,
      level: "WARN",
    },
    {
      name: "policy, absolute-form",
      raw: () => get("http://denied.test/", "denied.test"),
      status: 407,
      level: "WARN",
      expected: { denied: true },
    },
    {
      name: "policy, CONNECT",
      raw: () => connectHead("denied.test:443"),
      status: 407,
      level: "WARN",
      expected: { denied: true, http_method: "CONNECT" },
    },
    {
      name: "destination, also denied by policy",
      raw: () => connectHead("169.254.169.254:80"),
      status: 407,
      level: "WARN",
      expected: { denied: true },
    },
    {
      name: "destination",
      raw: () => connectHead("169.254.0.9:80"),
      status: 403,
      level: "WARN",
      expected: { denied: true, deny_reason: "destination" },
    },
    {
      name: "cleartext credential",
      raw: () => get("http://203.0.113.9/", "203.0.113.9"),
      status: 403,
      level: "WARN",
      expected: { denied: true },
    },
    {
      name: "bad CONNECT authority",
      raw: () => "CONNECT nonsense HTTP/1.1\r\nHost: x\r\n\r\n",
      status: 400,
      level: "WARN",
    },
    {
      name: "dial failure",
      raw: () => get("http://127.0.0.1:9/", "127.0.0.1:9"),
      status: 502,
      level: "ERROR",
    },
    {
      name: "TRACE",
      raw: () => message(`TRACE ${at("/")} HTTP/1.1`, [`Host: ${plain.authority}`]),
      status: 405,
      level: "WARN",
    },
    { name: "nothing here", raw: () => get("/nothing", "localhost"), status: 404, level: "WARN" },
    { name: "DNS rebinding", raw: () => get("/healthz", "evil.test"), status: 421, level: "WARN" },
    {
      name: "head too large",
      raw: () => get(at("/"), plain.authority, [`X-Large: ${"x".repeat(70_000)}`]),
      status: 431,
      level: "WARN",
    },
  ];
  for (const entry of cases) {
    test(`${entry.name}: ${entry.status}, ${entry.level}`, async () => {
      const before = proxy.records().length;
      const stream =
        entry.tunnel === true ? await tlsTunnel(proxy, secure.authority) : await connectProxy(proxy);
      const answer = await exchange(stream, entry.raw());
      expect(answer.status).toBe(entry.status);
      stream.end();
      // A further request whose record must be the next but one, so that a late second record would show.
      const marker = await connectProxy(proxy);
      await exchange(marker, get("/marker", "localhost"));
      await proxy.untilOutput("the marker's record", () =>
        proxy.records().some((record, index) => index >= before && record.http_path === "/marker"),
      );
      const mine = proxy
        .records()
        .slice(before)
        .filter((record) => record.http_path !== "/marker");
      const own = mine.filter((record) => entry.tunnel !== true || record.http_method !== "CONNECT");
      expect(own).toMatchObject([{ http_status: entry.status, ...entry.expected }]);
      // "Level: ERROR for error or ≥ 500, WARN for denied or ≥ 400, else INFO."
      expect(level(own[0])).toBe(own[0]?.error === undefined ? entry.level : "ERROR");
      marker.destroy();
      stream.destroy();
    });
  }

  test("pipelined requests: one each, in order", async () => {
    const before = proxy.records().length;
    const stream = await connectProxy(proxy);
    const paths = ["/p0", "/p1", "/p2", "/p3", "/p4"];
    void stream.write(paths.map((path) => get(at(path), plain.authority)).join(""));
    for (const _ of paths) await readResponse(stream);
    await proxy.untilRecords(before + paths.length);
    expect(
      proxy
        .records()
        .slice(before)
        .map((record) => record.http_path),
    ).toEqual(paths);
    stream.destroy();
  });
});

test("the keys of a record", async () => {
  await using upstream = startUpstream({ reply: () => ok("twelve bytes") });
  await using proxy = await startProxy({
    config: { credentials: [credential(upstream.authority, { grant: "mygrant" })] },
  });
  const tls = await tlsTunnel(proxy, upstream.authority);
  const fields = ["X-Request-Id: my-own.id_1", `Authorization: ${PLACEHOLDER}`];
  await exchange(tls, post("/v1/things?secret=query", upstream.authority, "four", fields));
  const [record] = await proxy.untilRecords(1, (candidate) => candidate.http_method === "POST");
  expect(record).toMatchObject({
    msg: "request",
    request_id: "my-own.id_1",
    http_method: "POST",
    http_path: "/v1/things",
    http_status: 200,
    proxy_type: "connect",
    client_ip: "127.0.0.1",
    credential_injected: true,
    grants: ["mygrant"],
    request_size: 4,
    response_size: 12,
  });
  expect(String(record?.http_host)).toMatch(/^localhost(:\d+)?$/);
  expect(record?.injected_headers).toBeArrayOfSize(1);
  expect(String(record?.injected_headers).toLowerCase()).toBe("authorization");
  expect(record?.duration_ms).toBeNumber();
  expect(record?.denied).not.toBe(true);
  expect(record?.error).toBeUndefined();
  expect(JSON.stringify(record)).not.toContain("query");
  tls.destroy();
});

test('"http_path (without query, at most 2 KiB)"', async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok() });
  await using proxy = await startProxy();
  const client = await connectProxy(proxy);
  await exchange(client, get(`http://${upstream.authority}/${"a".repeat(10_000)}?q=1`, upstream.authority));
  const [record] = await proxy.untilRecords(1);
  expect(upstream.requests[0]?.target.length).toBe(10_005);
  expect(Buffer.byteLength(String(record?.http_path))).toBeLessThanOrEqual(2048 + 3);
  expect(String(record?.http_path)).toStartWith(`/${"a".repeat(2000)}`);
  client.destroy();
});

test("without a credential nothing says that one was injected", async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok() });
  await using proxy = await startProxy();
  const client = await connectProxy(proxy);
  await exchange(client, get(`http://${upstream.authority}/`, upstream.authority));
  const [record] = await proxy.untilRecords(1);
  expect(record?.credential_injected ?? false).toBe(false);
  expect(record?.injected_headers ?? []).toEqual([]);
  client.destroy();
});

describe("no secret and no control character appears anywhere", () => {
  test("not the credential, not the token, not a query string, at any level", async () => {
    await using upstream = startUpstream({ reply: () => ok("echo") });
    await using proxy = await startProxy({
      args: ["--log-level", "debug"],
      env: { MOAT_PROXY_AUTH_TOKEN: "the-proxy-token-77" },
      config: { credentials: [credential(upstream.authority)] },
    });
    const fields = ["Proxy-Authorization: Bearer the-proxy-token-77"];
    const tls = await tlsTunnel(proxy, upstream.authority, { fields });
    await exchange(tls, get("/?q=query-secret-55", upstream.authority, ["Cookie: session=cookie-secret-66"]));
    await proxy.untilRecords(1, (record) => record.http_method === "GET");
    const bad = await openTunnel(proxy, upstream.authority, {
      fields: ["Proxy-Authorization: Bearer wrong-token-88"],
    });
    expect(bad.reply.status).toBe(407);
    tls.destroy();
    bad.stream.destroy();
    await proxy.stop();
    expectNotPrinted(proxy, [SECRET, "query-secret-55", "cookie-secret-66", "wrong-token-88"]);
    // The token is in the URL on stdout, and nowhere else.
    expect(proxy.stderr).not.toContain("the-proxy-token-77");
  });

  for (const format of ["json", "text"]) {
    test(`control characters are removed (${format})`, async () => {
      await using proxy = await startProxy({
        standardArgs: false,
        args: ["--port", "0", "--log-format", format],
        config: { proxy: { auth_token: "t" } },
      });
      const client = await connectProxy(proxy);
      const user = "a\u001b[31mred\r\nmsg=request forged\u0007\u0000\u0085\u2028";
      const basic = Buffer.from(`${user}:t`).toString("base64");
      const answer = await exchange(
        client,
        get("http://no-such-host.invalid/", "no-such-host.invalid", [`Proxy-Authorization: Basic ${basic}`]),
      );
      expect(answer.status).toBe(502);
      await proxy.untilOutput("the record", () => proxy.stderr.includes("no-such-host.invalid"));
      await proxy.stop();
      const codes = [...proxy.stderr].map((letter) => letter.codePointAt(0) as number);
      expect(codes.filter((code) => (code < 32 && code !== 10) || (code >= 127 && code < 160))).toEqual([]);
      expect(proxy.stderr).not.toContain("\\u001b");
      const lines = proxy.stderr.split("\n").filter((line) => line.includes("forged"));
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(/"[^"]*msg=request forged"/);
      client.destroy();
    });
  }
});

test("--log-format text: one line per record with the same keys", async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok() });
  await using proxy = await startProxy({ args: ["--log-format", "text"] });
  const client = await connectProxy(proxy);
  await exchange(client, get(`http://${upstream.authority}/text-path`, upstream.authority));
  await proxy.untilOutput("the record", () => proxy.stderr.includes("/text-path"));
  await proxy.stop();
  const lines = proxy.stderr.split("\n").filter((line) => line.includes("/text-path"));
  expect(lines).toHaveLength(1);
  for (const key of ["http_method", "http_status", "request_id", "duration_ms", "proxy_type"])
    expect(lines[0]).toContain(`${key}=`);
  expect(() => JSON.parse(lines[0] ?? "{}")).toThrow();
  client.destroy();
});

test("--log-level error keeps ordinary records out, but not errors", async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok() });
  await using proxy = await startProxy({ args: ["--log-level", "error"] });
  const client = await connectProxy(proxy);
  await exchange(client, get(`http://${upstream.authority}/`, upstream.authority));
  const gone = `localhost:${closedPort()}`;
  await exchange(client, get(`http://${gone}/`, gone));
  expect(await proxy.untilRecords(1)).toMatchObject([{ http_status: 502 }]);
  client.destroy();
});

describe('"A client that goes away is not an error"', () => {
  async function begin(
    upstream: Upstream,
    proxy: RunningProxy,
  ): Promise<{ client: ByteStream; server: ByteStream }> {
    const client = await tlsTunnel(proxy, upstream.authority);
    void client.write(get("/long", upstream.authority));
    const server = await upstream.next();
    await readHead(server);
    return { client, server };
  }

  for (const [name, answered] of [
    ["before the answer", false],
    ["in the middle of the answer", true],
  ] as const) {
    test(`${name}: one record, below ERROR`, async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const { client, server } = await begin(upstream, proxy);
      if (answered) {
        await server.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
        await client.readUntil("some");
      }
      client.destroy();
      await server.whenClosed();
      const records = await proxy.untilRecords(1, (record) => record.http_method === "GET");
      expect(records).toHaveLength(1);
      expect(level(records[0])).not.toBe("ERROR");
      await proxy.stop();
      expect(proxy.logLines().filter((line) => level(line) === "ERROR")).toEqual([]);
    });
  }

  test("connections that close without a word leave no record and no error", async () => {
    await using proxy = await startProxy();
    for (let count = 0; count < 5; count++) {
      const client = await connectProxy(proxy);
      client.end();
      await client.whenClosed();
    }
    await proxy.stop();
    expect(proxy.records()).toEqual([]);
    expect(proxy.logLines().filter((line) => level(line) === "ERROR")).toEqual([]);
  });
});

test("an opaque tunnel leaves one record, when it ends, with the bytes that passed", async () => {
  await using upstream = startUpstream({ tls: false });
  await using proxy = await startProxy({ args: ["--no-intercept"] });
  const { stream } = await openTunnel(proxy, upstream.authority);
  const server = await upstream.next();
  await stream.write("up!");
  await server.readUntil("up!");
  await server.write("down");
  await stream.readUntil("down");
  stream.end();
  server.end();
  const records = await proxy.untilRecords(1);
  expect(records).toMatchObject([
    { http_method: "CONNECT", http_status: 200, request_size: 3, response_size: 4 },
  ]);
  stream.destroy();
});

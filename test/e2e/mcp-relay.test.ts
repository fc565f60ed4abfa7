// MCP servers (wire.md section 9): the relay's names, grants and exact texts, and the stub in proxied traffic.
import { describe, expect, test } from "bun:test";
import { ask } from "../support/ask.ts";
import { type RunningProxy, run, startProxy } from "../support/binary.ts";
import { connectProxy, get, openTunnel, tlsTunnel } from "../support/client.ts";
import { exchange, type Request, text, value, values } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { credential, expectNotPrinted, NO_ERRNO, OTHER_SECRET, SECRET } from "../support/secrets.ts";
import { closedPort, ok, startUpstream, type Upstream } from "../support/upstream.ts";

const TOKEN = "mcp-run-token-9e2c";
const echo = (request: Request): string => ok(`${request.method} ${request.target}`);

interface Server {
  readonly name: string;
  readonly url: string;
  readonly auth?: { readonly grant: string; readonly header?: string };
}

function start(servers: readonly Server[], more: object = {}): Promise<RunningProxy> {
  return startProxy({
    loopback: false,
    args: ["--upstream-ca", pki().caPath],
    config: {
      mcp_servers: servers,
      credentials: [
        credential("elsewhere.test", { header: "X-Key", grant: "linear" }),
        credential("elsewhere.test", { header: "X-Key", grant: "oauth:notion", value: OTHER_SECRET }),
      ],
      ...more,
    },
  });
}

function url(upstream: Upstream, path = "/mcp"): string {
  return `https://${upstream.authority}${path}`;
}

describe("relay", () => {
  for (const [path, target] of [
    ["/mcp/one", "/mcp"],
    ["/mcp/one/", "/mcp/"],
    ["/mcp/one/sub/x?q=1", "/mcp/sub/x?q=1"],
    ["/mcp/one?session=%2F", "/mcp?session=%2F"],
  ] as const) {
    test(`${path} goes to ${target}`, async () => {
      await using upstream = startUpstream({ reply: echo });
      await using proxy = await start([{ name: "one", url: url(upstream) }]);
      expect(text(await ask(proxy, path))).toBe(`GET ${target}`);
    });
  }

  test("a query of the configured URL is not mixed with the request's: it is refused, or the request's counts", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using child = run({
      loopback: false,
      args: ["--upstream-ca", pki().caPath],
      config: { mcp_servers: [{ name: "one", url: `${url(upstream)}?fixed=1` }] },
    });
    if (!(await child.started())) return expect(child.stderr).toContain("mcp_servers[0].url");
    const port = Number(new URL(child.stdout.trim()).port);
    const client = await connectProxy({ host: "127.0.0.1", port });
    expect(text(await exchange(client, get("/mcp/one?own=1", "localhost")))).toBe("GET /mcp?own=1");
    client.destroy();
  });

  const shaped: readonly (readonly [name: string, auth: Server["auth"], header: string, wanted: RegExp])[] = [
    [
      "the named header gets the grant's value as it is",
      { grant: "linear", header: "X-Api-Key" },
      "x-api-key",
      new RegExp(`^${SECRET}$`),
    ],
    [
      "Authorization is the default",
      { grant: "linear" },
      "authorization",
      new RegExp(`^(Bearer )?${SECRET}$`),
    ],
    [
      "oauth: gets Bearer",
      { grant: "oauth:notion" },
      "authorization",
      new RegExp(`^Bearer ${OTHER_SECRET}$`),
    ],
    [
      "oauth: gets Bearer in another header too",
      { grant: "oauth:notion", header: "X-Auth" },
      "x-auth",
      new RegExp(`^Bearer ${OTHER_SECRET}$`),
    ],
  ];
  for (const [name, auth, header, wanted] of shaped) {
    test(`${name}; the client's own value and Proxy-* go`, async () => {
      await using upstream = startUpstream({ reply: echo });
      await using proxy = await start([
        { name: "one", url: url(upstream), ...(auth === undefined ? {} : { auth }) },
      ]);
      const fields = [
        `${header}: own`,
        `${header.toUpperCase()}: moat-stub-linear`,
        "Proxy-Connection: x",
        "Mcp-Session-Id: s",
      ];
      expect((await ask(proxy, "/mcp/one", fields)).status).toBe(200);
      const [request] = upstream.requests;
      expect(values(request as Request, header)).toHaveLength(1);
      expect(value(request as Request, header)).toMatch(wanted);
      expect(value(request as Request, "mcp-session-id")).toBe("s");
      expect(value(request as Request, "host")).toBe(upstream.authority);
      expect(request?.rawHead).not.toMatch(/proxy-/i);
      await proxy.stop();
      expectNotPrinted(proxy, [SECRET, OTHER_SECRET]);
    });
  }

  test("a server without auth: the client's own Authorization goes on", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using proxy = await start([{ name: "one", url: url(upstream) }]);
    await ask(proxy, "/mcp/one", ["Authorization: Bearer own"]);
    expect(values(upstream.requests[0] as Request, "authorization")).toEqual(["Bearer own"]);
  });

  test("404, 500 and 502, word for word", async () => {
    await using proxy = await start([
      { name: "down", url: `https://localhost:${closedPort()}/mcp` },
      { name: "nocred", url: "https://example.test/mcp", auth: { grant: "mcp-nowhere" } },
    ]);
    const unknown = await ask(proxy, "/mcp/nothing");
    expect([unknown.status, text(unknown).trim()]).toEqual([
      404,
      "MOAT: MCP server 'nothing' not configured. Available servers: down, nocred. Check moat.yaml.",
    ]);
    const missing = await ask(proxy, "/mcp/nocred");
    expect(missing.status).toBe(500);
    expect(text(missing).trim()).toBe(
      "MOAT: Failed to load credential for 'nocred'. Grant: mcp-nowhere. Run: moat grant mcp nowhere",
    );
    const down = await ask(proxy, "/mcp/down");
    expect([down.status, text(down).trim()]).toEqual([502, "MOAT: Failed to connect to MCP server 'down'"]);
    for (const answer of [unknown, missing, down]) {
      expect(answer.rawHead + text(answer)).not.toMatch(NO_ERRNO);
      expect(value(answer, "content-type")).toStartWith("text/plain");
    }
    const [record] = await proxy.untilRecords(1, (line) => line.http_status === 500);
    expect(record).toMatchObject({ level: "error", proxy_type: "mcp" });
    expect(proxy.stderr).toContain("moat grant mcp nowhere");
  });

  for (const detour of ["..", "a/../b", "%2e%2e", "a%2fb", "a%5cb", ".%2E/"]) {
    test(`a detour is 400: ${detour}`, async () => {
      await using upstream = startUpstream({ reply: echo });
      await using proxy = await start([{ name: "one", url: url(upstream), auth: { grant: "linear" } }]);
      expect((await ask(proxy, `/mcp/one/${detour}`)).status).toBe(400);
      expect(upstream.connections).toHaveLength(0);
    });
  }

  test("web pages are refused", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using proxy = await start([{ name: "one", url: url(upstream) }]);
    expect((await ask(proxy, "/mcp/one", ["Origin: https://evil.example"])).status).toBe(403);
    expect((await ask(proxy, "/mcp/one", ["Sec-Fetch-Site: cross-site"])).status).toBe(403);
    expect(upstream.connections).toHaveLength(0);
  });
});

describe("tokens: /mcp/<token>/<name>", () => {
  test("the right one works in all forms, is never sent on and is [token] in records", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using proxy = await start([{ name: "one", url: url(upstream), auth: { grant: "linear" } }], {
      proxy: { auth_token: TOKEN },
      log: { level: "debug" },
    });
    expect(text(await ask(proxy, `/mcp/${TOKEN}/one/sub?q`))).toBe("GET /mcp/sub?q");
    expect(text(await ask(proxy, "/mcp/one/sub", [`Proxy-Authorization: Bearer ${TOKEN}`]))).toBe(
      "GET /mcp/sub",
    );
    await proxy.untilRecords(2);
    await proxy.stop();
    expect(String(proxy.records()[0]?.http_path)).toStartWith("/mcp/[token]/one");
    expect(upstream.text).not.toContain(TOKEN);
    expectNotPrinted(proxy, [SECRET]);
    expect(proxy.stderr).not.toContain(TOKEN);
  });

  test('"bad token 401 with WWW-Authenticate; no name 400 invalid MCP relay URL"', async () => {
    await using upstream = startUpstream({ reply: echo });
    await using proxy = await start([{ name: "one", url: url(upstream) }], { proxy: { auth_token: TOKEN } });
    for (const path of ["/mcp/wrong/one", "/mcp/one/sub", "/mcp/one"]) {
      const answer = await ask(proxy, path);
      if (path === "/mcp/one" && answer.status === 400) continue;
      expect({ path, status: answer.status }).toEqual({ path, status: 401 });
      expect(values(answer, "www-authenticate")).toHaveLength(1);
    }
    for (const path of [`/mcp/${TOKEN}`, `/mcp/${TOKEN}/`]) {
      const answer = await ask(proxy, path);
      expect([answer.status, text(answer).trim()]).toEqual([400, "invalid MCP relay URL"]);
    }
    expect(upstream.connections).toHaveLength(0);
    await proxy.stop();
    expect(proxy.stderr).not.toContain(TOKEN);
  });
});

describe("the stub in proxied traffic", () => {
  const AUTH = { grant: "linear", header: "X-Api-Key" };

  test("replaced over TLS, by the authority; every other value is left alone", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using proxy = await start([{ name: "one", url: url(upstream), auth: AUTH }]);
    const tls = await tlsTunnel(proxy, upstream.authority);
    for (const own of [
      "moat-stub-linear",
      "own",
      "moat-stub-other",
      "moat-stub-linear-2",
      "x moat-stub-linear",
    ])
      await exchange(tls, get("/mcp", upstream.authority, [`x-api-key: ${own}`]));
    await exchange(tls, get("/mcp", upstream.authority));
    expect(upstream.requests.map((request) => values(request, "x-api-key"))).toEqual([
      [SECRET],
      ["own"],
      ["moat-stub-other"],
      ["moat-stub-linear-2"],
      ["x moat-stub-linear"],
      [],
    ]);
    tls.destroy();
    await proxy.stop();
    expectNotPrinted(proxy, [SECRET]);
  });

  test("replaced over plain http to its own authority, not to another port of the same host", async () => {
    await using upstream = startUpstream({ tls: false, reply: echo });
    await using other = startUpstream({ tls: false, reply: echo });
    await using proxy = await start([
      { name: "one", url: `http://${upstream.authority}/mcp`, auth: AUTH },
      { name: "two", url: `http://${other.authority}/mcp` },
    ]);
    const client = await connectProxy(proxy);
    for (const { authority } of [upstream, other])
      await exchange(client, get(`http://${authority}/mcp`, authority, ["X-Api-Key: moat-stub-linear"]));
    expect(values(upstream.requests[0] as Request, "x-api-key")).toEqual([SECRET]);
    expect(values(other.requests[0] as Request, "x-api-key")).toEqual(["moat-stub-linear"]);
    client.destroy();
  });

  test('"a missing credential leaves the stub and logs an error with the fix"', async () => {
    await using upstream = startUpstream({ reply: echo });
    await using proxy = await start([
      { name: "one", url: url(upstream), auth: { grant: "mcp-nowhere", header: "X-Api-Key" } },
    ]);
    const tls = await tlsTunnel(proxy, upstream.authority);
    await exchange(tls, get("/mcp", upstream.authority, ["X-Api-Key: moat-stub-mcp-nowhere"]));
    expect(values(upstream.requests[0] as Request, "x-api-key")).toEqual(["moat-stub-mcp-nowhere"]);
    await proxy.untilRecords(1);
    await proxy.untilOutput("error with the fix", () => proxy.stderr.includes("moat grant mcp nowhere"));
    tls.destroy();
  });

  test("by the authority we dial, not by Host (domain fronting)", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using attacker = startUpstream({ reply: echo });
    await using proxy = await start([
      { name: "one", url: url(upstream), auth: AUTH },
      { name: "two", url: url(attacker) },
    ]);
    const tls = await tlsTunnel(proxy, attacker.authority);
    const answer = await exchange(tls, get("/mcp", upstream.authority, ["X-Api-Key: moat-stub-linear"]));
    expect(answer.status).toBe(421);
    await exchange(tls, get("/mcp", attacker.authority, ["X-Api-Key: moat-stub-linear"]));
    expect(attacker.text).not.toContain(SECRET);
    tls.destroy();
  });

  test("a loopback server is reached through the proxy, its neighbours are not", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using other = startUpstream({ reply: echo });
    await using proxy = await start([{ name: "one", url: url(upstream), auth: AUTH }]);
    const tls = await tlsTunnel(proxy, upstream.authority);
    expect((await exchange(tls, get("/elsewhere", upstream.authority))).status).toBe(200);
    tls.destroy();
    const neighbour = await tlsTunnel(proxy, other.authority);
    const answer = await exchange(neighbour, get("/", other.authority));
    expect([answer.status, value(answer, "x-moat-blocked")]).toEqual([403, "destination"]);
    neighbour.destroy();
    const literal = await openTunnel(proxy, `127.0.0.1:${other.port}`);
    expect(literal.reply.status).toBe(403);
    literal.stream.destroy();
    expect(other.connections).toHaveLength(0);
  });

  test("a redirect of the server is not followed: the real value stays", async () => {
    await using other = startUpstream({ reply: () => ok("stolen") });
    await using upstream = startUpstream({
      reply: () => `HTTP/1.1 307 T\r\nLocation: https://${other.authority}/\r\nContent-Length: 0\r\n\r\n`,
    });
    await using proxy = await start([{ name: "one", url: url(upstream), auth: AUTH }]);
    const tls = await tlsTunnel(proxy, upstream.authority);
    const answer = await exchange(tls, get("/mcp", upstream.authority, ["X-Api-Key: moat-stub-linear"]));
    expect([answer.status, value(answer, "location")]).toEqual([307, `https://${other.authority}/`]);
    expect(other.connections).toHaveLength(0);
    tls.destroy();
  });
});

test("strict policy: the server is reached over the relay and through the proxy; rules for its host count", async () => {
  await using upstream = startUpstream({ reply: echo });
  await using proxy = await start([{ name: "one", url: url(upstream) }], {
    network: { policy: "strict", rules: [{ [upstream.authority]: ["deny * /mcp/admin/**", "allow * /**"] }] },
  });
  expect((await ask(proxy, "/mcp/one")).status).toBe(200);
  expect((await ask(proxy, "/mcp/one/admin/x")).status).toBe(403);
  await using open = await start([{ name: "one", url: url(upstream) }], { network: { policy: "strict" } });
  expect((await ask(open, "/mcp/one")).status).toBe(200);
});

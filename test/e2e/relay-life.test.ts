// What relays and MCP servers meet in use (wire.md sections 8 to 10): reloads, WebSockets, tokens that clients put into
// more than one place.
import { describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { connectProxy, get, message } from "../support/client.ts";
import { exchange, type Request, type Response, text, value } from "../support/http-message.ts";
import { runProgram, works } from "../support/programs.ts";
import { reload } from "../support/reload.ts";
import { credential, expectNotPrinted, OTHER_SECRET, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";
import { binaryFrame, readMessage, startEcho, WEBSOCKET_FIELDS } from "../support/websocket.ts";

const TOKEN = "relay-life-token-8b3f";
const echo = (request: Request): string => ok(`${request.method} ${request.target}`);

async function ask(proxy: RunningProxy, path: string, fields: readonly string[] = []): Promise<Response> {
  const client = await connectProxy(proxy);
  const answer = await exchange(client, get(path, "localhost", fields));
  client.destroy();
  return answer;
}

describe("a reload", () => {
  test("adds and removes relays and MCP servers for open connections too, and with them the exemption", async () => {
    await using first = startUpstream({ tls: false, reply: echo });
    await using second = startUpstream({ tls: false, reply: echo });
    const config = (port: number): object => ({
      relays: [{ name: `r${port}`, url: `http://127.0.0.1:${port}` }],
      mcp_servers: [{ name: `m${port}`, url: `http://127.0.0.1:${port}/mcp` }],
    });
    await using proxy = await startProxy({ loopback: false, config: config(first.port) });
    const client = await connectProxy(proxy);
    const statuses = async (): Promise<number[]> => {
      const seen: number[] = [];
      for (const { port } of [first, second]) {
        for (const path of [`/relay/r${port}/x`, `/mcp/m${port}`])
          seen.push((await exchange(client, get(path, "localhost"))).status);
        const authority = `127.0.0.1:${port}`;
        seen.push((await exchange(client, get(`http://${authority}/`, authority))).status);
      }
      return seen;
    };
    expect(await statuses()).toEqual([200, 200, 200, 404, 404, 403]);
    await reload(proxy, config(second.port));
    expect(await statuses()).toEqual([404, 404, 403, 200, 200, 200]);
    client.destroy();
  });

  test("changes the token of an MCP server's grant", async () => {
    await using upstream = startUpstream({ tls: false, reply: echo });
    const config = (value: string): object => ({
      mcp_servers: [
        { name: "m", url: `http://127.0.0.1:${upstream.port}`, auth: { grant: "g", header: "X-Key" } },
      ],
      credentials: [credential("elsewhere.test", { grant: "g", header: "X-Key", value })],
    });
    await using proxy = await startProxy({ loopback: false, config: config(SECRET) });
    await ask(proxy, "/mcp/m");
    await reload(proxy, config(OTHER_SECRET));
    await ask(proxy, "/mcp/m");
    expect(upstream.requests.map((request) => value(request, "x-key"))).toEqual([SECRET, OTHER_SECRET]);
  });
});

test("a WebSocket through a relay gets the credential and both directions", async () => {
  const server = startEcho(undefined);
  await using proxy = await startProxy({
    loopback: false,
    config: {
      proxy: { auth_token: TOKEN },
      relays: [{ name: "ws", url: `http://127.0.0.1:${server.port}/base` }],
      credentials: [credential("127.0.0.1", { header: "X-Key" })],
    },
  });
  const client = await connectProxy(proxy);
  const answer = await exchange(client, get(`/relay/${TOKEN}/ws/socket`, "localhost", WEBSOCKET_FIELDS));
  expect(answer.status).toBe(101);
  await client.write(binaryFrame(Buffer.from("hello")));
  expect((await readMessage(client)).toString()).toBe("hello");
  expect(server.headers[0]?.get("x-key")).toBe(SECRET);
  client.destroy();
  server.stop();
});

describe("tokens in more than one place", () => {
  const start = (port: number): Promise<RunningProxy> =>
    startProxy({
      loopback: false,
      config: {
        proxy: { auth_token: TOKEN },
        log: { level: "debug" },
        relays: [{ name: "r", url: `http://127.0.0.1:${port}` }],
        mcp_servers: [{ name: "r", url: `http://127.0.0.1:${port}` }],
      },
    });

  for (const kind of ["relay", "mcp"]) {
    test(`${kind}: "Proxy-Authorization, and then the path holds no token": one that does is refused, and not logged`, async () => {
      await using upstream = startUpstream({ tls: false, reply: echo });
      await using proxy = await start(upstream.port);
      const answer = await ask(proxy, `/${kind}/${TOKEN}/r/x`, [`Proxy-Authorization: Bearer ${TOKEN}`]);
      expect([400, 404]).toContain(answer.status);
      await proxy.untilRecords(1);
      await proxy.stop();
      expect(proxy.stderr).not.toContain(TOKEN);
      expect(upstream.connections).toHaveLength(0);
    });

    test(`${kind}: "never forwarded": not in a Referer or another field that holds the relay's address either`, async () => {
      await using upstream = startUpstream({ tls: false, reply: echo });
      await using proxy = await start(upstream.port);
      const address = `http://127.0.0.1:${proxy.port}/${kind}/${TOKEN}/r/before`;
      const fields = [`Referer: ${address}`, `Destination: ${address}`, "X-Kept: 1"];
      expect((await ask(proxy, `/${kind}/${TOKEN}/r/x`, fields)).status).toBe(200);
      expect(upstream.text).not.toContain(TOKEN);
      expect(value(upstream.requests[0] as Request, "x-kept")).toBe("1");
    });
  }

  test.skipIf(!works(["curl", "--version"]))(
    "curl follows a redirect of the relay, Referer and all",
    async () => {
      await using upstream = startUpstream({
        tls: false,
        reply: (request) =>
          request.target === "/a"
            ? "HTTP/1.1 302 F\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
            : echo(request),
      });
      await using proxy = await start(upstream.port);
      const url = `http://127.0.0.1:${proxy.port}/relay/${TOKEN}/r/a`;
      const { code, stdout } = await runProgram(["curl", "-sS", "-L", "-e", ";auto", url]);
      expect({ code, stdout }).toEqual({ code: 0, stdout: "GET /b" });
      expect(upstream.text).not.toContain(TOKEN);
    },
  );
});

test("requests that are pipelined over a relay are answered in order", async () => {
  await using upstream = startUpstream({ tls: false, reply: echo });
  await using proxy = await startProxy({
    loopback: false,
    config: { relays: [{ name: "r", url: `http://127.0.0.1:${upstream.port}` }] },
  });
  const client = await connectProxy(proxy);
  const paths = ["/relay/r/1", "/healthz", "/relay/r/2", "/relay/none", "/relay/r/3"];
  await client.write(paths.map((path) => get(path, "localhost")).join(""));
  const answers: string[] = [];
  for (const _ of paths) answers.push(text(await exchange(client, "")).trim());
  expect(answers).toEqual([
    "GET /1",
    '{"status":"ok"}',
    "GET /2",
    "MOAT: Unknown relay endpoint 'none'",
    "GET /3",
  ]);
  client.destroy();
});

test("OPTIONS and other methods reach the upstream; TRACE and CONNECT do not", async () => {
  await using upstream = startUpstream({ tls: false, reply: echo });
  await using proxy = await startProxy({
    loopback: false,
    config: {
      relays: [{ name: "r", url: `http://127.0.0.1:${upstream.port}` }],
      credentials: [credential("127.0.0.1")],
    },
  });
  for (const [method, status] of [
    ["OPTIONS", 200],
    ["PATCH", 200],
    ["DELETE", 200],
    ["TRACE", 405],
  ] as const) {
    const client = await connectProxy(proxy);
    const answer = await exchange(client, message(`${method} /relay/r/x HTTP/1.1`, ["Host: localhost"]));
    expect({ method, status: answer.status }).toEqual({ method, status });
    client.destroy();
  }
  expect(upstream.requests.map(({ method }) => method)).toEqual(["OPTIONS", "PATCH", "DELETE"]);
  await proxy.stop();
  expectNotPrinted(proxy, [SECRET]);
});

describe("cleartext: a secret never crosses the internet in the clear, over a relay neither", () => {
  const url = "http://203.0.113.7/base";
  const cases: readonly (readonly [name: string, path: string, config: object])[] = [
    [
      "a relay with a credential",
      "/relay/r/x",
      { relays: [{ name: "r", url }], credentials: [credential("203.0.113.7")] },
    ],
    [
      "a relay with a substitution",
      "/relay/r/x",
      {
        relays: [{ name: "r", url }],
        token_substitutions: [
          { host: "203.0.113.7", placeholder: "a-placeholder", source: { type: "static", value: SECRET } },
        ],
      },
    ],
    [
      "an MCP server with a grant",
      "/mcp/m",
      {
        mcp_servers: [{ name: "m", url, auth: { grant: "g" } }],
        credentials: [credential("elsewhere.test", { grant: "g" })],
      },
    ],
  ];
  for (const [name, path, config] of cases) {
    test(`${name}: 403`, async () => {
      await using proxy = await startProxy({ config });
      const answer = await ask(proxy, path);
      expect([answer.status, value(answer, "x-moat-blocked")]).toEqual([403, "cleartext-credential"]);
      expect(text(answer)).not.toContain(SECRET);
    });
  }

  test("the stub of an MCP server in proxied traffic: 403", async () => {
    const [, , config = {}] = cases[2] ?? [];
    await using proxy = await startProxy({ config });
    const client = await connectProxy(proxy);
    const answer = await exchange(client, get(url, "203.0.113.7", ["Authorization: moat-stub-g"]));
    expect([answer.status, value(answer, "x-moat-blocked")]).toEqual([403, "cleartext-credential"]);
    client.destroy();
  });
});

test("the record of a replaced stub names the field and the grant, and never the value", async () => {
  await using upstream = startUpstream({ tls: false, reply: echo });
  await using proxy = await startProxy({
    loopback: false,
    config: {
      mcp_servers: [
        { name: "m", url: `http://127.0.0.1:${upstream.port}`, auth: { grant: "g", header: "X-Key" } },
      ],
      credentials: [credential("elsewhere.test", { grant: "g" })],
    },
  });
  const client = await connectProxy(proxy);
  const authority = `127.0.0.1:${upstream.port}`;
  await exchange(client, get(`http://${authority}/`, authority, ["X-Key: moat-stub-g"]));
  client.destroy();
  expect(await proxy.untilRecords(1)).toMatchObject([
    { credential_injected: true, injected_headers: ["X-Key"], grants: ["g"], proxy_type: "http" },
  ]);
  await proxy.stop();
  expectNotPrinted(proxy, [SECRET]);
});

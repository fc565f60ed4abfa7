// The pitfalls list, lines 7 and 8: ways around policy and the destination check, and state that was stale, lost or
// another's. On the compiled binary, and on the library where only runs can show it.
import { describe, expect, test } from "bun:test";
import type { RunContextData } from "../../src/index.ts";
import { startProxy } from "../support/binary.ts";
import { type ByteStream, within } from "../support/byte-stream.ts";
import { connectProxy, get, openTunnel, post, tlsTunnel } from "../support/client.ts";
import { exchange, type Request, readHead, readResponse, text, value } from "../support/http-message.ts";
import { startLibrary, withToken } from "../support/library.ts";
import { expectReasons, expectToExist, type Row } from "../support/pitfalls.ts";
import { reload } from "../support/reload.ts";
import { credential, OTHER_SECRET, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";
import { WEBSOCKET_ACCEPT, WEBSOCKET_FIELDS } from "../support/websocket.ts";

const SWITCHED = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${WEBSOCKET_ACCEPT}\r\n\r\n`;

function blocked(answer: { status: number; fields: readonly (readonly [string, string])[] }): unknown {
  return [answer.status, value(answer, "x-moat-blocked")];
}

describe("Pitfall 7: SSRF and policy bypass", () => {
  test("the dial of a WebSocket bypassed the guard of destinations", async () => {
    await using plain = startUpstream({ tls: false, reply: () => SWITCHED });
    await using secure = startUpstream({ reply: () => SWITCHED });
    await using proxy = await startProxy({ loopback: false });
    const client = await connectProxy(proxy);
    for (const host of [plain.authority, `127.0.0.1:${plain.port}`]) {
      const answer = await exchange(client, get(`http://${host}/ws`, host, WEBSOCKET_FIELDS));
      expect(blocked(answer)).toEqual([403, "destination"]);
    }
    const tls = await tlsTunnel(proxy, secure.authority);
    const answer = await exchange(tls, get("/ws", secure.authority, WEBSOCKET_FIELDS));
    expect(blocked(answer)).toEqual([403, "destination"]);
    expect(plain.connections.length + secure.connections.length).toBe(0);
    tls.destroy();
    client.destroy();
  });

  const missed = [
    "169.254.170.23",
    "[fd00:ec2::23]",
    "0.255.0.1",
    "[64:ff9b::a9fe:aa17]",
    "[64:ff9b:1::a9fe:aa17]",
  ];
  for (const host of missed) {
    test(`a default list lacked addresses of containers and NAT64: ${host}`, async () => {
      await using proxy = await startProxy({ loopback: false });
      const { stream, reply } = await openTunnel(proxy, `${host}:443`);
      expect(blocked(reply)).toEqual([403, "destination"]);
      stream.destroy();
    });
  }

  test("a relay or an MCP server opened the host's other services: exempt is exactly its scheme, host and port", async () => {
    await using named = startUpstream({ tls: false, reply: () => ok("named") });
    await using other = startUpstream({ tls: false, reply: () => ok("other") });
    const own = `127.0.0.1:${named.port}`;
    const config = {
      relays: [{ name: "api", url: `http://${own}/base` }],
      mcp_servers: [{ name: "tools", url: `http://${own}/mcp` }],
    };
    await using proxy = await startProxy({ loopback: false, config });
    const client = await connectProxy(proxy);
    for (const path of ["/relay/api/x", "/mcp/tools"]) {
      expect(text(await exchange(client, get(path, "moat-proxy")))).toBe("named");
    }
    for (const host of [`127.0.0.1:${other.port}`, `localhost:${named.port}`, `127.0.0.2:${named.port}`]) {
      expect(blocked(await exchange(client, get(`http://${host}/`, host)))).toEqual([403, "destination"]);
    }
    const { stream, reply } = await openTunnel(proxy, own);
    expect(blocked(reply)).toEqual([403, "destination"]);
    expect(other.connections).toHaveLength(0);
    stream.destroy();
    client.destroy();
  });

  test("a run named the host's own services as its MCP servers: only the operator's names are exempt", async () => {
    await using service = startUpstream({ tls: false, reply: () => ok("reached") });
    const run: RunContextData = {
      runID: "one",
      credentials: { "127.0.0.1": { name: "X-Key", value: SECRET, grant: "g" } },
      mcpServers: [
        { name: "tools", url: `http://127.0.0.1:${service.port}`, auth: { grant: "g", header: "X-Key" } },
      ],
    };
    await using library = await startLibrary((proxy) => proxy.setContextResolver(() => run), {
      allowIPs: [],
    });
    const client = await connectProxy(library);
    const own = `127.0.0.1:${service.port}`;
    expect(blocked(await exchange(client, get("/mcp/t/tools", "moat-proxy")))).toEqual([403, "destination"]);
    const proxied = get(`http://${own}/`, own, [...withToken("t"), "X-Key: moat-stub-g"]);
    expect(blocked(await exchange(client, proxied))).toEqual([403, "destination"]);
    expect(service.connections).toHaveLength(0);
    client.destroy();
  });

  test("a relay led around the rules of its host, and dot segments out of its base path", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    const host = upstream.authority;
    await using proxy = await startProxy({
      config: {
        credentials: [credential(host, { grant: "g" })],
        relays: [{ name: "api", url: `http://${host}/base` }],
        mcp_servers: [
          { name: "tools", url: `http://${host}/base`, auth: { grant: "g", header: "Authorization" } },
        ],
        network: { policy: "strict", rules: [{ [host]: ["allow GET /base/open/**"] }] },
      },
    });
    const client = await connectProxy(proxy);
    for (const prefix of ["/relay/api", "/mcp/tools"]) {
      expect((await exchange(client, get(`${prefix}/open/x`, "moat-proxy"))).status).toBe(200);
      const refused = [get(`${prefix}/closed`, "moat-proxy"), post(`${prefix}/open/x`, "moat-proxy", "b")];
      for (const request of refused.concat(get(`${prefix}/ws`, "moat-proxy", WEBSOCKET_FIELDS)))
        expect(blocked(await exchange(client, request))).toEqual([403, "request-rule"]);
      for (const detour of [
        "/../x",
        "/open/%2e%2E/x",
        "/open/..%2fx",
        "/open/%5c..%5cx",
        "/./open/x",
        "/open/..;/x",
      ])
        expect([detour, (await exchange(client, get(prefix + detour, "moat-proxy"))).status]).toEqual([
          detour,
          400,
        ]);
    }
    expect(upstream.requests.map((request) => request.target)).toEqual(["/base/open/x", "/base/open/x"]);
    client.destroy();
  });
});

describe("Pitfall 8: stale or lost state", () => {
  test("rules and lists were frozen at CONNECT: a reload reaches every list in an open tunnel, and open connections to relays", async () => {
    await using upstream = startUpstream({
      reply: () => ok(`${SECRET} ${OTHER_SECRET}`, ["Content-Type: text/plain"]),
    });
    const host = upstream.authority;
    const config = (value_: string, extra: string, relay: string): object => ({
      extra_headers: [{ host, header: "X-Extra", value: extra }],
      token_substitutions: [{ host, placeholder: PLACEHOLDER, source: { type: "static", value: value_ } }],
      response_transformers: [{ host, kind: "response-scrub" }],
      relays: [{ name: relay, url: `https://${host}` }],
      mcp_servers: [{ name: `mcp-${relay}`, url: `https://${host}/${relay}` }],
    });
    await using proxy = await startProxy({ config: config(SECRET, "one", "first") });
    const tls = await tlsTunnel(proxy, host);
    const client = await connectProxy(proxy);
    const seen = async (): Promise<unknown> => {
      const answer = await exchange(tls, get(`/${PLACEHOLDER}`, host));
      const request = upstream.requests.at(-1) as Request;
      const statuses: number[] = [];
      for (const path of ["/relay/first/", "/relay/second/", "/mcp/mcp-first", "/mcp/mcp-second"])
        statuses.push((await exchange(client, get(path, "moat-proxy"))).status);
      return [request.target, value(request, "x-extra"), text(answer), statuses];
    };
    expect(await seen()).toEqual([
      `/${SECRET}`,
      "one",
      `${PLACEHOLDER} ${OTHER_SECRET}`,
      [200, 404, 200, 404],
    ]);
    await reload(proxy, config(OTHER_SECRET, "two", "second"));
    expect(await seen()).toEqual([
      `/${OTHER_SECRET}`,
      "two",
      `${SECRET} ${PLACEHOLDER}`,
      [404, 200, 404, 200],
    ]);
    tls.destroy();
    client.destroy();
  });

  for (const how of ["at once", "later"] as const) {
    test(`revocation ignored what was open: streams, WebSockets, relays and tunnels of a run end with it, told ${how}`, async () => {
      await using upstream = startUpstream();
      const mcpServers = [{ name: "tools", url: `https://${upstream.authority}` }];
      const run: RunContextData = { runID: "one", mcpServers };
      let revoked = false;
      await using library = await startLibrary((proxy) => {
        proxy.addRelay("api", `https://${upstream.authority}`);
        const answer = (): RunContextData | undefined => (revoked ? undefined : run);
        proxy.setContextResolver(how === "at once" ? answer : async () => answer());
      });
      const fields = withToken("t");
      const stream = await tlsTunnel(library, upstream.authority, { fields });
      void stream.write(get("/stream", upstream.authority));
      const streaming = await upstream.next();
      await readHead(streaming);
      await streaming.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhead\r\n");
      await stream.readUntil("head\r\n");

      const socket = await tlsTunnel(library, upstream.authority, { fields });
      void socket.write(get("/ws", upstream.authority, WEBSOCKET_FIELDS));
      const web = await upstream.next();
      await readHead(web);
      await web.write(SWITCHED);
      expect((await readResponse(socket)).status).toBe(101);

      const relayed: ByteStream[] = [];
      for (const path of ["/relay/t/api/x", "/mcp/t/tools"]) {
        const client = await connectProxy(library);
        void client.write(get(path, "moat-proxy"));
        const server = await upstream.next();
        await readHead(server);
        await server.write("HTTP/1.1 200 OK\r\n\r\nhead");
        await client.readUntil("head");
        relayed.push(client, server);
      }

      const idle = await tlsTunnel(library, upstream.authority, { fields });
      revoked = true;
      const ended = (one: ByteStream): Promise<unknown> => within(one.readToEnd(), "end of what was revoked");
      await Promise.all([stream, socket, streaming, web, ...relayed].map(ended));
      expect(stream.text).not.toContain("0\r\n\r\n");
      const refused = await exchange(idle, get("/", upstream.authority));
      expect(blocked(refused)).toEqual([403, "run"]);
      await ended(idle);
    });
  }

  test("revocation ignored opaque tunnels: they end with their run", async () => {
    await using upstream = startUpstream({ tls: false });
    let revoked = false;
    await using library = await startLibrary((proxy) => {
      proxy.setCA(undefined);
      proxy.setContextResolver(() => (revoked ? undefined : { runID: "one" }));
    });
    const { stream } = await openTunnel(library, upstream.authority, { fields: withToken("t") });
    const far = await upstream.next();
    void stream.write("ping");
    await far.readUntil("ping");
    revoked = true;
    await Promise.all([stream, far].map((one) => within(one.readToEnd(), "end of the tunnel")));
  });

  test("one run's credential went out for another: neither credentials, tokens nor upstream connections are shared", async () => {
    await using upstream = startUpstream({ reply: (request) => ok(request.target) });
    const host = upstream.authority;
    const runs = new Map<string, RunContextData>(
      ["alice", "bob", "carol"].map((name) => [
        name,
        {
          runID: name,
          ...(name === "carol"
            ? {}
            : {
                credentials: { [host]: { name: "Authorization", value: `Bearer of-${name}`, grant: "same" } },
                tokenSubstitutions: { [host]: { placeholder: PLACEHOLDER, realToken: `token-of-${name}` } },
                mcpServers: [
                  { name: "tools", url: `https://${host}`, auth: { grant: "same", header: "Authorization" } },
                ],
              }),
        },
      ]),
    );
    await using library = await startLibrary((proxy) => {
      proxy.setCredential(host, "Bearer of-the-default-run");
      proxy.setTokenSubstitution(host, PLACEHOLDER, "token-of-the-default-run");
      proxy.setContextResolver((token) => runs.get(token));
    });
    for (const name of ["alice", "bob", "carol", "alice"]) {
      const tls = await tlsTunnel(library, host, { fields: withToken(name) });
      await exchange(tls, get(`/${PLACEHOLDER}`, host));
      const request = upstream.requests.at(-1) as Request;
      expect([request.target, value(request, "authorization")]).toEqual(
        name === "carol" ? [`/${PLACEHOLDER}`, undefined] : [`/token-of-${name}`, `Bearer of-${name}`],
      );
      tls.destroy();
    }
    expect(upstream.connections).toHaveLength(3);
    const client = await connectProxy(library);
    for (const name of ["alice", "bob"]) {
      await exchange(client, get(`/mcp/${name}/tools`, "moat-proxy"));
      expect(value(upstream.requests.at(-1) as Request, "authorization")).toBe(`Bearer of-${name}`);
    }
    expect((await exchange(client, get("/mcp/carol/tools", "moat-proxy"))).status).toBe(404);
    expect((await exchange(client, get("/mcp/mallory/tools", "moat-proxy"))).status).toBe(401);
    client.destroy();
  });

  test("a changed run went on as it was: policy, credential and server of the next request are the new ones", async () => {
    await using upstream = startUpstream({
      reply: (request) => ok(value(request, "authorization") ?? "none"),
    });
    const host = upstream.authority;
    const withKey = (key: string): RunContextData => ({
      runID: "one",
      credentials: { [host]: { name: "Authorization", value: key } },
    });
    let run: RunContextData = withKey("first");
    await using library = await startLibrary((proxy) => proxy.setContextResolver(() => run));
    const tls = await tlsTunnel(library, host, { fields: withToken("t") });
    expect(text(await exchange(tls, get("/", host)))).toBe("first");
    run = withKey("second");
    expect(text(await exchange(tls, get("/", host)))).toBe("second");
    run = { ...withKey("third"), policy: "strict", allowedHosts: ["elsewhere.test"] };
    expect((await exchange(tls, get("/", host))).status).toBe(403);
    expect(upstream.requests).toHaveLength(2);
    tls.destroy();
  });

  test("settings of the library were read once: each change is there for the next request of an open tunnel", async () => {
    await using upstream = startUpstream({
      reply: (request) => ok(value(request, "authorization") ?? "none"),
    });
    const host = upstream.authority;
    await using library = await startLibrary(() => undefined);
    const tls = await tlsTunnel(library, host);
    const answer = async (): Promise<string> => text(await exchange(tls, get("/", host)));
    expect(await answer()).toBe("none");
    library.proxy.setCredential(host, "first");
    expect(await answer()).toBe("first");
    library.proxy.setCredential(host, "second");
    expect(await answer()).toBe("second");
    library.proxy.setNetworkPolicy("strict", ["elsewhere.test"]);
    expect((await exchange(tls, get("/", host))).status).toBe(403);
    tls.destroy();
  });
});

const ELSEWHERE: readonly Row[] = [
  "7 | embedding in IPv6, CGNAT's metadata address, the host itself | e2e/destinations.test.ts | Refused: loopback, unspecified, link-local, metadata, multicast, broadcast, the host's own, embedded in IPv6",
  "7 | requests to itself | e2e/destinations.test.ts | the proxy itself: loops are refused",
  "7 | what was checked is not what was dialled | net/dial.test.ts | denied addresses of a name are skipped, whatever their order",
  "7 | requests inside a tunnel skipped the rules | e2e/rules.test.ts | all in one tunnel, in order",
  "7 | a WebSocket upgrade skipped the rules | e2e/rules.test.ts | a WebSocket upgrade is a GET like any other",
  "7 | no check at all over IPv6 | e2e/destinations.test.ts | IPv6, and the upstream is reached by its literal",
  "8 | rules were frozen at CONNECT | e2e/reload.test.ts | the policy: a host that is no longer allowed is refused inside, and served again later",
  "8 | revocation ignored open tunnels | e2e/reload.test.ts | the token: a tunnel whose token is no longer right gets 403 and is closed",
  "8 | a cache was not invalidated: the store | e2e/store.test.ts | the upstream gets what was granted, then what was granted next, then nothing",
  "8 | a cache was not invalidated: pooled connections | net/upstream-pool-reload.test.ts | closes what is idle, in an orderly way",
  "8 | another profile's credential | e2e/store.test.ts | a profile and an MCP server's name",
  "8 | a bad file left half a configuration | e2e/reload.test.ts | a bad file changes nothing and says why",
];

const NOT_APPLICABLE: readonly Row[] = [
  "7 | loopback past the proxy by NO_PROXY | the variable is the sandbox's: the proxy reads none of them (e2e/cli.test.ts has the test)",
  "7 | UDP 53 left open by a strict policy | the proxy carries TCP only and configures no firewall",
  "7 | CGNAT (100.64.0.0/10) as a destination | wire.md section 8 refuses the host's own and metadata addresses, not the networks behind; for the cleartext rule CGNAT is public (Pitfall 1)",
  "8 | runs came back more permissive after a restart | no run is written to disk: after a restart its token is unknown, and what the configuration says is read anew",
  "8 | runs were registered again only on not-found | the proxy keeps no register of runs; the embedding program's resolver is asked each time",
];

test("what is proved elsewhere is there", () => expectToExist(ELSEWHERE));
test("what cannot apply has its reason", () => expectReasons(NOT_APPLICABLE));

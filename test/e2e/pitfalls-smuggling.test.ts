// The pitfalls list, "also seen": what two parties read in two ways, and what is used up by those who ask often or go
// away. Each test is a mishap of a comparable product, on the compiled binary.
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { run, startProxy } from "../support/binary.ts";
import { within } from "../support/byte-stream.ts";
import { connectProxy, get, message, post, tlsTunnel } from "../support/client.ts";
import {
  exchange,
  type Request,
  readHead,
  readResponse,
  text,
  value,
  values,
} from "../support/http-message.ts";
import { withToken } from "../support/library.ts";
import { expectReasons, expectToExist, type Row } from "../support/pitfalls.ts";
import { credential, OTHER_SECRET, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";
import { WEBSOCKET_FIELDS } from "../support/websocket.ts";

/** Relay, MCP server and credential for one upstream. */
function locals(upstream: Upstream, scheme = "https"): object {
  const host = upstream.authority;
  return {
    credentials: [credential(host, { header: "x-api-key", grant: "g" })],
    extra_headers: [{ host, header: "X-Extra", value: "yes" }],
    token_substitutions: [
      { host, placeholder: PLACEHOLDER, source: { type: "static", value: OTHER_SECRET } },
    ],
    relays: [{ name: "api", url: `${scheme}://${host}` }],
    mcp_servers: [{ name: "tools", url: `${scheme}://${host}`, auth: { grant: "g", header: "x-api-key" } }],
  };
}

const LOCAL_PATHS = ["/relay/api/x", "/mcp/tools/x"];

describe("Also seen: smuggling / hop-by-hop", () => {
  for (const path of LOCAL_PATHS) {
    test(`fields that Connection names, Proxy-* and the proxy's own token went on over ${path}`, async () => {
      await using upstream = startUpstream({ reply: () => ok() });
      const config = { ...locals(upstream), proxy: { auth_token: "token-0123456789abcdef" } };
      await using proxy = await startProxy({ config });
      const client = await connectProxy(proxy);
      const fields = [
        ...withToken("token-0123456789abcdef"),
        "Connection: keep-alive, X-Named, x-api-key, X-Extra",
        "X-Named: 1",
        "x-api-key: mine",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: gzip",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
      ];
      expect((await exchange(client, get(path, "moat-proxy", fields))).status).toBe(200);
      const request = upstream.requests[0] as Request;
      const names = request.fields.map(([name]) => name.toLowerCase());
      expect(names.toSorted()).toEqual(["host", "x-api-key", "x-extra", "x-request-id"]);
      expect(value(request, "x-api-key")).toBe(SECRET);
      client.destroy();
    });

    test(`two framings were read in two ways: both lengths over ${path} are refused`, async () => {
      await using upstream = startUpstream({ reply: () => ok() });
      await using proxy = await startProxy({ config: locals(upstream) });
      const framing = ["Content-Length: 5", "Transfer-Encoding: chunked"];
      for (const fields of [framing, framing.toReversed(), ["Content-Length: 5", "Content-Length: 6"]]) {
        const client = await connectProxy(proxy);
        const request = message(`POST ${path} HTTP/1.1`, ["Host: moat-proxy", ...fields], "0\r\n\r\n");
        expect((await exchange(client, request)).status).toBe(400);
        client.destroy();
      }
      expect(upstream.connections).toHaveLength(0);
    });
  }

  const lookalikes: readonly (readonly string[])[] = [
    ["Connection: not-upgrade", "Upgrade: websocket"],
    ["Connection: upgrade-insecure", "Upgrade: websocket"],
    ["Connection: Upgrade", "Upgrade: websocketx"],
    ["Connection: Upgrade", "Upgrade: xwebsocket"],
    ["Upgrade: websocket"],
  ];
  for (const fields of lookalikes) {
    test(`upgrade was found within another word: ${fields.join(", ")} is none`, async () => {
      await using upstream = startUpstream({ reply: () => ok() });
      await using proxy = await startProxy({ config: locals(upstream) });
      const tls = await tlsTunnel(proxy, upstream.authority);
      const client = await connectProxy(proxy);
      await exchange(tls, get("/", upstream.authority, fields));
      await exchange(client, get("/relay/api/", "moat-proxy", fields));
      for (const request of upstream.requests) {
        expect([values(request, "upgrade"), values(request, "connection")]).toEqual([[], []]);
      }
      expect(upstream.requests).toHaveLength(2);
      tls.destroy();
      client.destroy();
    });
  }

  test("a changed length put the next request out of step: substituted bodies, pipelined, over one upstream connection", async () => {
    await using upstream = startUpstream({ reply: (request) => ok(text(request)) });
    await using proxy = await startProxy({ config: locals(upstream) });
    const tls = await tlsTunnel(proxy, upstream.authority);
    const smuggled = `${PLACEHOLDER}\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n`;
    const bodies = [PLACEHOLDER, PLACEHOLDER.repeat(3), "none", smuggled, ""];
    void tls.write(bodies.map((body) => post("/x", upstream.authority, body)).join(""));
    for (const body of bodies) {
      expect(text(await readResponse(tls, "POST"))).toBe(body.replaceAll(PLACEHOLDER, OTHER_SECRET));
    }
    expect(upstream.requests.map((request) => request.target)).toEqual(bodies.map(() => "/x"));
    expect(upstream.connections).toHaveLength(1);
    tls.destroy();
  });

  test("framing was the operator's to change: such fields are refused in every list at the start", async () => {
    const host = "api.example.test";
    const auth = (header: string): object => ({
      name: "t",
      url: `https://${host}`,
      auth: { grant: "g", header },
    });
    for (const header of [
      "Content-Length",
      "transfer-encoding",
      "Host",
      "Connection",
      "Proxy-Authorization",
    ]) {
      const configs = [
        { credentials: [credential(host, { header })] },
        { extra_headers: [{ host, header, value: "1" }] },
        { remove_headers: [{ host, header }] },
        { mcp_servers: [auth(header)] },
      ];
      await Promise.all(
        configs.map(async (config) => {
          await using process = run({ config });
          expect([header, config, await process.exited]).toEqual([header, config, 1]);
          expect(process.stderr).toContain(header);
        }),
      );
    }
  });
});

describe("Also seen: exhaustion", () => {
  test("a new transport for each request: relays, MCP servers and tunnels share one connection and one handshake", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy({ config: locals(upstream) });
    for (let i = 0; i < 5; i++) {
      const client = await connectProxy(proxy);
      for (const path of LOCAL_PATHS) await exchange(client, get(path, "moat-proxy"));
      const tls = await tlsTunnel(proxy, upstream.authority);
      await exchange(tls, get("/", upstream.authority));
      tls.destroy();
      client.destroy();
    }
    expect([upstream.requests.length, upstream.connections.length, upstream.serverNames.length]).toEqual([
      15, 1, 1,
    ]);
  });

  test.skipIf(!existsSync("/proc/self/fd"))(
    "each tunnel, relay and stream that was given up left something behind",
    async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy({ config: locals(upstream) });
      const abort = async (path: string, fields: readonly string[], head: string): Promise<void> => {
        const client = await connectProxy(proxy);
        void client.write(get(path, "moat-proxy", fields));
        const server = await upstream.next();
        await readHead(server);
        await server.write(head);
        await readHead(client);
        client.destroy();
        await within(server.readToEnd(), "end of the upstream");
      };
      const event = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
      const switched = "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
      const round = async (): Promise<void> => {
        for (const path of LOCAL_PATHS) {
          await abort(path, ["Accept: text/event-stream"], event);
          await abort(path, WEBSOCKET_FIELDS, switched);
        }
      };
      await round();
      const before = proxy.openFiles() ?? 0;
      for (let i = 0; i < 15; i++) await round();
      // The last one may not be closed yet.
      expect(proxy.openFiles() ?? 0).toBeLessThanOrEqual(before + 2);
    },
  );
});

const ELSEWHERE: readonly Row[] = [
  "smuggling / hop-by-hop | ambiguous framing | e2e/framing.test.ts | requests that are refused, and of which the upstream receives nothing",
  "smuggling / hop-by-hop | a field that Connection names went on | e2e/http.test.ts | hop-by-hop fields are not forwarded to the upstream",
  "smuggling / hop-by-hop | Connection took an injected field away | proxy/exchange/request-side.test.ts | is last: a client cannot have it removed by naming it in Connection",
  "smuggling / hop-by-hop | Proxy-Authorization went to the upstream | e2e/auth.test.ts | Proxy-Authorization never reaches the upstream, not even one sent inside a tunnel",
  "smuggling / hop-by-hop | keep-alive was given up for fear of desynchronisation | e2e/framing.test.ts | a second response nobody asked for is never given to the next request",
  "smuggling / hop-by-hop | bytes behind CONNECT were dropped | e2e/early-bytes.test.ts | bytes pipelined after the CONNECT head are not dropped",
  'exhaustion | the accept loop died of EMFILE | e2e/limits.test.ts | "The accept loop survives EMFILE"',
  "exhaustion | more connections than files | net/open-files.test.ts | the budget",
  "exhaustion | tunnels and aborted connections left descriptors | e2e/aborts.test.ts | connections that clients abort leave no descriptor behind",
  "exhaustion | no pooling | e2e/pool.test.ts | across tunnels and clients of one run",
  "exhaustion | memory without bound | e2e/bulk.test.ts | Memory per connection is bounded whatever the peer does: a slow reader pauses the writer",
];

const NOT_APPLICABLE: readonly Row[] = [
  "exhaustion | the accept loop of the Postgres listener | there is one listener for clients, and no Postgres",
  "exhaustion | orphan daemons | nothing starts the proxy by itself or in the background; it ends with SIGTERM (e2e/stop.test.ts)",
];

test("what is proved elsewhere is there", () => expectToExist(ELSEWHERE));
test("what cannot apply has its reason", () => expectReasons(NOT_APPLICABLE));

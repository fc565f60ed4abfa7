// What holds for relays and MCP relays alike (wire.md sections 9 and 10): streaming both ways, redirects that are
// passed on and never followed, and that a Location to the same server stays under the relay's path.
import { describe, expect, test } from "bun:test";
import { ask } from "../support/ask.ts";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { connectProxy, get, message } from "../support/client.ts";
import { chunk } from "../support/coded-text.ts";
import { exchange, readHead, readResponse, text, value, values } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { credential, expectNotPrinted, SECRET } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream, type UpstreamOptions } from "../support/upstream.ts";

const TOKEN = "stream-token-5b1d";

interface Kind {
  readonly name: string;
  /** The path of the relay, before the sub path. */
  readonly path: string;
  readonly token: boolean;
  readonly config: (url: string, host: string) => object;
}

const relays = (url: string, host: string): object => ({
  relays: [{ name: "up", url }],
  credentials: [credential(host, { header: "X-Key" })],
});
const servers = (url: string): object => ({
  mcp_servers: [{ name: "up", url, auth: { grant: "g", header: "X-Key" } }],
  credentials: [credential("elsewhere.test", { header: "X-Key", grant: "g" })],
});
const KINDS: readonly Kind[] = [
  { name: "a relay", path: "/relay/up", token: false, config: relays },
  { name: "a relay with its token in the path", path: `/relay/${TOKEN}/up`, token: true, config: relays },
  { name: "an MCP server", path: "/mcp/up", token: false, config: servers },
  {
    name: "an MCP server with its token in the path",
    path: `/mcp/${TOKEN}/up`,
    token: true,
    config: servers,
  },
];

interface Rig extends AsyncDisposable {
  readonly upstream: Upstream;
  readonly proxy: RunningProxy;
}

async function start(kind: Kind, options: UpstreamOptions = {}): Promise<Rig> {
  const upstream = startUpstream(options);
  const config = kind.config(`https://${upstream.authority}/base`, upstream.authority);
  const proxy = await startProxy({
    loopback: false,
    args: ["--upstream-ca", pki().caPath],
    config: { ...config, ...(kind.token ? { proxy: { auth_token: TOKEN } } : {}) },
  });
  return {
    upstream,
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy.stop();
      expectNotPrinted(proxy, [SECRET]);
      expect(proxy.stderr).not.toContain(TOKEN);
      expect(upstream.text).not.toContain(TOKEN);
      await proxy[Symbol.asyncDispose]();
      upstream.close();
    },
  };
}

for (const kind of KINDS) {
  describe(kind.name, () => {
    test("a request body streams up while the answer streams down", async () => {
      await using rig = await start(kind);
      const client = await connectProxy(rig.proxy);
      const fields = ["Host: localhost", "Transfer-Encoding: chunked"];
      void client.write(message(`POST ${kind.path}/both HTTP/1.1`, fields));
      const server = await rig.upstream.next();
      const head = await readHead(server);
      expect(head.startLine).toBe("POST /base/both HTTP/1.1");
      expect(values(head, "x-key")).toEqual([SECRET]);
      await server.write(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
      );
      await readHead(client);
      for (const word of ["one", "two", "three"]) {
        await client.write(chunk(`up ${word}\n`));
        await server.readUntil(`up ${word}\n`);
        await server.write(chunk(`data: down ${word}\n\n`));
        await client.readUntil(`data: down ${word}\n\n`);
      }
      await client.write("0\r\n\r\n");
      await server.readUntil("0\r\n\r\n");
      await server.write("0\r\n\r\n");
      await client.readUntil("0\r\n\r\n");
      client.destroy();
    });

    test("when the client leaves, the upstream's stream ends", async () => {
      await using rig = await start(kind);
      const client = await connectProxy(rig.proxy);
      void client.write(get(`${kind.path}/events`, "localhost"));
      const server = await rig.upstream.next();
      await readHead(server);
      await server.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
      await client.readUntil("data: 1\n\n");
      client.destroy();
      await server.whenClosed();
      const [record] = await rig.proxy.untilRecords(1);
      expect(record?.error).toBeUndefined();
    });

    for (const status of [301, 302, 303, 307, 308]) {
      test(`${status} to another origin: passed on, never followed, the credential does not follow`, async () => {
        await using other = startUpstream({ reply: () => ok("stolen") });
        const target = `https://${other.authority}/steal`;
        await using rig = await start(kind, {
          reply: () => `HTTP/1.1 ${status} Moved\r\nLocation: ${target}\r\nContent-Length: 0\r\n\r\n`,
        });
        const answer = await ask(rig.proxy, `${kind.path}/x`);
        expect([answer.status, value(answer, "location")]).toEqual([status, target]);
        expect(other.connections).toHaveLength(0);
        expect(rig.upstream.requests).toHaveLength(1);
      });
    }

    const mapped: readonly (readonly [location: string, target: string])[] = [
      ["https://AUTHORITY/base/next?q=1#f", "/base/next?q=1"],
      ["HTTPS://LOCALHOST:PORT/base/next", "/base/next"],
      ["/base/next?q=%2F", "/base/next?q=%2F"],
      ["//AUTHORITY/base/next", "/base/next"],
      ["next", "/base/next"],
      ["?only=query", "/base/x?only=query"],
      ["/base", "/base"],
      ["/base/../base/next", "/base/next"],
      ["/outside/login?q", "/outside/login?q"],
      ["/basement", "/basement"],
    ];
    for (const [written, target] of mapped) {
      test(`a Location to the same server stays under the relay: ${written}`, async () => {
        await using rig = await start(kind, {
          reply: (request) => {
            if (request.target !== "/base/x") return ok(request.target);
            const location = written
              .replace("AUTHORITY", rig.upstream.authority)
              .replace("PORT", String(rig.upstream.port));
            return `HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`;
          },
        });
        const base = `http://localhost:${rig.proxy.port}${kind.path}/x`;
        const first = await ask(rig.proxy, `${kind.path}/x`);
        const next = new URL(value(first, "location") ?? "", base);
        expect(next.host).toBe(`localhost:${rig.proxy.port}`);
        expect(next.pathname).toStartWith(kind.path);
        expect(text(await ask(rig.proxy, next.pathname + next.search))).toBe(target);
      });
    }

    for (const written of [
      "http://AUTHORITY/base/next",
      "https://AUTHORITY@evil.test/base/next",
      "https://AUTHORITY.evil.test/base/next",
      "https://localhost/base/next",
      "//evil.test/base",
      "https://evil.test\\@AUTHORITY/base",
    ]) {
      test(`a Location elsewhere is left as it is: ${written}`, async () => {
        await using rig = await start(kind, {
          reply: () =>
            `HTTP/1.1 302 F\r\nLocation: ${written.replace("AUTHORITY", rig.upstream.authority)}\r\nContent-Length: 0\r\n\r\n`,
        });
        const answer = await ask(rig.proxy, `${kind.path}/x`);
        expect(value(answer, "location")).toBe(written.replace("AUTHORITY", rig.upstream.authority));
      });
    }

    test("HEAD, 204, an error, interim answers and trailers are carried faithfully", async () => {
      const heads: Readonly<Record<string, string>> = {
        "/base/head": "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        "/base/204": "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        "/base/500": "HTTP/1.1 500 Oops\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nno",
        "/base/trailers":
          "HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
      };
      await using rig = await start(kind, { reply: (request) => heads[request.target] ?? null });
      const client = await connectProxy(rig.proxy);
      const head = await exchange(client, message(`HEAD ${kind.path}/head HTTP/1.1`, ["Host: localhost"]));
      expect(value(head, "content-length")).toBe("7");
      expect((await exchange(client, get(`${kind.path}/204`, "localhost"))).status).toBe(204);
      const error = await exchange(client, get(`${kind.path}/500`, "localhost"));
      // All relays are one origin to the client: a cookie stays with the relay that set it.
      const cookies = ["a=1", "b=2"].map((cookie) => `${cookie}; Path=${kind.path}`);
      expect([error.status, text(error), ...values(error, "set-cookie")]).toEqual([500, "no", ...cookies]);
      const early = await exchange(client, get(`${kind.path}/trailers`, "localhost", ["TE: trailers"]));
      expect(early.status).toBe(103);
      expect((await readResponse(client)).trailers).toEqual([["X-T", "1"]]);
      client.destroy();
    });
  });
}

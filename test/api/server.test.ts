// The library's server: where it binds, whom it refuses to serve, how it ends, and that nothing of it is left then.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { MoatProxy, Server, type ServerOptions } from "../../src/index.ts";
import { within } from "../support/byte-stream.ts";
import { connect, connectProxy, get } from "../support/client.ts";
import { embed, getOnce, TEST_OPTIONS, testCa, thrownBy, tunnelTo } from "../support/embedded.ts";
import { exchange, readResponse, text, value } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { runProgram } from "../support/programs.ts";
import { SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";

/** The message of a start that must fail. */
async function startFailure(server: Server): Promise<string> {
  const outcome: unknown = await server.start().then(
    () => server.stop(0).then(() => "it started"),
    (error) => error,
  );
  expect(outcome).toBeInstanceOf(Error);
  const { message } = outcome as Error;
  expect(message).not.toMatch(/[\r\n]|node_modules|\/src\//);
  return message;
}

describe("Server", () => {
  test("serves from start() to stop(), and may be started again", async () => {
    const server = new Server(new MoatProxy());
    expect([server.port, server.addr]).toEqual([0, "127.0.0.1:0"]);
    for (let round = 0; round < 2; round++) {
      await server.start();
      const { port } = server;
      expect(server.addr).toBe(`127.0.0.1:${port}`);
      const client = await connect("127.0.0.1", port);
      expect((await exchange(client, get("/healthz", server.addr))).status).toBe(200);
      await server.stop();
      await client.whenEnded();
      await expect(connect("127.0.0.1", port)).rejects.toThrow();
    }
  });

  test("a second start, and settings that come too late, are refused", async () => {
    await using server = new Server(new MoatProxy());
    await server.start();
    await expect(server.start()).rejects.toThrow("the server has been started already");
    expect(thrownBy(() => server.setPort(0))).toContain("started already");
    expect(thrownBy(() => server.setBindAddr("127.0.0.1"))).toContain("started already");
  });

  test("two over one proxy serve the same settings; the end of one is not the end of the other", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using embedded = await embed();
    const second = new Server(embedded.proxy, TEST_OPTIONS);
    await second.start();
    const at = { ...embedded, port: second.port };
    embedded.proxy.setCredential(upstream.authority, `Bearer ${SECRET}`);
    for (const each of [embedded, at]) await getOnce(each, upstream);
    await second.stop();
    embedded.proxy.setCredential(upstream.authority, `token ${SECRET}`);
    await getOnce(embedded, upstream);
    expect(upstream.requests.map((request) => value(request, "authorization"))).toEqual([
      `Bearer ${SECRET}`,
      `Bearer ${SECRET}`,
      `token ${SECRET}`,
    ]);
  });

  test("its options are checked at the start", async () => {
    const cases: readonly (readonly [ServerOptions, string])[] = [
      [{ allowIPs: ["10.0.0.0/99"] }, "10.0.0.0/99"],
      [{ upstreamCA: "/nowhere/ca.pem" }, "upstream CA /nowhere/ca.pem: cannot be read (ENOENT)"],
      [{ localHosts: ["a b"] }, 'local host "a b": expected a host name or an IP address'],
      [{ limits: { headMs: 0 } }, "limits.headMs: expected a whole number from 1 to"],
    ];
    for (const [options, says] of cases) {
      expect(await startFailure(new Server(new MoatProxy(), options))).toContain(says);
    }
  });

  test("answers to the further names of its host, however they are written", async () => {
    await using embedded = await embed(() => undefined, { localHosts: ["Proxy.Internal."] });
    const client = await connectProxy(embedded);
    expect((await exchange(client, get("/healthz", "proxy.internal"))).status).toBe(200);
    expect((await exchange(client, get("/healthz", "other.internal"))).status).toBe(421);
    client.destroy();
  });

  test("keeps its limits", async () => {
    await using embedded = await embed(() => undefined, {
      limits: { head: { maxHeadBytes: 1_024, maxHeadFields: 10 } },
    });
    const client = await connectProxy(embedded);
    const fields = Array.from({ length: 11 }, (_, i) => `X-${i}: 1`);
    expect((await exchange(client, get("/healthz", "localhost", fields))).status).toBe(431);
    client.destroy();
  });

  test("reads the file of its roots once: a change of the proxy cannot fail because it has gone", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const reads = { count: 0 };
    const options: ServerOptions = {
      ...TEST_OPTIONS,
      get upstreamCA() {
        return reads.count++ === 0 ? pki().caPath : "/gone/ca.pem";
      },
    };
    const proxy = new MoatProxy();
    proxy.setCA(testCa());
    await using server = new Server(proxy, options);
    await server.start();
    proxy.addRelay("api", `https://${upstream.authority}`);
    proxy.setCredential(upstream.authority, `Bearer ${SECRET}`);
    const client = await connect("127.0.0.1", server.port);
    expect((await exchange(client, get("/relay/api/", "localhost"))).status).toBe(200);
    client.destroy();
  });
});

describe("SetBindAddr", () => {
  test.each([["127.0.0.1"], ["127.0.0.5"], ["localhost"], ["[::1]"]])("binds to %s", async (addr) => {
    await using server = new Server(new MoatProxy());
    server.setBindAddr(addr);
    await server.start();
    const host = addr.replace(/[[\]]/g, "");
    expect(server.addr).toBe(`${addr}:${server.port}`);
    const client = await connect(host, server.port);
    expect((await exchange(client, get("/healthz", "localhost"))).status).toBe(200);
    client.destroy();
  });

  test.each([["a b"], [""], ["127.0.0.1:80"], ["http://a.test"]])("refuses %j", (addr) => {
    expect(thrownBy(() => new Server(new MoatProxy()).setBindAddr(addr))).toContain(
      "expected an IP address or a host name",
    );
  });

  test("beyond loopback wants a token, a resolver or a word", async () => {
    const opens: readonly ((proxy: MoatProxy) => ServerOptions)[] = [
      (proxy) => {
        proxy.setAuthToken("token-1");
        return {};
      },
      (proxy) => {
        proxy.setContextResolver(() => undefined);
        return {};
      },
      () => ({ allowOpenBind: true }),
    ];
    const closed = new Server(new MoatProxy());
    closed.setBindAddr("0.0.0.0");
    expect(await startFailure(closed)).toContain("bind address 0.0.0.0 can be reached by others");
    for (const open of opens) {
      const proxy = new MoatProxy();
      await using server = new Server(proxy, open(proxy));
      server.setBindAddr("0.0.0.0");
      await server.start();
    }
  });

  test("a name that only looks like loopback is not taken for it", async () => {
    const server = new Server(new MoatProxy());
    server.setBindAddr("127.0.0.1.example.com");
    expect(await startFailure(server)).toContain("can be reached by others");
  });
});

describe("SetPort", () => {
  test("binds to that port, and says in one line that it is taken", async () => {
    await using first = new Server(new MoatProxy());
    await first.start();
    const second = new Server(new MoatProxy());
    second.setPort(first.port);
    expect(second.port).toBe(first.port);
    expect(await startFailure(second)).toBe(`cannot listen on 127.0.0.1:${first.port}: the port is in use`);
    const { port } = first;
    await first.stop(0);
    await second.start();
    expect(second.port).toBe(port);
    await second.stop(0);
  });

  test.each([[-1], [65_536], [1.5], [Number.NaN], ["8080"]])("refuses %p", (port) => {
    expect(thrownBy(() => new Server(new MoatProxy()).setPort(port as number))).toContain(
      "expected a whole number from 0 to 65535",
    );
  });
});

describe("stop()", () => {
  test("lets a running request finish and accepts no more", async () => {
    await using upstream = startUpstream();
    await using embedded = await embed();
    const tunnel = await tunnelTo(embedded, upstream);
    await tunnel.write(get("/slow", upstream.authority));
    const source = await upstream.next();
    await source.readUntil("\r\n\r\n");
    const stopped = embedded.server.stop(5_000);
    await expect(connect(embedded.host, embedded.port)).rejects.toThrow();
    void source.write(ok("the whole answer"));
    expect(text(await readResponse(tunnel))).toBe("the whole answer");
    tunnel.end();
    await within(stopped, "end of stop()", 3_000);
    await embedded.untilLogged(1);
    expect(embedded.logged[0]?.statusCode).toBe(200);
  });

  test("cuts what still runs when its time is over, and the logger hears of it", async () => {
    await using upstream = startUpstream();
    await using embedded = await embed();
    const tunnel = await tunnelTo(embedded, upstream);
    await tunnel.write(get("/slow", upstream.authority));
    const source = await upstream.next();
    await source.readUntil("\r\n\r\n");
    await embedded.server.stop(50);
    await tunnel.whenClosed();
    await source.whenClosed();
    await embedded.untilLogged(1);
  });

  test("before start(), and twice, is nothing", async () => {
    const server = new Server(new MoatProxy());
    await server.stop();
    await server.start();
    await Promise.all([server.stop(0), server.stop(0)]);
  });

  test("afterwards a change of the proxy is no longer its business", async () => {
    const proxy = new MoatProxy();
    proxy.setAuthToken("token-1");
    const server = new Server(proxy);
    server.setBindAddr("0.0.0.0");
    await server.start();
    await server.stop(0);
    proxy.setAuthToken(undefined);
  });
});

describe("await using", () => {
  test("ends the server with its block", async () => {
    let port = 0;
    {
      await using server = new Server(new MoatProxy());
      await server.start();
      port = server.port;
    }
    await expect(connect("127.0.0.1", port)).rejects.toThrow();
  });
});

test("a process with a proxy that has stopped ends by itself: no handle is left", async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok("through") });
  const program = `
    import { MoatProxy, Server } from ${JSON.stringify(join(import.meta.dir, "../../src/index.ts"))};
    const proxy = new MoatProxy();
    proxy.setContextResolver(async () => ({ runID: "r" }));
    const servers = [1, 2].map(() => new Server(proxy, { allowIPs: ["127.0.0.0/8", "::1"] }));
    for (const server of servers) await server.start();
    for (const { addr } of servers) {
      const answer = await fetch("http://${upstream.authority}/", { proxy: "http://moat:t@" + addr });
      console.log(await answer.text());
    }
    for (const server of servers) await server.stop();
  `;
  const { code, stdout, stderr } = await within(
    runProgram([process.execPath, "-e", program]),
    "its end",
    10_000,
  );
  expect([code, stdout, stderr]).toEqual([0, "through\nthrough\n", ""]);
});

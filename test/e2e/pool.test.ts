// Upstream connections (wire.md section 4): reused across tunnels and clients of one run, dropped when they must be,
// and when a request may be sent again.
import { describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import type { ByteStream } from "../support/byte-stream.ts";
import { connectProxy, get, message, post, tlsTunnel } from "../support/client.ts";
import { exchange, readHead, readRequest, readResponse, text } from "../support/http-message.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

/** Puts one idle connection into the pool: a first GET, answered. */
async function warm(client: ByteStream, upstream: Upstream, reply = ok("warm")): Promise<ByteStream> {
  void client.write(get("/warm", upstream.authority));
  const server = await upstream.next();
  await readHead(server);
  await server.write(reply);
  await readResponse(client);
  return server;
}

/** The next request on whatever connection it comes on. */
async function nextOn(server: ByteStream, path: string): Promise<void> {
  expect((await readHead(server)).startLine).toContain(` ${path} HTTP/1.1`);
}

describe("an upstream connection is reused", () => {
  test("across tunnels and clients of one run", async () => {
    await using upstream = startUpstream({ reply: () => ok("pooled") });
    await using proxy = await startProxy();
    for (let count = 0; count < 5; count++) {
      const tls = await tlsTunnel(proxy, upstream.authority);
      expect(text(await exchange(tls, get(`/${count}`, upstream.authority)))).toBe("pooled");
      tls.destroy();
    }
    expect(upstream.requests).toHaveLength(5);
    expect(upstream.connections).toHaveLength(1);
  });

  test("across plain http clients", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok("pooled") });
    await using proxy = await startProxy();
    for (let count = 0; count < 5; count++) {
      const client = await connectProxy(proxy);
      await exchange(client, get(`http://${upstream.authority}/${count}`, upstream.authority));
      client.destroy();
    }
    expect(upstream.connections).toHaveLength(1);
  });

  test("two requests at the same time take two connections", async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy();
    const clients = [await tlsTunnel(proxy, upstream.authority), await tlsTunnel(proxy, upstream.authority)];
    for (const client of clients) void client.write(get("/", upstream.authority));
    const servers = [await upstream.next(), await upstream.next()];
    for (const server of servers) {
      await readHead(server);
      await server.write(ok("side by side"));
    }
    for (const client of clients) {
      expect(text(await readResponse(client))).toBe("side by side");
      client.destroy();
    }
  });

  test("never for another authority: the same server by another name gets a connection of its own", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy();
    for (const host of ["localhost", "127.0.0.1"]) {
      const authority = `${host}:${upstream.port}`;
      const tls = await tlsTunnel(proxy, authority);
      await exchange(tls, get("/", authority));
      tls.destroy();
    }
    expect(upstream.connections).toHaveLength(2);
  });

  test("after a body in each direction, chunked or sized", async () => {
    await using upstream = startUpstream({
      reply: (request) =>
        request.method === "POST"
          ? `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n`
          : ok("sized"),
    });
    await using proxy = await startProxy();
    const tls = await tlsTunnel(proxy, upstream.authority);
    expect(text(await exchange(tls, post("/", upstream.authority, "x".repeat(5000))))).toBe("body");
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("sized");
    const chunked = message(
      "POST / HTTP/1.1",
      [`Host: ${upstream.authority}`, "Transfer-Encoding: chunked"],
      "2\r\nhi\r\n0\r\n\r\n",
    );
    expect(text(await exchange(tls, chunked))).toBe("body");
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("sized");
    expect(upstream.connections).toHaveLength(1);
    tls.destroy();
  });
});

describe("an upstream connection is not reused", () => {
  const replies: readonly (readonly [name: string, reply: string])[] = [
    ["after Connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
    ["after an HTTP/1.0 answer without keep-alive", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"],
    [
      '"or its `Keep-Alive: timeout` minus 1 s": timeout=1',
      "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok",
    ],
    ["timeout=0", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 2\r\n\r\nok"],
    ["after bytes behind the response", `${ok("ok")}more`],
  ];
  for (const [name, reply] of replies) {
    test(name, async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const tls = await tlsTunnel(proxy, upstream.authority);
      await warm(tls, upstream, reply);
      void tls.write(get("/second", upstream.authority));
      const fresh = await upstream.next();
      await nextOn(fresh, "/second");
      await fresh.write(ok("fresh"));
      expect(text(await readResponse(tls))).toBe("fresh");
      tls.destroy();
    });
  }

  test("when the answer came before the request body was through", async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy();
    const first = await tlsTunnel(proxy, upstream.authority);
    void first.write(
      message("POST / HTTP/1.1", [`Host: ${upstream.authority}`, "Content-Length: 100000"], "begin"),
    );
    const server = await upstream.next();
    await readHead(server);
    await server.write(ok("early"));
    expect(text(await readResponse(first))).toBe("early");
    first.destroy();
    const second = await tlsTunnel(proxy, upstream.authority);
    void second.write(get("/second", upstream.authority));
    const fresh = await upstream.next();
    await nextOn(fresh, "/second");
    await fresh.write(ok("fresh"));
    expect(text(await readResponse(second))).toBe("fresh");
    second.destroy();
  });

  test("when the upstream has closed it: the next request goes out on a fresh one", async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy();
    const tls = await tlsTunnel(proxy, upstream.authority);
    const server = await warm(tls, upstream);
    server.end();
    await server.whenClosed();
    void tls.write(post("/second", upstream.authority, "body"));
    const fresh = await upstream.next();
    expect(text(await readRequest(fresh))).toBe("body");
    await fresh.write(ok("fresh"));
    expect(text(await readResponse(tls))).toBe("fresh");
    tls.destroy();
  });
});

describe("a request on a pooled connection that dies without an answer", () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]) {
    test(`"one that may is retried once when nothing of an answer was seen": ${method}`, async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const tls = await tlsTunnel(proxy, upstream.authority);
      const stale = await warm(tls, upstream);
      void tls.write(message(`${method} /again HTTP/1.1`, [`Host: ${upstream.authority}`]));
      await nextOn(stale, "/again");
      stale.destroy();
      const fresh = await upstream.next();
      await nextOn(fresh, "/again");
      await fresh.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Try: second\r\n\r\n");
      expect((await readResponse(tls, method)).rawHead).toContain("X-Try: second");
      expect(await proxy.untilRecords(2, (record) => record.http_status === 200)).toHaveLength(2);
      tls.destroy();
    });
  }

  for (const method of ["POST", "PATCH"]) {
    test(`"A request that may not be repeated" is not: ${method} is 502, and the upstream saw it once`, async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const tls = await tlsTunnel(proxy, upstream.authority);
      const pooled = await warm(tls, upstream);
      const raw = message(
        `${method} /once HTTP/1.1`,
        [`Host: ${upstream.authority}`, "Content-Length: 4"],
        "body",
      );
      void tls.write(raw);
      await pooled.readUntil("body");
      pooled.destroy();
      expect((await readResponse(tls)).status).toBe(502);
      expect(upstream.text.split("/once")).toHaveLength(2);
      expect(upstream.connections).toHaveLength(1);
      tls.destroy();
    });
  }

  test('"once": a second death is 502', async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy();
    const tls = await tlsTunnel(proxy, upstream.authority);
    const stale = await warm(tls, upstream);
    void tls.write(get("/again", upstream.authority));
    await nextOn(stale, "/again");
    stale.destroy();
    const second = await upstream.next();
    await nextOn(second, "/again");
    second.destroy();
    expect((await readResponse(tls)).status).toBe(502);
    expect(upstream.connections).toHaveLength(2);
    tls.destroy();
  });

  test('"when nothing of an answer was seen": not after half a head', async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy();
    const tls = await tlsTunnel(proxy, upstream.authority);
    const pooled = await warm(tls, upstream);
    void tls.write(get("/again", upstream.authority));
    await nextOn(pooled, "/again");
    await pooled.write("HTTP/1.1 200 O");
    pooled.end();
    expect((await readResponse(tls)).status).toBe(502);
    expect(upstream.connections).toHaveLength(1);
    tls.destroy();
  });

  test("a GET whose body has gone out is not sent again without it", async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy();
    const tls = await tlsTunnel(proxy, upstream.authority);
    const pooled = await warm(tls, upstream);
    void tls.write(
      message(
        "PUT /large HTTP/1.1",
        [`Host: ${upstream.authority}`, "Content-Length: 300000"],
        "x".repeat(300_000),
      ),
    );
    await pooled.readUntil("\r\n\r\n");
    await pooled.readBytes(300_000);
    pooled.destroy();
    // Either refused, or repeated whole: never a head without its body.
    const later = upstream.next().then(async (fresh) => {
      const request = await readRequest(fresh);
      expect(request.body.length).toBe(300_000);
      await fresh.write(ok("whole"));
    });
    later.catch(() => undefined);
    const answer = await readResponse(tls);
    if (answer.status !== 502) {
      await later;
      expect(text(answer)).toBe("whole");
    }
    tls.destroy();
  });
});

describe('"NTLM and Negotiate pin it to its client session"', () => {
  for (const scheme of ["NTLM", "Negotiate"]) {
    test(scheme, async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const alice = await tlsTunnel(proxy, upstream.authority);
      const challenge = `HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: ${scheme}\r\nContent-Length: 0\r\n\r\n`;
      const server = await warm(alice, upstream, challenge);
      // The handshake goes on over the same connection.
      void alice.write(get("/in", upstream.authority, [`Authorization: ${scheme} TlRMTVNTUAAB`]));
      await nextOn(server, "/in");
      await server.write(ok("alice is in"));
      expect(text(await readResponse(alice))).toBe("alice is in");
      // Another client never gets the connection that is now alice's.
      const bob = await tlsTunnel(proxy, upstream.authority);
      void bob.write(get("/bob", upstream.authority));
      const other = await upstream.next();
      await nextOn(other, "/bob");
      await other.write(ok("bob has his own"));
      expect(text(await readResponse(bob))).toBe("bob has his own");
      // And it ends with her.
      alice.destroy();
      await server.whenClosed();
      bob.destroy();
    });
  }
});

test("a connection that the proxy keeps idle does not keep the proxy from stopping", async () => {
  await using upstream = startUpstream({ reply: () => ok() });
  await using proxy: RunningProxy = await startProxy({ args: ["--drain-timeout", "30s"] });
  const tls = await tlsTunnel(proxy, upstream.authority);
  await exchange(tls, get("/", upstream.authority));
  tls.destroy();
  expect(await proxy.stop()).toBe(0);
  await upstream.connections[0]?.whenClosed();
});

// What a request inside a tunnel may say (wire.md section 4): its authority, CONNECT and TRACE, upgrades, and
// what happens to bodies that nobody reads. The upstream must not see what was refused.
import { describe, expect, test } from "bun:test";
import { startProxy } from "../support/binary.ts";
import { connectProxy, get, message, post, tlsTunnel } from "../support/client.ts";
import { exchange, readHead, readResponse, text, value, values } from "../support/http-message.ts";
import { credential, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";
import { WEBSOCKET_FIELDS } from "../support/websocket.ts";

describe("Decision: the effective authority of an inner request must equal the CONNECT authority: else 421 (domain fronting, credential theft)", () => {
  const refused: readonly (readonly [name: string, target: string, host: (port: number) => string])[] = [
    ["another host", "/", () => "evil.test"],
    ["another host with the same port", "/", (port) => `evil.test:${port}`],
    ["another port", "/", (port) => `localhost:${port === 65535 ? 1 : port + 1}`],
    ["the default port filled in", "/", () => "localhost"],
    ["the address instead of the name", "/", (port) => `127.0.0.1:${port}`],
    ["a prefix of the host", "/", (port) => `localhos:${port}`],
    ["a suffix of the host", "/", (port) => `x.localhost:${port}`],
    [
      "an absolute-form target for another host, though Host is right",
      "https://evil.test/",
      (port) => `localhost:${port}`,
    ],
    ["an absolute-form target without the port", "https://localhost/", (port) => `localhost:${port}`],
  ];
  for (const [name, target, host] of refused) {
    test(name, async () => {
      await using upstream = startUpstream({ reply: () => ok("stolen") });
      await using proxy = await startProxy({ config: { credentials: [credential(upstream.authority)] } });
      const tls = await tlsTunnel(proxy, upstream.authority);
      const answer = await exchange(tls, get(target, host(upstream.port)));
      expect(answer.startLine).toBe("HTTP/1.1 421 Misdirected Request");
      expect(upstream.text).toBe("");
      const records = await proxy.untilRecords(1, (record) => record.http_method === "GET");
      expect(records).toMatchObject([{ http_status: 421 }]);
      tls.destroy();
    });
  }

  const accepted: readonly (readonly [
    name: string,
    target: (port: number) => string,
    host: (port: number) => string,
  ])[] = [
    ["the same", () => "/p", (port) => `localhost:${port}`],
    ["other case", () => "/p", (port) => `LocalHost:${port}`],
    ["a trailing dot", () => "/p", (port) => `localhost.:${port}`],
    ["absolute-form", (port) => `https://localhost:${port}/p`, (port) => `localhost:${port}`],
    ["absolute-form wins over Host", (port) => `https://localhost:${port}/p`, () => "ignored.test"],
  ];
  for (const [name, target, host] of accepted) {
    test(`accepted: ${name}`, async () => {
      await using upstream = startUpstream({ reply: () => ok("fine") });
      await using proxy = await startProxy({ config: { credentials: [credential(upstream.authority)] } });
      const tls = await tlsTunnel(proxy, upstream.authority);
      expect(text(await exchange(tls, get(target(upstream.port), host(upstream.port))))).toBe("fine");
      const [request] = upstream.requests;
      expect(request?.target).toBe("/p");
      expect(values(request as never, "host").map((sent) => sent.toLowerCase().replace(".:", ":"))).toEqual([
        upstream.authority,
      ]);
      expect(values(request as never, "authorization")).toEqual([`Bearer ${SECRET}`]);
      tls.destroy();
    });
  }

  test("CONNECT in other case and with a trailing dot gets the same credential", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy({ config: { credentials: [credential(upstream.authority)] } });
    const tls = await tlsTunnel(proxy, `LOCALHOST.:${upstream.port}`);
    await exchange(tls, get("/", upstream.authority));
    expect(values(upstream.requests[0] as never, "authorization")).toEqual([`Bearer ${SECRET}`]);
    tls.destroy();
  });
});

test('"Inner CONNECT: 400"', async () => {
  await using upstream = startUpstream({ reply: () => ok() });
  await using proxy = await startProxy();
  const tls = await tlsTunnel(proxy, upstream.authority);
  await tls.write(`CONNECT ${upstream.authority} HTTP/1.1\r\nHost: ${upstream.authority}\r\n\r\n`);
  expect((await readResponse(tls)).status).toBe(400);
  expect(upstream.text).toBe("");
  tls.destroy();
});

test('"TRACE: 405 everywhere, it would echo the credential"', async () => {
  await using upstream = startUpstream({ reply: () => ok() });
  await using plain = startUpstream({ tls: false, reply: () => ok() });
  await using proxy = await startProxy({ config: { credentials: [credential(upstream.authority)] } });
  const tls = await tlsTunnel(proxy, upstream.authority);
  const outer = await connectProxy(proxy);
  const trace = (target: string, host: string): string =>
    message(`TRACE ${target} HTTP/1.1`, [`Host: ${host}`]);
  expect((await exchange(tls, trace("/", upstream.authority))).status).toBe(405);
  expect((await exchange(outer, trace(`http://${plain.authority}/`, plain.authority))).status).toBe(405);
  const local = await connectProxy(proxy);
  expect((await exchange(local, trace("/healthz", "localhost"))).status).toBe(405);
  expect(upstream.text + plain.text).toBe("");
  for (const stream of [tls, outer, local]) stream.destroy();
});

describe('"Only `Upgrade: websocket` is forwarded"', () => {
  const removed: readonly (readonly [name: string, fields: readonly string[]])[] = [
    [
      "h2c",
      ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"],
    ],
    [
      "h2c without naming HTTP2-Settings",
      ["Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"],
    ],
    ["h2c not named in Connection", ["Upgrade: h2c"]],
    ["TLS/1.0", ["Connection: upgrade", "Upgrade: TLS/1.0"]],
    ["a name that only contains websocket", ["Connection: Upgrade", "Upgrade: xwebsocketx"]],
    ["a list with h2c first", ["Connection: Upgrade", "Upgrade: h2c, websocket"]],
  ];
  for (const [name, fields] of removed) {
    test(`any other Upgrade and HTTP2-Settings are removed and the request goes on as HTTP/1.1: ${name}`, async () => {
      await using upstream = startUpstream({ reply: () => ok("still 1.1") });
      await using proxy = await startProxy();
      const tls = await tlsTunnel(proxy, upstream.authority);
      expect(text(await exchange(tls, get("/", upstream.authority, fields)))).toBe("still 1.1");
      expect(upstream.text.toLowerCase()).not.toMatch(/h2c|http2-settings|tls\/1\.0|xwebsocketx/);
      if (name !== "a list with h2c first") expect(upstream.text.toLowerCase()).not.toContain("upgrade");
      tls.destroy();
    });
  }

  test("websocket goes on with Connection rebuilt", async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy({ config: { credentials: [credential(upstream.authority)] } });
    const tls = await tlsTunnel(proxy, upstream.authority);
    const fields = [
      ...WEBSOCKET_FIELDS.slice(1),
      "Connection: keep-alive, Upgrade, X-Drop",
      "X-Drop: me",
      `Authorization: Bearer ${PLACEHOLDER}`,
    ];
    void tls.write(get("/ws", upstream.authority, fields));
    const server = await upstream.next();
    const head = await readHead(server);
    expect(value(head, "connection")?.toLowerCase()).toBe("upgrade");
    expect(value(head, "upgrade")?.toLowerCase()).toBe("websocket");
    expect(values(head, "x-drop")).toEqual([]);
    expect(values(head, "authorization")).toEqual([`Bearer ${SECRET}`]);
    tls.destroy();
  });

  for (const [name, fields] of [
    ["no upgrade was asked for", []],
    ["h2c was asked for", ["Connection: Upgrade", "Upgrade: h2c"]],
  ] as const) {
    test(`"a 101 unasked for is 502 and the upstream is destroyed": ${name}`, async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const tls = await tlsTunnel(proxy, upstream.authority);
      void tls.write(get("/", upstream.authority, fields));
      const server = await upstream.next();
      await readHead(server);
      await server.write(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nsmuggled",
      );
      const answer = await readResponse(tls);
      expect(answer.status).toBe(502);
      expect(text(answer)).not.toContain("smuggled");
      await server.whenClosed();
      tls.destroy();
    });
  }

  test("a 101 to another protocol than websocket is 502, though websocket was asked for", async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy();
    const tls = await tlsTunnel(proxy, upstream.authority);
    void tls.write(get("/", upstream.authority, WEBSOCKET_FIELDS));
    const server = await upstream.next();
    await readHead(server);
    await server.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    expect((await readResponse(tls)).status).toBe(502);
    await server.whenClosed();
    tls.destroy();
  });
});

describe('"After a reply of our own at most 64 KiB of an unread request body are drained, else the connection closes"', () => {
  for (const where of ["in a tunnel", "outside"] as const) {
    test(`a small body is drained and the connection goes on, ${where}`, async () => {
      await using upstream = startUpstream({
        tls: where === "in a tunnel" ? undefined : false,
        reply: () => ok("next"),
      } as never);
      await using proxy = await startProxy();
      const inside = where === "in a tunnel";
      const stream = inside ? await tlsTunnel(proxy, upstream.authority) : await connectProxy(proxy);
      const refused = inside
        ? post("/", "evil.test", "x".repeat(10_000))
        : post("/nothing-here", "localhost", "x".repeat(10_000));
      const answer = await exchange(stream, refused);
      expect(answer.status).toBe(inside ? 421 : 404);
      const target = inside ? "/" : `http://${upstream.authority}/`;
      expect(text(await exchange(stream, get(target, upstream.authority)))).toBe("next");
      stream.destroy();
    });

    test(`a large body closes the connection after the reply, ${where}`, async () => {
      await using upstream = startUpstream({ reply: () => ok("next") });
      await using proxy = await startProxy();
      const inside = where === "in a tunnel";
      const stream = inside ? await tlsTunnel(proxy, upstream.authority) : await connectProxy(proxy);
      const size = 10 << 20;
      const host = inside ? "evil.test" : "localhost";
      void stream.write(message("POST /nothing-here HTTP/1.1", [`Host: ${host}`, `Content-Length: ${size}`]));
      void stream.write("x".repeat(size));
      expect((await readResponse(stream)).status).toBe(inside ? 421 : 404);
      await stream.whenClosed();
    });
  }
});

describe('"An early answer of the upstream (401, 413) is forwarded at once"', () => {
  for (const status of ["401 Unauthorized", "413 Content Too Large"]) {
    test(`${status}, while the client is still sending`, async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const tls = await tlsTunnel(proxy, upstream.authority);
      void tls.write(
        message("POST /up HTTP/1.1", [`Host: ${upstream.authority}`, "Content-Length: 1000000"], "begin"),
      );
      const server = await upstream.next();
      await readHead(server);
      await server.write(`HTTP/1.1 ${status}\r\nContent-Length: 3\r\n\r\nno!`);
      const answer = await readResponse(tls);
      expect(answer.startLine).toBe(`HTTP/1.1 ${status}`);
      expect(text(answer)).toBe("no!");
      tls.destroy();
    });
  }

  test('"a failed write does not discard an answer already received"', async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy();
    const tls = await tlsTunnel(proxy, upstream.authority);
    const size = 32 << 20;
    void tls.write(message("POST /up HTTP/1.1", [`Host: ${upstream.authority}`, `Content-Length: ${size}`]));
    const server = await upstream.next();
    await readHead(server);
    server.pause();
    void tls.write(Buffer.alloc(size, "u"));
    await server.write(
      "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntoo large",
    );
    server.end();
    const answer = await readResponse(tls);
    expect(answer.status).toBe(413);
    expect(text(answer)).toBe("too large");
    server.destroy();
    tls.destroy();
  });
});

test("Redirects are never followed", async () => {
  await using elsewhere = startUpstream({ reply: () => ok("followed") });
  await using upstream = startUpstream({
    reply: () =>
      `HTTP/1.1 302 Found\r\nLocation: https://${elsewhere.authority}/next\r\nContent-Length: 0\r\n\r\n`,
  });
  await using proxy = await startProxy({ config: { credentials: [credential(upstream.authority)] } });
  const tls = await tlsTunnel(proxy, upstream.authority);
  for (const status of ["GET", "POST"]) {
    const answer = await exchange(
      tls,
      status === "GET" ? get("/", upstream.authority) : post("/", upstream.authority, "b"),
    );
    expect(answer.status).toBe(302);
    expect(value(answer, "location")).toBe(`https://${elsewhere.authority}/next`);
  }
  expect(elsewhere.connections).toHaveLength(0);
  tls.destroy();
});

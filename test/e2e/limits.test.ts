// Limits (wire.md section 14): heads, deadlines, connection caps, EMFILE. Bounded memory is in bulk.test.ts.
// The deadlines of a minute and more run only with MOAT_E2E_SLOW=1.
import { describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { ByteStream, streamHandlers, within } from "../support/byte-stream.ts";
import { connectProxy, get, message, openTunnel, tlsTunnel } from "../support/client.ts";
import { exchange, readHead, readResponse, text } from "../support/http-message.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

const slow = process.env.MOAT_E2E_SLOW === "1";

const WAYS = ["in a tunnel", "over plain http"] as const;

interface Setting {
  readonly stream: ByteStream;
  readonly target: string;
}

async function open(way: (typeof WAYS)[number], proxy: RunningProxy, upstream: Upstream): Promise<Setting> {
  if (way === "in a tunnel") return { stream: await tlsTunnel(proxy, upstream.authority), target: "/" };
  return { stream: await connectProxy(proxy), target: `http://${upstream.authority}/` };
}

for (const way of WAYS) {
  describe(`"Head 64 KiB and 200 fields (431 beyond)", ${way}`, () => {
    const start = (): Upstream =>
      startUpstream(way === "in a tunnel" ? { reply: () => ok() } : { tls: false, reply: () => ok() });
    const cases: readonly (readonly [
      name: string,
      fields: (room: number) => readonly string[],
      status: number,
    ])[] = [
      ["200 fields with Host", () => Array.from({ length: 199 }, (_, at) => `X-${at}: v`), 200],
      ["201 fields with Host", () => Array.from({ length: 200 }, (_, at) => `X-${at}: v`), 431],
      ["a head of 60 KiB", () => [`X-Large: ${"v".repeat(60 * 1024)}`], 200],
      ["a head of 64 KiB and more", () => [`X-Large: ${"v".repeat(64 * 1024)}`], 431],
      ["one field of 1 MiB", () => [`X-Large: ${"v".repeat(1 << 20)}`], 431],
      ["10,000 fields", () => Array.from({ length: 10_000 }, (_, at) => `X-${at}: v`), 431],
    ];
    for (const [name, fields, status] of cases) {
      test(`${name}: ${status}`, async () => {
        await using upstream = start();
        await using proxy = await startProxy();
        const { stream, target } = await open(way, proxy, upstream);
        const answer = await exchange(stream, get(target, upstream.authority, fields(0)));
        expect(answer.status).toBe(status);
        if (status === 431) expect(upstream.text).toBe("");
        stream.destroy();
      });
    }

    test("a target beyond the limit is refused", async () => {
      await using upstream = start();
      await using proxy = await startProxy();
      const { stream, target } = await open(way, proxy, upstream);
      const answer = await exchange(stream, get(`${target}${"p".repeat(70_000)}`, upstream.authority));
      expect([414, 431]).toContain(answer.status);
      expect(upstream.text).toBe("");
      stream.destroy();
    });
  });
}

test("a response head beyond the limit is 502, and so are too many fields", async () => {
  await using upstream = startUpstream();
  await using proxy = await startProxy();
  const tls = await tlsTunnel(proxy, upstream.authority);
  const heads = [
    `X-Large: ${"v".repeat(70_000)}`,
    Array.from({ length: 300 }, (_, at) => `X-${at}: v`).join("\r\n"),
  ];
  for (const fields of heads) {
    void tls.write(get("/", upstream.authority));
    const server = await upstream.next();
    await readHead(server);
    void server.write(`HTTP/1.1 200 OK\r\n${fields}\r\nContent-Length: 0\r\n\r\n`);
    expect((await readResponse(tls)).status).toBe(502);
    await server.whenClosed();
  }
  tls.destroy();
});

test("endless trailers end the connection", async () => {
  await using upstream = startUpstream();
  await using proxy = await startProxy();
  const tls = await tlsTunnel(proxy, upstream.authority);
  const fields = [`Host: ${upstream.authority}`, "Transfer-Encoding: chunked"];
  const trailers = Array.from({ length: 20_000 }, (_, at) => `X-${at}: v\r\n`).join("");
  void tls.write(message("POST / HTTP/1.1", fields, `1\r\na\r\n0\r\n${trailers}`));
  await tls.whenClosed();
  expect(upstream.text).not.toContain("X-19999");
});

describe("deadlines", () => {
  test.concurrent('"a client\'s TLS handshake within 10 s"', async () => {
    await using proxy = await startProxy();
    const { stream } = await openTunnel(proxy, "localhost:443");
    const begun = performance.now();
    await stream.whenClosed(15_000);
    expect(performance.now() - begun).toBeGreaterThan(8_000);
    expect(await proxy.untilRecords(1)).toHaveLength(1);
  }, 20_000);

  test.concurrent('"Upstream … TLS 10 s": an upstream that never answers the handshake is 502 in the tunnel', async () => {
    await using upstream = startUpstream({ tls: false });
    await using proxy = await startProxy();
    const tls = await tlsTunnel(proxy, upstream.authority);
    void tls.write(get("/", upstream.authority));
    const begun = performance.now();
    await within(tls.untilReadable(15_000), "an answer", 16_000);
    expect((await readResponse(tls)).status).toBe(502);
    expect(performance.now() - begun).toBeGreaterThan(8_000);
    const server = await upstream.next();
    await server.whenClosed();
    expect(server.text.slice(0, 1)).toBe("\x16");
    expect(server.text).not.toContain("HTTP/1.1");
    tls.destroy();
  }, 20_000);

  test.concurrent.skipIf(!slow)(
    '"A request head must arrive within 60 s"',
    async () => {
      await using upstream = startUpstream({ tls: false, reply: () => ok() });
      await using proxy = await startProxy();
      const client = await connectProxy(proxy);
      await client.write(`GET http://${upstream.authority}/ HTTP/1.1\r\nHost: `);
      const drip = setInterval(() => void client.write("x"), 5_000);
      try {
        const begun = performance.now();
        await client.whenClosed(80_000);
        expect(performance.now() - begun).toBeGreaterThan(50_000);
      } finally {
        clearInterval(drip);
      }
      expect(upstream.connections).toHaveLength(0);
    },
    90_000,
  );

  test.concurrent.skipIf(!slow)(
    '"120 s of idleness between requests close a client connection"',
    async () => {
      await using upstream = startUpstream({ reply: () => ok() });
      await using proxy = await startProxy();
      const tls = await tlsTunnel(proxy, upstream.authority);
      await exchange(tls, get("/", upstream.authority));
      const begun = performance.now();
      await tls.whenClosed(140_000);
      expect(performance.now() - begun).toBeGreaterThan(110_000);
      // "It is dropped after 50 s idle": long gone by now.
      expect(upstream.connections[0]?.closed).toBe(true);
    },
    150_000,
  );

  test.concurrent.skipIf(!slow)(
    '"Bodies, streams, opaque tunnels and WebSockets have no inactivity limit"',
    async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const tls = await tlsTunnel(proxy, upstream.authority);
      void tls.write(get("/events", upstream.authority));
      const server = await upstream.next();
      await readHead(server);
      await server.write("HTTP/1.1 200 OK\r\n\r\none");
      await tls.readUntil("one");
      await Bun.sleep(130_000);
      await server.write("two");
      await tls.readUntil("two");
      tls.destroy();
    },
    150_000,
  );
});

test("limits.max_head_bytes and limits.max_head_fields are the operator's to set", async () => {
  await using upstream = startUpstream({ reply: () => ok() });
  await using proxy = await startProxy({ config: { limits: { max_head_bytes: 2048, max_head_fields: 12 } } });
  const statusWith = async (fields: readonly string[]): Promise<number> => {
    const stream = await tlsTunnel(proxy, upstream.authority);
    const { status } = await exchange(stream, get("/", upstream.authority, fields));
    stream.destroy();
    return status;
  };
  expect(await statusWith([`X-Large: ${"v".repeat(1_500)}`])).toBe(200);
  expect(await statusWith([`X-Large: ${"v".repeat(2_100)}`])).toBe(431);
  expect(await statusWith(Array.from({ length: 11 }, (_, at) => `X-${at}: v`))).toBe(200);
  expect(await statusWith(Array.from({ length: 12 }, (_, at) => `X-${at}: v`))).toBe(431);
});

describe('"Connections per client address and in total are capped, with a clear reply"', () => {
  test("idle connections of one address reach the cap; when they go, there is room again", async () => {
    await using proxy = await startProxy();
    const most = 6_000;
    const streams: ByteStream[] = [];
    let refused: ByteStream | undefined;
    const open_ = async (): Promise<void> => {
      const stream = new ByteStream();
      await Bun.connect<ByteStream>({
        hostname: proxy.host,
        port: proxy.port,
        data: stream,
        socket: streamHandlers,
      });
      streams.push(stream);
    };
    while (refused === undefined && streams.length < most) {
      await Promise.all(Array.from({ length: 50 }, open_));
      // The last of them has been accepted, or answered, when a request on it has been.
      refused = streams.find((stream) => stream.bytesIn > 0 || stream.closed);
    }
    expect(refused).toBeDefined();
    if (refused === undefined) return;
    await refused.whenClosed();
    expect(refused.text).toMatch(/^HTTP\/1\.1 (429|503) /);
    expect(refused.text).toMatch(/connection/i);
    expect(proxy.rss()).toBeLessThan(300_000_000);
    const gone = streams.map((stream) => stream.whenClosed());
    for (const stream of streams) stream.destroy();
    await Promise.all(gone);
    await serves(proxy);
  }, 60_000);

  /** Asks until it is answered: the proxy learns of closed connections a moment after the client. */
  async function serves(proxy: RunningProxy): Promise<void> {
    for (let attempt = 0; attempt < 200; attempt++) {
      const client = await connectProxy(proxy);
      void client.write(get("/healthz", "localhost"));
      const answered = await client.untilReadable().catch(() => false);
      const healthy = answered && client.unread.toString().startsWith("HTTP/1.1 200");
      client.destroy();
      if (healthy) return;
      await Bun.sleep(20);
    }
    throw new Error("the proxy did not serve again");
  }

  test('"The accept loop survives EMFILE"', async () => {
    await using upstream = startUpstream({ reply: () => ok("alive") });
    await using proxy = await startProxy({ wrapper: ["sh", "-c", 'ulimit -n 64; exec "$0" "$@"'] });
    const streams: ByteStream[] = [];
    for (let round = 0; round < 4; round++) {
      const batch = await Promise.allSettled(Array.from({ length: 60 }, () => connectProxy(proxy)));
      for (const outcome of batch) if (outcome.status === "fulfilled") streams.push(outcome.value);
      for (const stream of streams) void stream.write(get("/healthz", "localhost"));
    }
    await within(Promise.race(streams.map((stream) => stream.untilReadable())), "an answer to one of them");
    expect(streams.length).toBeGreaterThan(64);
    for (const stream of streams) stream.destroy();
    await serves(proxy);
    const tls = await tlsTunnel(proxy, upstream.authority);
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("alive");
    tls.destroy();
    expect(await proxy.stop()).toBe(0);
  }, 60_000);
});

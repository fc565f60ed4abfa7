// "1 GiB up and down through a tunnel with equal checksums while RSS stays under 120 MB" (issue: the main path).
// MOAT_BULK_MIB sets the size; the default keeps the normal run short. Also: "a slow reader pauses the writer".
import { describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { bulkHash, receiveBulk, sendBulk } from "../support/bulk.ts";
import { type ByteStream, within } from "../support/byte-stream.ts";
import { connectProxy, get, message, openTunnel, tlsTunnel } from "../support/client.ts";
import { readHead, readResponse } from "../support/http-message.ts";
import { startUpstream } from "../support/upstream.ts";

const MIB = 1 << 20;
const SIZE = Number(process.env.MOAT_BULK_MIB ?? "256") * MIB;
/** The bound of the issue, for any size of body. */
const RSS_LIMIT = 120_000_000;
const TIME_MS = 120_000 + (SIZE / MIB) * 500;

/** Samples resident memory until stopped; gives the largest value seen. */
function watchMemory(proxy: RunningProxy): { peak: () => number } & Disposable {
  let peak = proxy.rss();
  const timer = setInterval(() => {
    peak = Math.max(peak, proxy.rss());
  }, 20);
  return { peak: () => Math.max(peak, proxy.rss()), [Symbol.dispose]: () => clearInterval(timer) };
}

async function bothWays(
  proxy: RunningProxy,
  client: ByteStream,
  server: Promise<ByteStream>,
  head: string,
): Promise<void> {
  using memory = watchMemory(proxy);
  void client.write(head);
  const upstream = await server;
  await readHead(upstream);
  await upstream.write(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`);
  await readHead(client);
  const up = receiveBulk(upstream, SIZE);
  const down = receiveBulk(client, SIZE);
  await Promise.all([sendBulk(client, SIZE), sendBulk(upstream, SIZE)]);
  const expected = bulkHash(SIZE);
  expect(await within(up.digest, "the whole upload", TIME_MS)).toBe(expected);
  expect(await within(down.digest, "the whole download", TIME_MS)).toBe(expected);
  expect(memory.peak()).toBeLessThan(RSS_LIMIT);
}

describe(`${SIZE / MIB} MiB up and down with equal checksums while RSS stays under 120 MB`, () => {
  test(
    "through an intercepted tunnel, at the same time",
    async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const client = await tlsTunnel(proxy, upstream.authority);
      const fields = [`Host: ${upstream.authority}`, `Content-Length: ${SIZE}`];
      await bothWays(proxy, client, upstream.next(), message("POST /bulk HTTP/1.1", fields));
      const [record] = await proxy.untilRecords(1, (candidate) => candidate.http_method === "POST");
      expect(record).toMatchObject({ request_size: SIZE, response_size: SIZE });
      client.destroy();
    },
    TIME_MS,
  );

  test(
    "over plain http, at the same time",
    async () => {
      await using upstream = startUpstream({ tls: false });
      await using proxy = await startProxy();
      const client = await connectProxy(proxy);
      const fields = [`Host: ${upstream.authority}`, `Content-Length: ${SIZE}`];
      const head = message(`POST http://${upstream.authority}/bulk HTTP/1.1`, fields);
      await bothWays(proxy, client, upstream.next(), head);
      client.destroy();
    },
    TIME_MS,
  );

  test(
    "through an opaque tunnel, at the same time",
    async () => {
      await using upstream = startUpstream({ tls: false });
      await using proxy = await startProxy({ args: ["--no-intercept"] });
      const { stream: client } = await openTunnel(proxy, upstream.authority);
      const server = await upstream.next();
      using memory = watchMemory(proxy);
      const up = receiveBulk(server, SIZE);
      const down = receiveBulk(client, SIZE);
      await Promise.all([sendBulk(client, SIZE), sendBulk(server, SIZE)]);
      const expected = bulkHash(SIZE);
      expect(await within(up.digest, "the whole upload", TIME_MS)).toBe(expected);
      expect(await within(down.digest, "the whole download", TIME_MS)).toBe(expected);
      expect(memory.peak()).toBeLessThan(RSS_LIMIT);
      client.destroy();
    },
    TIME_MS,
  );
});

test("a chunked body of many small chunks arrives whole in both directions", async () => {
  await using upstream = startUpstream({
    reply: (request) => {
      const half = Math.floor(request.body.length / 2);
      const parts = [request.body.subarray(0, half), request.body.subarray(half)];
      const chunks = parts.map((part) => `${part.length.toString(16)}\r\n${part.toString("latin1")}\r\n`);
      return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.join("")}0\r\n\r\n`;
    },
  });
  await using proxy = await startProxy();
  const client = await tlsTunnel(proxy, upstream.authority);
  void client.write(
    message("POST /chunks HTTP/1.1", [`Host: ${upstream.authority}`, "Transfer-Encoding: chunked"]),
  );
  let whole = "";
  for (let count = 1; count <= 3000; count++) {
    const piece = `${count}.`.repeat(1 + (count % 40));
    whole += piece;
    void client.write(`${piece.length.toString(16)}\r\n${piece}\r\n`);
  }
  await client.write("0\r\n\r\n");
  const answer = await readResponse(client);
  expect(answer.body.toString("latin1")).toBe(whole);
  client.destroy();
});

describe("Memory per connection is bounded whatever the peer does: a slow reader pauses the writer", () => {
  const LARGE = 192 * MIB;

  /** Waits until `count` has not grown for half a second: that the writer stands has no event of its own. */
  async function untilStill(count: () => number): Promise<void> {
    let last = -1;
    for (let quiet = 0; quiet < 10; ) {
      await Bun.sleep(50);
      quiet = count() === last ? quiet + 1 : 0;
      last = count();
    }
  }

  test(
    "a client that does not read stops the upstream, and gets everything in the end",
    async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const client = await tlsTunnel(proxy, upstream.authority);
      void client.write(get("/big", upstream.authority));
      const server = await upstream.next();
      await readHead(server);
      await server.write(`HTTP/1.1 200 OK\r\nContent-Length: ${LARGE}\r\n\r\n`);
      await readHead(client);
      client.pause();
      using memory = watchMemory(proxy);
      const sending = sendBulk(server, LARGE);
      await untilStill(() => server.bytesOut);
      expect(server.bytesOut).toBeLessThan(LARGE / 4);
      expect(memory.peak()).toBeLessThan(RSS_LIMIT);
      const down = receiveBulk(client, LARGE);
      client.resume();
      await sending;
      expect(await within(down.digest, "the whole download", TIME_MS)).toBe(bulkHash(LARGE));
      expect(memory.peak()).toBeLessThan(RSS_LIMIT);
      client.destroy();
    },
    TIME_MS,
  );

  test(
    "an upstream that does not read stops the client, and gets everything in the end",
    async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const client = await tlsTunnel(proxy, upstream.authority);
      const fields = [`Host: ${upstream.authority}`, `Content-Length: ${LARGE}`];
      void client.write(message("POST /big HTTP/1.1", fields));
      const server = await upstream.next();
      await readHead(server);
      server.pause();
      using memory = watchMemory(proxy);
      const sending = sendBulk(client, LARGE);
      await untilStill(() => client.bytesOut);
      expect(client.bytesOut).toBeLessThan(LARGE / 4);
      expect(memory.peak()).toBeLessThan(RSS_LIMIT);
      const up = receiveBulk(server, LARGE);
      server.resume();
      await sending;
      expect(await within(up.digest, "the whole upload", TIME_MS)).toBe(bulkHash(LARGE));
      client.destroy();
    },
    TIME_MS,
  );

  test(
    "a client that pipelines without reading answers is paused",
    async () => {
      await using upstream = startUpstream({
        tls: false,
        serve: (stream) => {
          // Answers each head seen with 64 KiB, whatever comes.
          const answer = `HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n${"x".repeat(65_536)}`;
          stream.sink = (chunk) => {
            const text = chunk.toString("latin1");
            for (let at = text.indexOf("\r\n\r\n"); at >= 0; at = text.indexOf("\r\n\r\n", at + 4))
              void stream.write(answer);
          };
        },
      });
      await using proxy = await startProxy();
      const client = await connectProxy(proxy);
      client.pause();
      using memory = watchMemory(proxy);
      const one = get(`http://${upstream.authority}/p`, upstream.authority);
      const many = 400_000;
      void client.write(one.repeat(many));
      await untilStill(() => client.bytesOut);
      expect(client.bytesOut).toBeLessThan(one.length * many);
      expect(memory.peak()).toBeLessThan(RSS_LIMIT);
      client.destroy();
    },
    TIME_MS,
  );
});

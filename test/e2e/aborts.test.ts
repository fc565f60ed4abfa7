// Clients and upstreams that go away at any moment leave nothing behind: no file descriptor, no session, no error.
// A sandbox could otherwise use up the proxy by reconnecting. Descriptors are counted in /proc, so on Linux only.
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { type ByteStream, within } from "../support/byte-stream.ts";
import { connectHead, connectProxy, get, message, openTunnel, tlsTunnel } from "../support/client.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";
import { WEBSOCKET_FIELDS } from "../support/websocket.ts";

interface Scene {
  readonly proxy: RunningProxy;
  readonly secure: Upstream;
  readonly plain: Upstream;
}

/** Each opens one connection and brings it to the moment at which it is aborted. */
const MOMENTS: Readonly<Record<string, (scene: Scene) => Promise<ByteStream>>> = {
  "after the TCP connection": ({ proxy }) => connectProxy(proxy),
  "within the head": async ({ proxy }) => sent(await connectProxy(proxy), "GET http://localhost/ HT"),
  "with a local request under way": async ({ proxy }) =>
    sent(await connectProxy(proxy), get("/healthz", "localhost")),
  "with many local requests under way": async ({ proxy }) =>
    sent(await connectProxy(proxy), get("/healthz", "localhost").repeat(50)),
  "with CONNECT under way": async ({ proxy }) =>
    sent(await connectProxy(proxy), connectHead("fresh.test:443")),
  "after the 200": async ({ proxy, secure }) => (await openTunnel(proxy, secure.authority)).stream,
  "within the ClientHello": async ({ proxy, secure }) =>
    sent((await openTunnel(proxy, secure.authority)).stream, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
  "with garbage instead of TLS": async ({ proxy, secure }) =>
    sent((await openTunnel(proxy, secure.authority)).stream, "garbage\r\n\r\n"),
  "after the handshake": ({ proxy, secure }) => tlsTunnel(proxy, secure.authority),
  "with a request under way in the tunnel": async ({ proxy, secure }) =>
    sent(await tlsTunnel(proxy, secure.authority), get("/", secure.authority)),
  "with many requests under way in the tunnel": async ({ proxy, secure }) =>
    sent(await tlsTunnel(proxy, secure.authority), get("/", secure.authority).repeat(20)),
  "with a request under way over plain http": async ({ proxy, plain }) =>
    sent(await connectProxy(proxy), get(`http://${plain.authority}/`, plain.authority)),
  "with an answer that never comes": async ({ proxy, secure }) => {
    const before = secure.requests.length;
    const stream = sent(await tlsTunnel(proxy, secure.authority), get("/never", secure.authority));
    await secure.untilRequests(before + 1);
    return stream;
  },
  "within a request body": async ({ proxy, secure }) => {
    const fields = [`Host: ${secure.authority}`, "Content-Length: 1000"];
    return sent(await tlsTunnel(proxy, secure.authority), message("POST / HTTP/1.1", fields, "some"));
  },
  "within a large answer, not reading": async ({ proxy, secure }) => {
    const stream = await tlsTunnel(proxy, secure.authority);
    void stream.write(get("/large", secure.authority));
    await stream.untilReceived(1000);
    stream.pause();
    return stream;
  },
  "within a WebSocket": async ({ proxy, secure }) => {
    const stream = await tlsTunnel(proxy, secure.authority);
    void stream.write(get("/ws", secure.authority, WEBSOCKET_FIELDS));
    await stream.readUntil("\r\n\r\n");
    return sent(stream, "frame");
  },
};

function sent(stream: ByteStream, bytes: string): ByteStream {
  void stream.write(bytes);
  return stream;
}

async function scene(): Promise<Scene & AsyncDisposable> {
  const large = ok("x".repeat(8 << 20));
  const reply = async (request: { target: string }): Promise<string> => {
    if (request.target === "/never") return new Promise(() => undefined);
    if (request.target === "/large") return large;
    if (request.target === "/ws")
      return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    return ok();
  };
  const secure = startUpstream({ reply });
  const plain = startUpstream({ tls: false, reply });
  const proxy = await startProxy();
  return {
    proxy,
    secure,
    plain,
    async [Symbol.asyncDispose]() {
      secure.close();
      plain.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

/** Descriptors beyond `before` that are not idle connections to the upstreams, which the proxy may keep. */
function leftOver({ proxy, secure, plain }: Scene, before: number): number {
  const pooled = [...secure.connections, ...plain.connections].filter((connection) => !connection.closed);
  return (proxy.openFiles() ?? 0) - before - pooled.length;
}

/** Waits until nothing is left over, for a few seconds; gives what is. */
async function settled(s: Scene, before: number): Promise<number> {
  for (let attempt = 0; attempt < 150 && leftOver(s, before) > 0; attempt++) await Bun.sleep(20);
  return leftOver(s, before);
}

describe("connections that clients abort leave no descriptor behind", () => {
  for (const [moment, open] of Object.entries(MOMENTS)) {
    for (const ending of ["reset", "end"] as const) {
      test.skipIf(!existsSync("/proc/self/fd"))(
        `${moment}, ${ending}`,
        async () => {
          await using s = await scene();
          const before = s.proxy.openFiles() ?? 0;
          for (let round = 0; round < 4; round++) {
            const streams = await Promise.all(Array.from({ length: 20 }, () => open(s)));
            for (const stream of streams) {
              if (ending === "reset") stream.destroy();
              else stream.end();
            }
            for (const stream of streams) stream.resume();
          }
          expect(await settled(s, before)).toBeLessThanOrEqual(0);
          // And none is counted as running when the proxy stops.
          const begun = performance.now();
          expect(await s.proxy.stop()).toBe(0);
          expect(performance.now() - begun).toBeLessThan(3_000);
          const errors = s.proxy.logLines().filter((line) => /^(error|fatal)$/i.test(String(line.level)));
          expect(
            errors.filter(
              (line) => line.http_status !== 502 && !String(line.error).includes("tls.passthrough"),
            ),
          ).toEqual([]);
        },
        30_000,
      );
    }
  }
});

test.skipIf(!existsSync("/proc/self/fd"))(
  "upstreams that reset at any moment leave no descriptor behind",
  async () => {
    await using s = await scene();
    const before = s.proxy.openFiles() ?? 0;
    for (let round = 0; round < 40; round++) {
      const streams = await Promise.all([tlsTunnel(s.proxy, s.secure.authority), connectProxy(s.proxy)]);
      const targets = [
        ["/large", s.secure.authority],
        [`http://${s.plain.authority}/large`, s.plain.authority],
      ] as const;
      for (const [at, stream] of streams.entries()) {
        const [target, host] = targets[at] as (typeof targets)[number];
        void stream.write(get(target, host));
        await stream.untilReceived(round * 1000 + 1);
      }
      for (const upstream of [s.secure, s.plain])
        for (const connection of upstream.connections) connection.destroy();
      for (const stream of streams) {
        // Either the cut is seen, or the whole answer was already on its way.
        await within(
          Promise.race([stream.whenEnded(), stream.untilReceived(8 << 20)]),
          "cut or the whole answer",
        );
        stream.destroy();
      }
    }
    expect(await settled(s, before)).toBeLessThanOrEqual(0);
  },
  40_000,
);

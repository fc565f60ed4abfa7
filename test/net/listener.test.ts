// The listening socket with real sessions behind it: caps with their exact reply, a count that is right whatever
// becomes of a connection, start and stop, and life after EMFILE.
import { describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { ByteStream, streamHandlers, within } from "../support/byte-stream.ts";
import { connect, connectHead, get, startTls } from "../support/client.ts";
import { exchange, text } from "../support/http-message.ts";
import { type SmallProxy, startSmallProxy } from "../support/net-proxy.ts";
import { interceptionCa } from "../support/net-wires.ts";
import { settle, Watch } from "../support/net-witness.ts";
import { runProgram } from "../support/programs.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

const TOO_MANY = [
  "HTTP/1.1 503 Service Unavailable",
  "Content-Type: text/plain; charset=utf-8",
  "Content-Length: 21",
  "Retry-After: 1",
  "Connection: close",
  "",
  "too many connections\n",
].join("\r\n");

const HEALTH = get("/healthz", "localhost");

/** Connects from another address of loopback: another client. */
async function connectFrom(localAddress: string, port: number): Promise<ByteStream> {
  const stream = new ByteStream();
  const options = {
    hostname: "127.0.0.1",
    port,
    localAddress,
    data: stream,
    allowHalfOpen: true,
    socket: streamHandlers,
  };
  await Bun.connect<ByteStream>(options); // localAddress is missing from the typings
  return stream;
}

/** Opens connections one after the other and waits until the listener has them. */
async function open(proxy: SmallProxy, count: number): Promise<ByteStream[]> {
  const before = proxy.listener.connections;
  const streams: ByteStream[] = [];
  for (let at = 0; at < count; at++) streams.push(await connect("127.0.0.1", proxy.listener.port));
  await proxy.untilConnections(before + count);
  return streams;
}

/** Connects 60 times, sends a request at once, and counts the answers that came whole. */
const EAGER = `
const port = Number(process.argv.at(-1));
let whole = 0;
for (let round = 0; round < 60; round++) {
  let got = "";
  await new Promise((resolve) => {
    Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        open: (socket) => void socket.write("CONNECT api.example.test:443 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"),
        data: (_, bytes) => void (got += bytes.toString("latin1")),
        close: resolve,
        error() {},
      },
    });
  });
  if (got.startsWith("HTTP/1.1 503 ") && got.endsWith("too many connections\\n")) whole++;
}
console.log(whole + " of 60");
`;

describe("caps", () => {
  for (const cap of ["maxConnections", "maxConnectionsPerClient"] as const) {
    test(`${cap}: the one too many gets the reply and the end, the others go on`, async () => {
      using proxy = startSmallProxy({ [cap]: 3 });
      const streams = await open(proxy, 3);
      const extra = await connect("127.0.0.1", proxy.listener.port);
      expect((await extra.readToEnd()).toString("latin1")).toBe(TOO_MANY);
      await extra.whenClosed();
      await proxy.untilConnections(3);
      for (const stream of streams) expect((await exchange(stream, HEALTH)).status).toBe(200);
      // A refused connection carried no request.
      expect(proxy.records).toHaveLength(3);
    });

    test(`${cap}: room is made by a connection that closes`, async () => {
      using proxy = startSmallProxy({ [cap]: 2 });
      const [first] = await open(proxy, 2);
      first?.destroy();
      await proxy.untilConnections(1);
      const next = await connect("127.0.0.1", proxy.listener.port);
      expect(text(await exchange(next, HEALTH))).toBe('{"status":"ok"}');
    });
  }

  test("per client: another client is not held to account", async () => {
    using proxy = startSmallProxy({ maxConnectionsPerClient: 1 });
    await open(proxy, 1);
    const other = await connectFrom("127.0.0.2", proxy.listener.port);
    expect((await exchange(other, HEALTH)).status).toBe(200);
    const again = await connectFrom("127.0.0.2", proxy.listener.port);
    expect((await again.readToEnd()).toString("latin1")).toBe(TOO_MANY);
    again.destroy();
  });

  test("in total: all clients count together", async () => {
    using proxy = startSmallProxy({ maxConnections: 2, maxConnectionsPerClient: 2 });
    await connectFrom("127.0.0.2", proxy.listener.port);
    await connectFrom("127.0.0.3", proxy.listener.port);
    await proxy.untilConnections(2);
    const extra = await connectFrom("127.0.0.4", proxy.listener.port);
    expect((await extra.readToEnd()).toString("latin1")).toBe(TOO_MANY);
    extra.destroy();
  });

  // Closing with unread bytes makes the kernel send a reset, which can destroy a reply on its way (RFC 9112 9.6).
  test("the reply survives a request that is already under way", async () => {
    using proxy = startSmallProxy({ maxConnections: 1 });
    await open(proxy, 1);
    // Another process, so that its bytes may come before or after the accept.
    const outcome = await runProgram([process.execPath, "-e", EAGER, String(proxy.listener.port)]);
    expect(outcome.stdout.trim()).toBe("60 of 60");
  });

  test("a refused client that does not close is let go of all the same", async () => {
    using proxy = startSmallProxy({ maxConnections: 1 });
    await open(proxy, 1);
    const refused = await Promise.all(
      Array.from({ length: 10 }, () => connect("127.0.0.1", proxy.listener.port, true)),
    );
    for (const stream of refused) await stream.whenEnded();
    // Twice the time a client is given to close after our FIN.
    proxy.sweep(4_000);
    await proxy.untilConnections(1);
    for (const stream of refused) stream.destroy();
  });

  test("refused clients that do not close are few at any time: beyond 64 they are closed at once", async () => {
    using proxy = startSmallProxy({ maxConnections: 1 });
    await open(proxy, 1);
    const refused: ByteStream[] = [];
    for (let at = 0; at < 80; at++) {
      const stream = await connect("127.0.0.1", proxy.listener.port, true);
      refused.push(stream);
      await stream.whenEnded();
    }
    await proxy.untilConnections(1 + 64);
    expect(proxy.live.size).toBe(1 + 64);
    for (const stream of refused) stream.destroy();
    await proxy.untilConnections(1);
    expect(proxy.live.size).toBe(1);
  });

  // Closing with unread bytes makes the kernel send a reset, which can destroy the reply on its way.
  test("the reply comes whole, with an orderly end, to a client that goes on sending", async () => {
    using proxy = startSmallProxy({ maxConnections: 1 });
    await open(proxy, 1);
    for (let round = 0; round < 20; round++) {
      const stream = await connect("127.0.0.1", proxy.listener.port, true);
      await stream.whenEnded();
      for (let piece = 0; piece < 10; piece++) await stream.write(Buffer.alloc(16 << 10));
      expect(stream.closed).toBe(false);
      expect((await stream.readToEnd()).toString("latin1")).toBe(TOO_MANY);
      stream.destroy();
    }
  });
});

/** A tunnel, intercepted or not, up to the 200. */
async function tunnel(proxy: SmallProxy, authority: string): Promise<ByteStream> {
  const stream = await connect("127.0.0.1", proxy.listener.port);
  await stream.write(connectHead(authority));
  await stream.readUntil("\r\n\r\n");
  return stream;
}

async function secured(proxy: SmallProxy, authority: string): Promise<ByteStream> {
  return startTls(await tunnel(proxy, authority), authority, interceptionCa().certPem);
}

type Stage = (proxy: SmallProxy, upstream: Upstream) => Promise<ByteStream>;

const plain: Readonly<Record<string, Stage>> = {
  "nothing said": (proxy) => connect("127.0.0.1", proxy.listener.port),
  "half a head": async (proxy) => {
    const stream = await connect("127.0.0.1", proxy.listener.port);
    await stream.write("GET / HT");
    return stream;
  },
  "bytes that are no request": async (proxy) => {
    const stream = await connect("127.0.0.1", proxy.listener.port);
    await stream.write("\0\0\0\r\n\r\n");
    return stream;
  },
  "answered, kept alive": async (proxy) => {
    const stream = await connect("127.0.0.1", proxy.listener.port);
    await exchange(stream, HEALTH);
    return stream;
  },
  "answered, closed by the proxy": async (proxy) => {
    const stream = await connect("127.0.0.1", proxy.listener.port);
    await exchange(stream, get("/healthz", "localhost", ["Connection: close"]));
    return stream;
  },
  "an exchange in flight": async (proxy, upstream) => {
    const stream = await connect("127.0.0.1", proxy.listener.port);
    await stream.write(get(`http://127.0.0.1:${upstream.port}/`, "x"));
    return stream;
  },
};

const intercepted: Readonly<Record<string, Stage>> = {
  "a tunnel without a ClientHello": (proxy, { authority }) => tunnel(proxy, authority),
  "a tunnel with garbage": async (proxy, { authority }) => {
    const stream = await tunnel(proxy, authority);
    await stream.write("garbage");
    return stream;
  },
  "half a ClientHello": async (proxy, { authority }) => {
    const stream = await tunnel(proxy, authority);
    await stream.write("\x16\x03\x01\x00\xf0\x01\x00");
    return stream;
  },
  "half a ClientHello behind the head": async (proxy, { authority }) => {
    const stream = await connect("127.0.0.1", proxy.listener.port);
    await stream.write(`${connectHead(authority)}\x16\x03\x01\x00\xf0\x01\x00`);
    await stream.readUntil("\r\n\r\n");
    return stream;
  },
  "TLS, nothing said": (proxy, { authority }) => secured(proxy, authority),
  "TLS, half a head": async (proxy, { authority }) => {
    const stream = await secured(proxy, authority);
    await stream.write("GET / HT");
    return stream;
  },
  "TLS, a request answered": async (proxy, { authority }) => {
    const stream = await secured(proxy, authority);
    expect((await exchange(stream, get("/", authority))).status).toBe(200);
    return stream;
  },
  "TLS, a request in flight": async (proxy, { authority }) => {
    const stream = await secured(proxy, authority);
    await stream.write(get("/", authority));
    return stream;
  },
};

const opaque: Readonly<Record<string, Stage>> = {
  "an opaque tunnel": (proxy, { authority }) => tunnel(proxy, authority),
  "an opaque tunnel with a request answered": async (proxy, { authority }) => {
    const stream = await tunnel(proxy, authority);
    expect((await exchange(stream, get("/", authority))).status).toBe(200);
    return stream;
  },
};

describe("the count", () => {
  for (const [what, stages, options] of [
    ["of plain connections", plain, { tls: false }],
    ["of connections with TLS inside", intercepted, {}],
    ["of opaque tunnels", opaque, { tls: false }],
  ] as const) {
    test(`${what} is 0 again after 200 that ended at every stage, in order or not`, async () => {
      await using upstream = startUpstream({ ...options, reply: () => ok("hello") });
      using proxy = startSmallProxy({ intercept: what !== "of opaque tunnels" });
      const all = Object.values(stages);
      for (let done = 0; done < 200; done += 40) {
        const batch = Array.from({ length: 40 }, async (_, at) => {
          const stage = all[(done + at) % all.length] as Stage; // the index is within
          const stream = await stage(proxy, upstream);
          if (Math.floor(at / all.length) % 2 === 0) stream.end();
          else stream.destroy();
          await stream.whenClosed();
        });
        await Promise.all(batch);
      }
      await proxy.untilConnections(0);
      expect(proxy.live.size).toBe(0);
      // Nobody is remembered: a full allowance is there again.
      const streams = await open(proxy, 3);
      expect(proxy.listener.connections).toBe(3);
      for (const stream of streams) stream.destroy();
      await proxy.untilConnections(0);
    });
  }
});

describe("start()", () => {
  test("on a port in use says so", () => {
    using proxy = startSmallProxy();
    using second = startSmallProxy({ port: proxy.listener.port, started: false });
    expect(() => second.listener.start()).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
    expect(second.listener.port).toBe(0);
  });

  test("on an address that is not of this host says so", () => {
    const own = Object.values(networkInterfaces()).flatMap((all) =>
      (all ?? []).map(({ address }) => address),
    );
    // RFC 5737: an address of documentation.
    const host = own.includes("198.51.100.77") ? "203.0.113.77" : "198.51.100.77";
    using proxy = startSmallProxy({ host, started: false });
    expect(() => proxy.listener.start()).toThrow(expect.objectContaining({ code: "EADDRNOTAVAIL" }));
  });

  test("on IPv6 loopback serves it", async () => {
    using proxy = startSmallProxy({ host: "::1" });
    const stream = await connect("::1", proxy.listener.port);
    expect((await exchange(stream, HEALTH)).status).toBe(200);
    stream.destroy();
  });
});

describe("stop()", () => {
  test("accepts no more, and what is open goes on", async () => {
    using proxy = startSmallProxy();
    const { port } = proxy.listener;
    const [stream] = await open(proxy, 1);
    proxy.listener.stop();
    await expect(connect("127.0.0.1", port)).rejects.toThrow();
    expect((await exchange(stream as ByteStream, HEALTH)).status).toBe(200);
    expect(proxy.listener.connections).toBe(1);
    stream?.destroy();
    await proxy.untilConnections(0);
    // The port is free for another.
    using next = startSmallProxy({ port });
    expect(next.listener.port).toBe(port);
  });
});

describe("a session", () => {
  test("knows its client by address", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    using proxy = startSmallProxy();
    const stream = await connectFrom("127.0.0.3", proxy.listener.port);
    await exchange(stream, get(`http://127.0.0.1:${upstream.port}/`, "x"));
    await proxy.untilRecords(1);
    expect(proxy.records[0]?.clientIp).toBe("127.0.0.3");
    stream.destroy();
  });
});

test.skipIf(process.platform !== "linux")(
  "EMFILE: it accepts again once there are files to be had",
  async () => {
    const script = join(import.meta.dir, "../support/net-listener-child.ts");
    const child = Bun.spawn(["sh", "-c", 'ulimit -n 64; exec "$0" "$1"', process.execPath, script], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    try {
      const { value } = await within(child.stdout.getReader().read(), "port of the child");
      const port = Number(new TextDecoder().decode(value));
      // The kernel completes connections that nobody accepts; whoever is accepted is answered.
      const streams = await Promise.all(Array.from({ length: 120 }, () => connect("127.0.0.1", port)));
      let answered = 0;
      const watch = new Watch();
      for (const stream of streams) {
        stream.sink = () => {
          stream.sink = () => undefined;
          answered++;
          watch.changed();
        };
        void stream.write(HEALTH);
      }
      await watch.until("answers", () => answered >= 15);
      await settle(20);
      expect(answered).toBeLessThan(64);
      for (const stream of streams) stream.destroy();
      for (let round = 0; round < 3; round++) {
        const later = await connect("127.0.0.1", port);
        expect((await exchange(later, HEALTH)).status).toBe(200);
        later.destroy();
      }
      expect(child.exitCode).toBeNull();
    } finally {
      // It ends by itself, and takes its files with it.
      child.stdin.end();
      await within(child.exited, "end of the child").catch(() => child.kill());
    }
  },
);

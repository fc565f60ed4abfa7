// TLS that ends at the proxy, on a real accepted socket behind a CONNECT: which handshakes succeed, what a failed one
// tells its owner, and that the plaintext keeps its bounds. The wire's own contract is in wire.test.ts.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { PeerCertificate } from "node:tls";
import type { SocketHandler } from "bun";
import { SocketWire, type WireSocket } from "../../src/net/wire.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { ProxyError } from "../../src/values/errors.ts";
import { ByteStream } from "../support/byte-stream.ts";
import { connect, connectHead, startTls } from "../support/client.ts";
import { sClient } from "../support/net-clients.ts";
import { startRelay } from "../support/net-relay.ts";
import { connectFront, type Front, interceptionCa, interceptor, startFront } from "../support/net-wires.ts";
import { SecureWitness, settle } from "../support/net-witness.ts";
import { pki } from "../support/pki.ts";
import type { Outcome } from "../support/programs.ts";
import { scratchDir } from "../support/scratch.ts";

const HOST = "api.example.test:443";
const NOTHING = new Uint8Array(0);

/** A front whose tunnels answer the end with theirs, as a session does. */
function front(tls = interceptor()): Front {
  return startFront(tls, ({ wire, seen }) => {
    seen.onEnded = () => wire.end();
  });
}

type Client = (server: Front, options?: readonly string[], ca?: string) => Promise<Outcome>;

const late: Client = (server, options, ca) =>
  sClient({ proxyPort: server.port, authority: HOST }, options, ca);

/** Through a relay that sends the CONNECT head and the ClientHello in one write. */
const early: Client = async (server, options = [], ca) => {
  const relay = await startRelay(server.port, connectHead(HOST), "with-head");
  const outcome = await sClient({ port: relay.port }, ["-servername", "api.example.test", ...options], ca);
  relay.stop();
  return outcome;
};

describe.each([
  ["after the 200", late],
  ["behind the CONNECT head", early],
] as const)("handshakes with openssl, the ClientHello %s", (_when, client) => {
  test.each([
    ["-tls1_2", "TLSv1.2"],
    ["-tls1_3", "TLSv1.3"],
  ])("%s is accepted", async (option, version) => {
    const server = front();
    const { code, stdout } = await client(server, [option, "-verify_hostname", "api.example.test"]);
    server.stop();
    expect(stdout).toContain(`New, ${version}, `);
    expect(stdout).toContain("Verify return code: 0 (ok)");
    expect(code).toBe(0);
    const [tunnel] = server.tunnels;
    expect(tunnel?.handshake.outcomes).toEqual(["secured"]);
    expect(tunnel?.seen.text).toBe("hello");
  });

  test.each(["-tls1", "-tls1_1"])("%s is refused with an alert", async (option) => {
    const server = front();
    const { code, stderr } = await client(server, [option, "-cipher", "DEFAULT:@SECLEVEL=0"]);
    expect(code).not.toBe(0);
    // The client was willing: it was told.
    expect(stderr).toContain("alert protocol version");
    const [tunnel] = server.tunnels;
    await tunnel?.seen.untilEvent("close");
    server.stop();
    expect(tunnel?.handshake.outcomes).toEqual(["failed"]);
    expect(tunnel?.seen.events).toEqual(["close"]);
  });

  test("a session is resumed, however many other hosts came in between", async () => {
    const server = front(interceptor(1000));
    const file = join(scratchDir("session"), "session.pem");
    const first = await client(server, ["-tls1_2", "-sess_out", file]);
    for (let i = 0; i < 150; i++) (await server.open(`host-${i}.example.test:443`)).peer.destroy();
    const again = await client(server, ["-tls1_2", "-sess_in", file]);
    server.stop();
    expect([first.stdout.includes("New, TLSv1.2"), again.stdout.includes("Reused, TLSv1.2")]).toEqual([
      true,
      true,
    ]);
  });

  test("h2 and http/1.1 offered: http/1.1 is chosen", async () => {
    const server = front();
    const { stdout } = await client(server, ["-alpn", "h2,http/1.1"]);
    server.stop();
    expect(stdout).toContain("ALPN protocol: http/1.1");
    expect(server.tunnels[0]?.seen.text).toBe("hello");
  });

  test("no ALPN offered: none is spoken of", async () => {
    const server = front();
    const { code, stdout } = await client(server);
    server.stop();
    expect(stdout).toContain("No ALPN negotiated");
    expect(code).toBe(0);
    expect(server.tunnels[0]?.handshake.outcomes).toEqual(["secured"]);
  });

  // RFC 7301 section 3.2: "the server SHALL send a fatal no_application_protocol alert".
  test("only h2 offered: refused with no_application_protocol", async () => {
    const server = front();
    const { code, stderr } = await client(server, ["-alpn", "h2"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("alert no application protocol");
    const [tunnel] = server.tunnels;
    await tunnel?.seen.untilEvent("close");
    server.stop();
    expect(tunnel?.handshake.outcomes).toEqual(["failed"]);
  });

  test.each(["-tls1_2", "-tls1_3"])(
    "a client that distrusts the CA fails the handshake (%s)",
    async (option) => {
      const server = front();
      const { code, stderr } = await client(server, [option], pki().ca);
      expect(code).not.toBe(0);
      expect(stderr).toContain("certificate verify failed");
      const [tunnel] = server.tunnels;
      await tunnel?.seen.untilEvent("close");
      server.stop();
      expect(tunnel?.handshake.outcomes).toEqual(["failed"]);
      expect(tunnel?.seen.events).toEqual(["close"]);
      expect(tunnel?.outer.closed).toBe(true);
    },
  );

  test("a strict verifier accepts the chain", async () => {
    const server = front();
    const strict = ["-x509_strict", "-verify_hostname", "api.example.test"];
    const { code, stdout } = await client(server, strict);
    server.stop();
    expect(stdout).toContain("Verify return code: 0 (ok)");
    expect(code).toBe(0);
  });
});

describe("the leaf that is shown", () => {
  test.each([
    ["api.example.test:443", "DNS:api.example.test"],
    ["127.0.0.1:8443", "IP Address:127.0.0.1"],
    ["[::1]:443", "IP Address:0:0:0:0:0:0:0:1"],
    [`${"a".repeat(60)}.example.test:443`, `DNS:${"a".repeat(60)}.example.test`],
  ])("for %s names it and nothing else", async (authority, name) => {
    const server = front();
    const { peer } = await server.open(authority);
    const shown = peer.socket?.getPeerCertificate() as unknown as PeerCertificate; // the typings say less
    server.stop();
    expect(shown.subjectaltname).toBe(name);
  });

  test("is minted once per host, and counts against the client's allowance only then", () => {
    const tls = interceptor(2);
    const leaf = (host: string, client: string) => tls.leaf(parseAuthority(`${host}:443`), client);
    const first = leaf("one.test", "192.0.2.1");
    expect(leaf("one.test", "192.0.2.1")).toBe(first);
    expect(leaf("one.test", "192.0.2.9")).toBe(first);
    leaf("two.test", "192.0.2.1");
    let error: unknown;
    try {
      leaf("three.test", "192.0.2.1");
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ProxyError);
    expect(error).toMatchObject({ code: "too-many-leaves", status: 429 });
    // What is cached is still served, and another client is not held to account.
    expect(leaf("one.test", "192.0.2.1")).toBe(first);
    expect(leaf("three.test", "192.0.2.2").certPem).not.toBe(first.certPem);
  });
});

describe("bytes that are no ClientHello", () => {
  test.each([
    ["an HTTP request", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["an SSH banner", "SSH-2.0-OpenSSH_9.6\r\n"],
    ["zeros", "\0\0\0\0\0\0\0\0"],
    ["an SSLv2 hello", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"],
  ])("%s: told as not-tls, once, and closed", async (_, bytes) => {
    const server = front();
    const raw = await connectFront(server.port, HOST);
    void raw.write(bytes);
    const [tunnel] = server.tunnels;
    await tunnel?.handshake.untilOutcome();
    await raw.whenEnded();
    raw.end();
    await tunnel?.seen.untilEvent("close");
    await settle();
    server.stop();
    expect(tunnel?.handshake.outcomes).toEqual(["not-tls"]);
    expect(tunnel?.seen.events).toEqual(["close"]);
    expect(tunnel?.outer.closed).toBe(true);
  });

  test("a handshake record with garbage in it: failed", async () => {
    const server = front();
    const raw = await connectFront(server.port, HOST);
    void raw.write(`\x16\x03\x01\x00\x20${"garbage ".repeat(4)}`);
    const [tunnel] = server.tunnels;
    await tunnel?.handshake.untilOutcome();
    await raw.whenEnded();
    raw.destroy();
    await tunnel?.seen.untilEvent("close");
    server.stop();
    expect(tunnel?.handshake.outcomes).toEqual(["failed"]);
  });
});

/** The first flight of a TLS client: a whole ClientHello. */
async function clientHello(): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (_, bytes) => resolve(bytes) },
  });
  const raw = await connect("127.0.0.1", server.port);
  raw.socket?.upgradeTLS<ByteStream>({
    data: new ByteStream(),
    tls: { serverName: "api.example.test" },
    socket: { data() {}, error() {} },
  });
  const hello = await promise;
  raw.destroy();
  server.stop(true);
  return hello;
}

test("an upgrade that throws after its socket has closed is over: nobody waits for ever", async () => {
  const outer = new SocketWire();
  const upgradable = {
    upgradeTLS({ data, socket }: { data: SocketWire; socket: SocketHandler<SocketWire> }): never {
      socket.close?.({ data } as WireSocket);
      throw new Error("no TLS here");
    },
  };
  outer.socket = upgradable as unknown as WireSocket;
  const tls = interceptor();
  const handshake = new SecureWitness();
  const leaf = tls.leaf(parseAuthority(HOST), "127.0.0.1");
  expect(() => tls.accept(outer, leaf, NOTHING, handshake)).toThrow("no TLS here");
  await settle();
  expect(handshake.outcomes).toEqual([]);
});

describe("a client that goes away within the handshake", () => {
  const stages: readonly (readonly [string, (hello: Buffer) => Buffer])[] = [
    ["before its first byte", () => Buffer.alloc(0)],
    ["after half a ClientHello", (hello) => hello.subarray(0, hello.length >> 1)],
    ["after a whole ClientHello", (hello) => hello],
  ];
  for (const [stage, bytes] of stages) {
    test.each(["end", "destroy"] as const)(
      `${stage}, by %s: no session begins, the close is told`,
      async (how) => {
        const hello = await clientHello();
        const server = front();
        const raw = await connectFront(server.port, HOST);
        const flight = bytes(hello);
        if (flight.length > 0) await raw.write(flight);
        await settle();
        raw[how]();
        const [tunnel] = server.tunnels;
        await tunnel?.seen.untilEvent("close");
        await settle();
        server.stop();
        expect(tunnel?.handshake.outcomes.filter((outcome) => outcome !== "failed")).toEqual([]);
        expect(tunnel?.handshake.outcomes.length).toBeLessThanOrEqual(1);
        if (flight.length > 0) expect(tunnel?.handshake.outcomes).toEqual(["failed"]);
        expect(tunnel?.seen.events).toEqual(["close"]);
        expect(tunnel?.outer.closed).toBe(true);
      },
    );
  }

  test("by our own destroy(): nobody is called", async () => {
    const server = front();
    const raw = await connectFront(server.port, HOST);
    const [tunnel] = server.tunnels;
    await raw.write((await clientHello()).subarray(0, 40));
    await settle();
    tunnel?.wire.destroy();
    await raw.whenClosed();
    await settle();
    server.stop();
    expect(tunnel?.handshake.outcomes).toEqual([]);
    expect(tunnel?.seen.events).toEqual([]);
    expect(tunnel?.outer.closed).toBe(true);
  });
});

describe("a secured connection", () => {
  test("comes of a ClientHello that arrives byte by byte", async () => {
    const server = front();
    const { peer, tunnel } = await server.open(HOST, "bytewise");
    await peer.write("hello");
    await tunnel.seen.untilEvent("data");
    tunnel.wire.write(Buffer.from("welcome"));
    expect((await peer.readBytes(7)).toString()).toBe("welcome");
    server.stop();
    expect(tunnel.seen.text).toBe("hello");
    expect(tunnel.handshake.outcomes).toEqual(["secured"]);
  });

  test("tells of the handshake before the first byte", async () => {
    const order: string[] = [];
    const server = startFront(interceptor(), ({ handshake, seen }) => {
      void handshake.untilOutcome().then(() => order.push("handshake"));
      seen.onPiece = () => order.push(`data after ${handshake.outcomes}`);
    });
    const { peer, tunnel } = await server.open(HOST);
    await peer.write("hello");
    await tunnel.seen.untilEvent("data");
    server.stop();
    expect(order).toEqual(["handshake", "data after secured"]);
  });

  test("stops the source in both directions at once while nobody reads, then loses nothing", async () => {
    const server = front();
    const { peer, tunnel } = await server.open(HOST);
    const { wire, seen } = tunnel;
    const block = Buffer.alloc(64 << 10);
    for (let at = 0; at < block.length; at++) block[at] = Math.imul(at, 0x9e3779b1) >>> 24;
    const limit = 300;
    let up = 0;
    let upTaken = 0;
    const down = new Bun.CryptoHasher("sha256");
    peer.pause();
    wire.pause();
    let blocks = 0;
    while (blocks < limit && wire.write(block)) blocks++;
    for (; up < limit; up++) void peer.write(block).then(() => upTaken++);
    await settle();
    expect(blocks).toBeLessThan(limit);
    expect(upTaken).toBeLessThan(limit);
    expect(wire.backlog).toBeLessThanOrEqual(block.length);
    expect(seen.count).toBe(0);
    expect(peer.bytesIn).toBe(0);
    const hash = new Bun.CryptoHasher("sha256");
    peer.sink = (chunk) => void down.update(chunk);
    peer.resume();
    wire.resume();
    wire.end();
    await peer.whenEnded();
    await seen.until("all that was sent", () => seen.count >= limit * block.length);
    for (const piece of seen.pieces) hash.update(piece);
    server.stop();
    const expected = (count: number): string => {
      const whole = new Bun.CryptoHasher("sha256");
      for (let at = 0; at < count; at++) whole.update(block);
      return whole.digest("hex");
    };
    expect(hash.digest("hex")).toBe(expected(limit));
    expect(down.digest("hex")).toBe(expected(blocks + 1));
  });

  test("can only stand on a socket's own wire that is open", async () => {
    const tls = interceptor();
    const leaf = tls.leaf(parseAuthority(HOST), "127.0.0.1");
    const server = front();
    const { tunnel } = await server.open(HOST);
    tunnel.outer.destroy();
    expect(() => tls.accept(tunnel.outer, leaf, NOTHING, new SecureWitness())).toThrow("socket");
    server.stop();
  });

  test("a client of Bun's that distrusts the CA reads and sends nothing", async () => {
    const server = front();
    const raw = await connectFront(server.port, HOST);
    await expect(startTls(raw, HOST, pki().ca)).rejects.toThrow();
    const [tunnel] = server.tunnels;
    await tunnel?.seen.untilEvent("close");
    server.stop();
    expect(tunnel?.handshake.outcomes).toHaveLength(1);
    expect(tunnel?.seen.text).toBe("");
    expect(interceptionCa().certPem).not.toBe(pki().ca);
  });
});

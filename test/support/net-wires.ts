// Real wires for tests of net: each of the ways in which the program comes by one, with a raw stream as the other end;
// and a front, which is all of a proxy that TLS behind a CONNECT needs.
import type { TCPSocketListener } from "bun";
import { TlsInterceptor } from "../../src/net/accept-tls.ts";
import { SocketWire, type WireSocket, wireEvents } from "../../src/net/wire.ts";
import type { Wire } from "../../src/proxy/ports.ts";
import { type Authority, parseAuthority } from "../../src/values/authority.ts";
import { CertificateAuthority } from "../../src/x509/ca.ts";
import { LeafCache } from "../../src/x509/leaf-cache.ts";
import { MintLimiter } from "../../src/x509/mint-limiter.ts";
import { type ByteStream, within } from "./byte-stream.ts";
import { connect, connectHead, startTls } from "./client.ts";
import { DialWitness, dialOptions, target } from "./net-dials.ts";
import { type Manner, type Relay, startRelay } from "./net-relay.ts";
import { SecureWitness, Watch, Witness } from "./net-witness.ts";
import { startUpstream } from "./upstream.ts";

let authority: CertificateAuthority | undefined;

/** The proxy's CA of this test process. */
export function interceptionCa(): CertificateAuthority {
  authority ??= CertificateAuthority.generate(new Date()).ca;
  return authority;
}

/** An interceptor with its own cache and allowance. */
export function interceptor(perSecond = 50): TlsInterceptor {
  const leaves = new LeafCache({ ca: interceptionCa(), now: Date.now });
  return new TlsInterceptor(leaves, new MintLimiter({ now: Date.now, perSecond }));
}

/** Listens with the program's own handlers; each connection is a SocketWire for `accepted`. */
export function listenWires(
  accepted: (wire: SocketWire, socket: WireSocket) => void,
): TCPSocketListener<SocketWire> {
  return Bun.listen<SocketWire>({
    hostname: "127.0.0.1",
    port: 0,
    allowHalfOpen: true,
    socket: {
      ...wireEvents,
      open(socket) {
        const wire = new SocketWire();
        wire.socket = socket;
        socket.data = wire;
        accepted(wire, socket);
      },
    },
  });
}

export interface Pair extends AsyncDisposable {
  readonly wire: Wire;
  readonly seen: Witness;
  readonly peer: ByteStream;
}

/** `TLS accepted early`: with the ClientHello behind the CONNECT head. */
export type Way = "accepted" | "dialled" | "TLS accepted" | "TLS dialled" | "TLS accepted early";

async function acceptedPair(): Promise<Pair> {
  const { promise, resolve } = Promise.withResolvers<SocketWire>();
  const server = listenWires(resolve);
  const peer = await connect("127.0.0.1", server.port, true);
  return pair(await within(promise, "connection"), peer, () => server.stop(true));
}

async function securedPair(): Promise<Pair> {
  const front = startFront();
  const { peer, tunnel } = await front.open("localhost:443");
  return pair(tunnel.wire, peer, () => front.stop());
}

/** TLS that began behind the CONNECT head, in the same packet. */
async function earlyPair(): Promise<Pair> {
  const front = startFront();
  const { peer, tunnel } = await front.open("localhost:443", "with-head");
  return pair(tunnel.wire, peer, () => front.stop());
}

async function dialledPair(scheme: "http" | "https"): Promise<Pair> {
  const upstream = startUpstream({ halfOpen: true, ...(scheme === "http" ? { tls: false } : {}) });
  const dialled = new DialWitness(target(scheme, upstream.authority), dialOptions());
  const wire = await dialled.wire();
  return pair(wire, await upstream.next(), () => upstream.close());
}

function pair(wire: Wire, peer: ByteStream, stop: () => void): Pair {
  const seen = new Witness();
  wire.handler = seen;
  return {
    wire,
    seen,
    peer,
    async [Symbol.asyncDispose]() {
      wire.destroy();
      peer.destroy();
      stop();
    },
  };
}

/** A wire of that kind with its other end. */
export function openPair(way: Way): Promise<Pair> {
  if (way === "accepted") return acceptedPair();
  if (way === "TLS accepted") return securedPair();
  if (way === "TLS accepted early") return earlyPair();
  return dialledPair(way === "dialled" ? "http" : "https");
}

/** What follows a CONNECT, without the proxy: the head is read, 200 written, and TLS begins on the same socket. */
export interface Front {
  readonly port: number;
  /** One per CONNECT, in order. */
  readonly tunnels: readonly FrontTunnel[];
  untilTunnels(count: number): Promise<void>;
  /** Connects, CONNECTs, and completes a verified handshake; one at a time. Through a relay when a manner is given. */
  open(authority: string, manner?: Manner): Promise<{ peer: ByteStream; tunnel: FrontTunnel }>;
  stop(): void;
}

export interface FrontTunnel {
  readonly outer: SocketWire;
  readonly wire: Wire;
  readonly handshake: SecureWitness;
  readonly seen: Witness;
}

export function startFront(
  tls: TlsInterceptor = interceptor(),
  opened: (tunnel: FrontTunnel) => void = () => undefined,
): Front {
  const tunnels: FrontTunnel[] = [];
  const relays: Relay[] = [];
  const watch = new Watch();
  const begin = (outer: SocketWire, named: Authority, early: Uint8Array): void => {
    outer.write(Buffer.from("HTTP/1.1 200 Connection Established\r\n\r\n"));
    const handshake = new SecureWitness();
    const seen = new Witness();
    const wire = tls.accept(outer, tls.leaf(named, "127.0.0.1"), early, handshake);
    wire.handler = seen;
    const tunnel = { outer, wire, handshake, seen };
    tunnels.push(tunnel);
    opened(tunnel);
    watch.changed();
  };
  const server = listenWires((outer) => {
    let received = Buffer.alloc(0);
    outer.handler = {
      onData(bytes) {
        received = Buffer.concat([received, bytes]);
        const end = received.indexOf("\r\n\r\n");
        if (end < 0) return;
        const authority = received.toString("latin1").split(" ", 2)[1] ?? "";
        begin(outer, parseAuthority(authority), received.subarray(end + 4));
      },
      onDrain: ignore,
      onEnd: ignore,
      onClose: ignore,
    };
  });
  const untilTunnels = (count: number): Promise<void> =>
    watch.until(`tunnel number ${count}`, () => tunnels.length >= count);
  return {
    port: server.port,
    tunnels,
    untilTunnels,
    async open(authority, manner) {
      const before = tunnels.length;
      let raw: ByteStream;
      if (manner === undefined) raw = await connectFront(server.port, authority);
      else {
        const relay = await startRelay(server.port, connectHead(authority), manner);
        relays.push(relay);
        raw = await connect("127.0.0.1", relay.port, true);
      }
      const peer = await startTls(raw, authority, interceptionCa().certPem);
      const tunnel = tunnels[before] as FrontTunnel; // there since the 200 was written
      await tunnel.handshake.untilOutcome();
      return { peer, tunnel };
    },
    stop() {
      for (const { outer, wire } of tunnels) {
        wire.destroy();
        outer.destroy();
      }
      for (const relay of relays) relay.stop();
      server.stop(true);
    },
  };
}

/** Connects and CONNECTs; the stream is raw behind the 200. */
export async function connectFront(port: number, authority: string): Promise<ByteStream> {
  const raw = await connect("127.0.0.1", port, true);
  await raw.write(connectHead(authority));
  await raw.readUntil("\r\n\r\n");
  return raw;
}

function ignore(): void {
  // Not of interest.
}

// Real wires for tests of net: each of the four ways in which the program comes by one, with a raw stream as the other
// end, and a handler that writes down what it is told. It never sleeps: a wait ends with its event or fails.
import type { Socket, TCPSocketListener } from "bun";
import { TlsInterceptor } from "../../src/net/accept-tls.ts";
import { Dial, type DialOptions } from "../../src/net/dial.ts";
import { SocketWire, type WireSocket, wireEvents } from "../../src/net/wire.ts";
import { DestinationPolicy } from "../../src/policy/destinations.ts";
import type { SecureHandler, UpstreamTarget, Wire, WireHandler } from "../../src/proxy/ports.ts";
import { upstreamTarget } from "../../src/proxy/route.ts";
import { type Authority, parseAuthority } from "../../src/values/authority.ts";
import type { ProxyError } from "../../src/values/errors.ts";
import { CertificateAuthority } from "../../src/x509/ca.ts";
import { LeafCache } from "../../src/x509/leaf-cache.ts";
import { MintLimiter } from "../../src/x509/mint-limiter.ts";
import { type ByteStream, within } from "./byte-stream.ts";
import { connect, connectHead, startTls } from "./client.ts";
import { type Manner, type Relay, startRelay } from "./net-relay.ts";
import { pki } from "./pki.ts";
import { startUpstream } from "./upstream.ts";

/** Waits for conditions that are looked at again whenever `changed` is called. */
export class Watch {
  #waiting: { holds: () => boolean; done: () => void }[] = [];

  changed(): void {
    for (const entry of [...this.#waiting]) {
      if (!entry.holds()) continue;
      this.#waiting = this.#waiting.filter((other) => other !== entry);
      entry.done();
    }
  }

  until(what: string, holds: () => boolean, ms?: number): Promise<void> {
    if (holds()) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ holds, done: resolve });
    return within(promise, what, ms);
  }
}

/** A wire's owner that writes down what it is told. */
export class Witness extends Watch implements WireHandler {
  /**
   * In order, with `data` once for any number of pieces in a row. A drain is left out: sockets tell of room nobody
   * asked for, which does no harm.
   */
  readonly events: ("data" | "end" | "close")[] = [];
  drains = 0;
  readonly pieces: Uint8Array[] = [];
  count = 0;
  /** Called within onData. */
  onPiece: (() => void) | undefined;
  /** Called within onEnd. */
  onEnded: (() => void) | undefined;

  get text(): string {
    return Buffer.concat(this.pieces).toString("latin1");
  }

  happened(event: Witness["events"][number]): number {
    return this.events.filter((other) => other === event).length;
  }

  untilEvent(event: Witness["events"][number], times = 1): Promise<void> {
    return this.until(`${event} (seen: ${this.events})`, () => this.happened(event) >= times);
  }

  /** The peer has ended its side, or the connection is gone. */
  untilOver(): Promise<void> {
    return this.until("end or close", () => this.happened("end") + this.happened("close") > 0);
  }

  onData(bytes: Uint8Array): void {
    this.count += bytes.length;
    this.pieces.push(bytes);
    this.onPiece?.();
    if (this.events.at(-1) !== "data") this.events.push("data");
    this.changed();
  }

  onDrain(): void {
    this.drains++;
    this.changed();
  }

  onEnd(): void {
    this.events.push("end");
    this.onEnded?.();
    this.changed();
  }

  onClose(): void {
    this.events.push("close");
    this.changed();
  }
}

/** What a handshake said, and the plaintext wire behind it. */
export class SecureWitness extends Watch implements SecureHandler {
  readonly outcomes: ("secured" | "not-tls" | "failed")[] = [];

  onSecured(): void {
    this.outcomes.push("secured");
    this.changed();
  }

  onHandshakeFailed(reason: "not-tls" | "failed"): void {
    this.outcomes.push(reason);
    this.changed();
  }

  untilOutcome(): Promise<void> {
    return this.until("outcome of the handshake", () => this.outcomes.length > 0);
  }
}

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

/** The policy of most tests: loopback may be dialled. */
export function loopbackAllowed(): DestinationPolicy {
  return new DestinationPolicy({ allowIps: ["127.0.0.0/8", "::1"], ownAddresses: () => [] });
}

export function dialOptions(more: Partial<DialOptions> = {}): DialOptions {
  return { destinations: loopbackAllowed(), roots: pki().ca, dialMs: 3_000, tlsMs: 3_000, ...more };
}

export function target(scheme: "http" | "https", text: string): UpstreamTarget {
  return upstreamTarget(scheme, parseAuthority(text));
}

export type DialResult = { wire: SocketWire; privatePeer: boolean } | { error: ProxyError };

/** A dial and its outcomes: there must be one. */
export class DialWitness extends Watch {
  readonly results: DialResult[] = [];
  readonly dial: Dial;

  constructor(to: UpstreamTarget, options: DialOptions, privateOnly = false) {
    super();
    this.dial = new Dial(to, privateOnly, options, {
      onDialled: (wire, privatePeer) => this.#came({ wire, privatePeer }),
      onRefused: (error) => this.#came({ error }),
    });
  }

  async outcome(): Promise<DialResult> {
    await this.until("outcome of the dial", () => this.results.length > 0);
    return this.results[0] as DialResult;
  }

  async wire(): Promise<SocketWire> {
    const result = await this.outcome();
    if ("error" in result) throw result.error;
    return result.wire;
  }

  async error(): Promise<ProxyError> {
    const result = await this.outcome();
    if ("wire" in result) throw new Error("the dial succeeded");
    return result.error;
  }

  #came(result: DialResult): void {
    this.results.push(result);
    this.changed();
  }
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

/**
 * Lets everything happen that is under way on loopback: messages go to and fro on a connection of their own. What was
 * sent before the first has arrived before the last.
 */
export async function settle(rounds = 4): Promise<void> {
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket: Socket, bytes) => void socket.write(bytes) },
  });
  const stream = await connect("127.0.0.1", server.port, true);
  for (let round = 0; round < rounds; round++) {
    void stream.write("x");
    await stream.readBytes(1);
  }
  stream.destroy();
  server.stop(true);
}

function ignore(): void {
  // Not of interest.
}

// Connects to an upstream: resolve, check every address, connect to those very addresses, at once or through the
// operator's proxy, verify the certificate. What comes out is ready to be written to; no byte of a request is written
// before. wire.md sections 4 and 8, RFC 8305 for the pacing.

import { lookup } from "node:dns";
import type { SocketHandler } from "bun";
import type { DestinationPolicy } from "../policy/destinations.ts";
import type { Cancellable, UpstreamTarget } from "../proxy/ports.ts";
import { cleartextRefusal, destinationRefusal } from "../proxy/refusals.ts";
import { formatAuthority } from "../values/authority.ts";
import { ProxyError } from "../values/errors.ts";
import type { UpstreamTls, UpstreamTlsOptions } from "./upstream-tls.ts";
import { ProxyWay, startTls, type UpstreamProxy, type WayOutcome } from "./via-proxy.ts";
import { SILENT, SocketWire, type WireSocket, wireEvents } from "./wire.ts";

export interface DialOptions {
  readonly destinations: DestinationPolicy;
  readonly tls: UpstreamTls;
  /** All connections go through it. Its own address is the operator's and not checked; the target's is. */
  readonly upstreamProxy?: UpstreamProxy | undefined;
  /** Milliseconds for resolving a name and connecting to its addresses, through the proxy if there is one. */
  readonly dialMs: number;
  /** Milliseconds for the TLS handshake. */
  readonly tlsMs: number;
  /** Shared by all dials: the runtime cannot call off a connection attempt, so their number is bounded. */
  readonly attempts: { pending: number; readonly max: number };
}

export interface DialOutcome {
  onDialled(wire: SocketWire, privatePeer: boolean): void;
  onRefused(error: ProxyError): void;
}

/** A name with more addresses than this is no service but a way to make us open connections. */
const MAX_ADDRESSES = 8;

/** RFC 8305 section 5, Connection Attempt Delay. */
const ATTEMPT_DELAY_MS = 250;

/** Finds peers that vanished without a FIN. wire.md section 14. */
const TCP_KEEP_ALIVE_MS = 60_000;

/** One dial, however many addresses it takes. */
export class Dial implements Cancellable {
  readonly #target: UpstreamTarget;
  readonly #privateOnly: boolean;
  readonly #options: DialOptions;
  readonly #outcome: DialOutcome;
  readonly #attempts = new Set<AttemptWire>();
  #addresses: string[] = [];
  #next: ReturnType<typeof setTimeout> | undefined;
  readonly #deadline: ReturnType<typeof setTimeout>;
  #failure: ProxyError | undefined;
  #over = false;

  constructor(target: UpstreamTarget, privateOnly: boolean, options: DialOptions, outcome: DialOutcome) {
    this.#target = target;
    this.#privateOnly = privateOnly;
    this.#options = options;
    this.#outcome = outcome;
    this.#deadline = setTimeout(() => this.#expire(), options.dialMs);
    const { authority } = target;
    if (authority.kind === "name") this.#resolve(authority.host);
    else queueMicrotask(() => this.#onAddresses([authority.host]));
  }

  cancel(): void {
    this.#stop();
  }

  /** A connection is there; with TLS it still has to prove itself. */
  onAttemptOpen(attempt: AttemptWire): void {
    if (this.#over) return;
    if (this.#target.scheme === "http") this.#win(attempt);
  }

  onAttemptSecured(attempt: AttemptWire): void {
    if (!this.#over) this.#win(attempt);
  }

  onAttemptFailed(attempt: AttemptWire, error: ProxyError): void {
    if (this.#over || !this.#attempts.delete(attempt)) return;
    // A certificate problem says more than a refused connection on another address.
    if (this.#failure === undefined || error.code === "certificate-rejected") this.#failure = error;
    if (this.#addresses.length > 0) this.#tryNext();
    else if (this.#attempts.size === 0) this.#refuse(this.#failure);
  }

  #resolve(host: string): void {
    lookup(host, { all: true }, (error, found) => {
      if (error !== null) this.#refuse(dialFailed("name not resolved", error));
      else this.#onAddresses(found.map((entry) => entry.address));
    });
  }

  #onAddresses(found: readonly string[]): void {
    if (this.#over) return;
    const { destinations } = this.#options;
    const { authority, key } = this.#target;
    const allowed = found.filter(
      (address) => destinations.verdict(address, authority.port, key) === "allowed",
    );
    if (allowed.length === 0) {
      this.#refuse(found.length === 0 ? dialFailed("name has no address") : destinationRefusal());
      return;
    }
    // Through another proxy the bytes travel further than the address tells.
    this.#addresses = this.#privateOnly ? allowed.filter((address) => this.#staysPrivate(address)) : allowed;
    if (this.#addresses.length === 0) {
      this.#refuse(cleartextRefusal());
      return;
    }
    this.#addresses.length = Math.min(this.#addresses.length, MAX_ADDRESSES);
    this.#tryNext();
  }

  #tryNext(): void {
    clearTimeout(this.#next);
    const address = this.#addresses.shift();
    if (address === undefined || this.#over) return;
    const { attempts } = this.#options;
    const attempt = new AttemptWire(this, address);
    this.#attempts.add(attempt);
    if (attempts.pending >= attempts.max) {
      attempt.fail(dialFailed("too many connection attempts under way"));
      return;
    }
    const { upstreamProxy } = this.#options;
    const common = {
      hostname: upstreamProxy?.host ?? address,
      port: upstreamProxy?.port ?? this.#target.authority.port,
      allowHalfOpen: true,
      data: attempt,
      socket: dialEvents,
    };
    const tls = upstreamProxy === undefined ? this.tls : undefined;
    const opened =
      tls === undefined ? Bun.connect<SocketWire>(common) : Bun.connect<SocketWire>({ ...common, tls });
    attempts.pending++;
    opened
      .catch((error: unknown) => attempt.fail(dialFailed("not reached", error)))
      .finally(() => attempts.pending--);
    if (this.#addresses.length > 0) this.#next = setTimeout(() => this.#tryNext(), ATTEMPT_DELAY_MS);
  }

  // The time to resolve and connect is over. A connection that stands has its own time for the handshake.
  #expire(): void {
    this.#addresses = [];
    const late = [...this.#attempts].filter((attempt) => !attempt.open);
    const error = dialFailed("timed out");
    if (this.#attempts.size === late.length) this.#refuse(this.#failure ?? error);
    else for (const attempt of late) attempt.fail(error);
  }

  #win(attempt: AttemptWire): void {
    this.#attempts.delete(attempt);
    this.#stop();
    attempt.won();
    this.#outcome.onDialled(attempt, this.#staysPrivate(attempt.address));
  }

  #staysPrivate(address: string): boolean {
    const { destinations, upstreamProxy } = this.#options;
    return upstreamProxy === undefined && destinations.isPrivateOrLoopback(address);
  }

  #refuse(error: ProxyError): void {
    if (this.#over) return;
    this.#stop();
    this.#outcome.onRefused(error);
  }

  #stop(): void {
    this.#over = true;
    clearTimeout(this.#next);
    clearTimeout(this.#deadline);
    for (const attempt of this.#attempts) attempt.destroy();
    this.#attempts.clear();
  }

  get options(): DialOptions {
    return this.#options;
  }

  get port(): number {
    return this.#target.authority.port;
  }

  /** How the target proves itself, and we to it; undefined in the clear. */
  get tls(): UpstreamTlsOptions | undefined {
    const { scheme, authority } = this.#target;
    return scheme === "http" ? undefined : this.#options.tls.options(authority);
  }
}

/** The wire of a connection that is not ours to use yet. */
class AttemptWire extends SocketWire implements WayOutcome {
  readonly address: string;
  /** Connected, through the proxy if there is one; a handshake may be under way. */
  open = false;
  #dial: Dial | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(dial: Dial, address: string) {
    super();
    this.#dial = dial;
    this.address = address;
  }

  onOpen(socket: WireSocket): void {
    this.socket = socket;
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    if (this.#dial === undefined || this.closed) {
      socket.terminate();
      return;
    }
    const { upstreamProxy } = this.#dial.options;
    if (upstreamProxy === undefined) this.#reached(this.#dial);
    else new ProxyWay(this, hostPort(this.address, this.#dial.port), upstreamProxy.authorization, this);
  }

  onWayOpen(early: Uint8Array): void {
    const dial = this.#dial;
    if (dial === undefined) return;
    const { tls } = dial;
    // A TLS server waits for its client: these bytes are the proxy's own, and would be read as the server's.
    if (tls !== undefined && early.length > 0) {
      this.fail(dialFailed("the upstream proxy sent bytes before TLS"));
      return;
    }
    // What the proxy was told is no byte of a request.
    this.accepted = 0;
    if (tls !== undefined) startTls(this, tls, securedEvents);
    this.#reached(dial);
    if (early.length > 0) this.handler.onData(early);
  }

  onWayRefused(reason: string): void {
    this.fail(dialFailed(reason));
  }

  #reached(dial: Dial): void {
    this.open = true;
    this.#deadline = setTimeout(() => this.fail(dialFailed("TLS handshake timed out")), dial.options.tlsMs);
    dial.onAttemptOpen(this);
  }

  onHandshake(socket: WireSocket, success: boolean, error: Error | null): void {
    if (success && socket.authorized) this.#dial?.onAttemptSecured(this);
    else this.fail(handshakeFailure(error));
  }

  fail(error: ProxyError): void {
    clearTimeout(this.#deadline);
    const dial = this.#dial;
    this.#dial = undefined;
    this.destroy();
    dial?.onAttemptFailed(this, error);
  }

  won(): void {
    clearTimeout(this.#deadline);
    this.#dial = undefined;
    this.handler = SILENT;
  }

  override destroy(): void {
    clearTimeout(this.#deadline);
    this.#dial = undefined;
    // A socket that is still connecting is terminated as soon as it opens.
    if (this.socket === undefined) this.closed = true;
    else super.destroy();
  }

  override onSocketClose(): void {
    if (this.#dial !== undefined && this.open) this.fail(dialFailed("closed during the handshake"));
    else super.onSocketClose();
  }
}

/** A handshake's, whoever opened the connection. */
const securedEvents: SocketHandler<SocketWire> = {
  ...wireEvents,
  handshake(socket, success, error) {
    if (socket.data instanceof AttemptWire) socket.data.onHandshake(socket, success, error);
  },
};

const dialEvents: SocketHandler<SocketWire> = {
  ...securedEvents,
  open(socket) {
    if (socket.data instanceof AttemptWire) socket.data.onOpen(socket);
  },
  connectError(socket, error) {
    if (socket.data instanceof AttemptWire) socket.data.fail(dialFailed("not reached", error));
  },
};

/** What the runtime reports when a handshake breaks for another reason than the certificate. */
const NOT_THE_CERTIFICATE = /^(?:ERR_SSL|EPROTO|ECONNRESET|EPIPE|ETIMEDOUT)/;

function handshakeFailure(error: Error | null): ProxyError {
  if (error !== null && NOT_THE_CERTIFICATE.test(errorCode(error)))
    return dialFailed("TLS handshake failed", error);
  return new ProxyError("certificate-rejected", "the upstream's certificate could not be verified", error);
}

// One text for the client whatever went wrong: an errno would map the network behind the proxy.
function dialFailed(what: string, cause?: unknown): ProxyError {
  const reason = cause instanceof Error ? new Error(`${what} (${errorCode(cause)})`) : new Error(what);
  return new ProxyError("dial-failed", "the upstream could not be reached", reason);
}

function hostPort(address: string, port: number): string {
  const kind = address.includes(":") ? "ipv6" : "ipv4";
  return formatAuthority({ host: address, port, kind });
}

function errorCode(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}

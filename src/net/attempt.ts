// One connection attempt of a dial: opened, through the operator's proxy if there is one, verified, and only then a wire
// that may be used. Why it failed is told in one way, whatever failed. wire.md section 4.

import type { SocketHandler } from "bun";
import { formatAuthority } from "../values/authority.ts";
import { ProxyError } from "../values/errors.ts";
import type { Instant, Session, SessionPlace } from "./upstream-sessions.ts";
import type { UpstreamTlsOptions } from "./upstream-tls.ts";
import { ProxyWay, startTls, type UpstreamProxy, type WayOutcome } from "./via-proxy.ts";
import { SILENT, SocketWire, type WireSocket, wireEvents } from "./wire.ts";

/** Finds peers that vanished without a FIN. wire.md section 14. */
const TCP_KEEP_ALIVE_MS = 60_000;

/** Whose attempt it is: what it needs to know, and who hears what became of it. */
export interface AttemptOwner {
  readonly upstreamProxy: UpstreamProxy | undefined;
  /** Of the target. */
  readonly port: number;
  /** How the target proves itself, and we to it; undefined in the clear. */
  readonly tls: UpstreamTlsOptions | undefined;
  /** Milliseconds for the TLS handshake. */
  readonly tlsMs: number;
  readonly sessions: SessionPlace;
  /** A connection is there; with TLS it still has to prove itself. */
  onAttemptOpen(attempt: AttemptWire): void;
  onAttemptSecured(attempt: AttemptWire): void;
  onAttemptFailed(attempt: AttemptWire, error: ProxyError): void;
}

/** The wire of a connection that is not ours to use yet. */
export class AttemptWire extends SocketWire implements WayOutcome {
  readonly address: string;
  /** Connected, through the proxy if there is one; a handshake may be under way. */
  open = false;
  readonly #sessions: SessionPlace;
  #offered: Session | undefined;
  /** When the certificate was verified, in this connection or the one that it resumed; undefined before. */
  #verifiedAt: Instant | undefined;
  /** Until the outcome is known. */
  #owner: AttemptOwner | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(owner: AttemptOwner, address: string) {
    super();
    this.#owner = owner;
    this.address = address;
    this.#sessions = owner.sessions;
  }

  onOpen(socket: WireSocket): void {
    this.socket = socket;
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    const owner = this.#owner;
    if (owner === undefined || this.closed) {
      socket.terminate();
      return;
    }
    const { upstreamProxy } = owner;
    if (upstreamProxy !== undefined) {
      new ProxyWay(this, hostPort(this.address, owner.port), upstreamProxy.authorization, this);
      return;
    }
    if (owner.tls !== undefined) this.#offerSession(socket);
    this.#reached(owner);
  }

  onWayOpen(early: Uint8Array): void {
    const owner = this.#owner;
    if (owner === undefined) return;
    const { tls } = owner;
    // A TLS server waits for its client: these bytes are the proxy's own, and would be read as the server's.
    if (tls !== undefined && early.length > 0) {
      this.fail(dialFailed("the upstream proxy sent bytes before TLS"));
      return;
    }
    // What the proxy was told is no byte of a request.
    this.accepted = 0;
    if (tls !== undefined) startTls(this, tls, securedEvents);
    this.#reached(owner);
    if (early.length > 0) this.handler.onData(early);
  }

  onWayRefused(reason: string): void {
    this.fail(dialFailed(reason));
  }

  #reached(owner: AttemptOwner): void {
    this.open = true;
    this.#deadline = setTimeout(() => this.fail(dialFailed("TLS handshake timed out")), owner.tlsMs);
    owner.onAttemptOpen(this);
  }

  onHandshake(socket: WireSocket, success: boolean, error: Error | null): void {
    if (!success || !socket.authorized) {
      this.fail(handshakeFailure(error));
      return;
    }
    const resumed = socket.isSessionReused() ? this.#offered : undefined;
    this.#verifiedAt = resumed?.verifiedAt ?? this.#sessions.now();
    this.#owner?.onAttemptSecured(this);
  }

  /** The upstream lets us resume from here. Of one that has not been verified, nothing is kept. */
  onSession(ticket: Uint8Array): void {
    const verifiedAt = this.#verifiedAt;
    if (verifiedAt !== undefined) this.#sessions.keep({ ticket, verifiedAt });
  }

  #offerSession(socket: WireSocket): void {
    this.#offered = this.#sessions.offer();
    if (this.#offered !== undefined) socket.setSession(this.#offered.ticket);
  }

  fail(error: ProxyError): void {
    clearTimeout(this.#deadline);
    const owner = this.#owner;
    this.#owner = undefined;
    // Perhaps the upstream cannot resume: then the next attempt begins afresh.
    if (this.#offered !== undefined) this.#sessions.forget();
    this.destroy();
    owner?.onAttemptFailed(this, error);
  }

  won(): void {
    clearTimeout(this.#deadline);
    this.#owner = undefined;
    this.handler = SILENT;
  }

  override destroy(): void {
    clearTimeout(this.#deadline);
    this.#owner = undefined;
    // A socket that is still connecting is terminated as soon as it opens.
    if (this.socket === undefined) this.closed = true;
    else super.destroy();
  }

  override onSocketClose(): void {
    if (this.#owner !== undefined && this.open) this.fail(dialFailed("closed during the handshake"));
    else super.onSocketClose();
  }
}

/** The typings lack the event of node:tls that tells of a session. */
interface TlsClientEvents extends SocketHandler<SocketWire> {
  session(socket: WireSocket, ticket: Uint8Array): void;
}

/** A handshake's, whoever opened the connection. */
const securedEvents: TlsClientEvents = {
  ...wireEvents,
  handshake(socket, success, error) {
    if (socket.data instanceof AttemptWire) socket.data.onHandshake(socket, success, error);
  },
  session(socket, ticket) {
    if (socket.data instanceof AttemptWire) socket.data.onSession(ticket);
  },
};

export const dialEvents: SocketHandler<SocketWire> = {
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
export function dialFailed(what: string, cause?: unknown): ProxyError {
  const reason = cause instanceof Error ? new Error(`${what} (${errorCode(cause)})`) : new Error(what);
  return new ProxyError("dial-failed", "the upstream could not be reached", reason);
}

function errorCode(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
function hostPort(address: string, port: number): string {
  const kind = address.includes(":") ? "ipv6" : "ipv4";
  return formatAuthority({ host: address, port, kind });
}

// The interfaces through which the machines of this folder reach the world. net, log and run implement them;
// tests implement them with scripts. Nothing here knows Bun.

import type { RunContext } from "../run/run-context.ts";
import type { Authority } from "../values/authority.ts";
import type { ProxyError } from "../values/errors.ts";
import type { Leaf } from "../x509/leaf.ts";
import type { RequestRecord } from "./record.ts";

/** What a connection tells its owner. One object per connection, no closures. */
export interface WireHandler {
  /** Bytes in arrival order; the buffer is the handler's from then on. */
  onData(bytes: Uint8Array): void;
  /** All that was written has left; a paused source may go on. */
  onDrain(): void;
  /** The peer sent its FIN (or close_notify); writing still works. */
  onEnd(): void;
  /** The connection is gone; called once, last. */
  onClose(): void;
}

/** One established byte connection, plain or TLS: never loses, reorders or duplicates what it was given. */
export interface Wire {
  handler: WireHandler;
  /**
   * Takes bytes without sending them yet; what is queued together leaves in one write.
   * @param data bytes, or text whose every character is one byte (latin1): a head needs no buffer of its own
   */
  queue(data: Uint8Array | string): void;
  /** The same for bytes that the caller is done with: their memory goes back at once when they have left. */
  give(bytes: Uint8Array): void;
  /** Sends what is queued. False: some of it waits in memory; stop the source until onDrain. */
  flush(): boolean;
  /** queue, then flush. */
  write(data: Uint8Array | string): boolean;
  /** Bytes queued or not yet taken by the socket. */
  readonly backlog: number;
  /** Bytes the socket has taken since the connection opened. */
  readonly accepted: number;
  pause(): void;
  resume(): void;
  /** Flush, then send FIN; reading goes on. */
  end(): void;
  /** Close both ways, orderly, with nothing left to flush. The handler is not called again, not even with onClose. */
  close(): void;
  /** Abort at once, dropping the backlog, so that the peer sees a cut. The handler is not called again. */
  destroy(): void;
  readonly closed: boolean;
}

/** Where and how to connect; with the run, the identity of a pooled connection. Made by `upstreamTarget`. */
export interface UpstreamTarget {
  readonly scheme: "http" | "https";
  readonly authority: Authority;
  /** `scheme://host:port`, canonical. */
  readonly key: string;
  /** The authority as a Host field or a record shows it: the scheme's default port left out. */
  readonly display: string;
}

/** An upstream connection, verified where the scheme asks for it. */
export interface Upstream {
  readonly wire: Wire;
  readonly target: UpstreamTarget;
  readonly run: RunContext;
  /** The address dialled is loopback or private: a credential may go there in the clear. */
  readonly privatePeer: boolean;
}

/** Receives the outcome of a dial, once, unless it was cancelled. */
export interface DialHandler {
  onConnected(upstream: Upstream): void;
  onDialFailed(error: ProxyError): void;
}

export interface Cancellable {
  cancel(): void;
}

export interface Upstreams {
  /** An idle connection of that run to that target, idle for less than `maxIdleMs`. Its handler must be set at once. */
  take(run: RunContext, target: UpstreamTarget, maxIdleMs: number): Upstream | undefined;
  /**
   * Resolves, checks every address, connects, verifies. Never calls back before it has returned.
   * @param privateOnly refuse public addresses with `cleartext-credential`
   */
  dial(run: RunContext, target: UpstreamTarget, privateOnly: boolean, handler: DialHandler): Cancellable;
  /** Takes a connection back between two messages. @param keepAliveMs what the upstream announced, if it did */
  release(upstream: Upstream, keepAliveMs: number | undefined): void;
  /** Why a literal address is refused, before anything is written or dialled; undefined for names and allowed ones. */
  refusal(target: UpstreamTarget): ProxyError | undefined;
}

/** What an intercepted connection tells about its handshake. */
export interface SecureHandler {
  onSecured(): void;
  /** `not-tls`: the first bytes were no ClientHello. The connection closes by itself. */
  onHandshakeFailed(reason: "not-tls" | "failed"): void;
}

/** Terminates the client's TLS with a certificate of our own. */
export interface Interceptor {
  /** The leaf for a host, cached or minted now. Throws ProxyError too-many-leaves. */
  leaf(authority: Authority, clientIp: string): Leaf;
  /**
   * Everything on `wire` is TLS from here on, beginning with `early`, what came behind the CONNECT head; the result
   * carries the plaintext. Never calls back before it has returned.
   */
  accept(wire: Wire, leaf: Leaf, early: Uint8Array, handler: SecureHandler): Wire;
}

/** Selects the run for a token. A promise goes through suspend.ts. */
export interface Runs {
  /** True when a client must present a token. */
  readonly authRequired: boolean;
  lookup(token: string | undefined): RunContext | undefined | Promise<RunContext | undefined>;
}

export interface RecordSink {
  write(record: RequestRecord): void;
}

export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
}

export interface RequestIds {
  next(): string;
}

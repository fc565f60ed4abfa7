// Connects to an upstream: resolve, check every address, connect to those very addresses, at once or through the
// operator's proxy, verify the certificate. What comes out is ready to be written to; no byte of a request is written
// before. wire.md sections 4 and 8, RFC 8305 for the pacing.

import { lookup } from "node:dns";
import type { DestinationPolicy } from "../policy/destinations.ts";
import type { Cancellable, UpstreamTarget } from "../proxy/ports.ts";
import { cleartextRefusal, destinationRefusal } from "../proxy/refusals.ts";
import type { ProxyError } from "../values/errors.ts";
import { type AttemptOwner, AttemptWire, dialEvents, dialFailed } from "./attempt.ts";
import type { SessionPlace } from "./upstream-sessions.ts";
import type { UpstreamTls, UpstreamTlsOptions } from "./upstream-tls.ts";
import type { UpstreamProxy } from "./via-proxy.ts";
import type { SocketWire } from "./wire.ts";

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

/** One dial, however many addresses it takes. */
export class Dial implements Cancellable, AttemptOwner {
  readonly #target: UpstreamTarget;
  readonly #privateOnly: boolean;
  readonly #options: DialOptions;
  readonly #outcome: DialOutcome;
  readonly tls: UpstreamTlsOptions | undefined;
  readonly sessions: SessionPlace;
  readonly #attempts = new Set<AttemptWire>();
  #addresses: string[] = [];
  #next: ReturnType<typeof setTimeout> | undefined;
  readonly #deadline: ReturnType<typeof setTimeout>;
  #failure: ProxyError | undefined;
  #over = false;

  /** @param run on whose behalf */
  constructor(
    run: object,
    target: UpstreamTarget,
    privateOnly: boolean,
    options: DialOptions,
    outcome: DialOutcome,
  ) {
    this.#target = target;
    this.tls = target.scheme === "http" ? undefined : options.tls.options(target.authority);
    this.sessions = options.tls.sessions.place(run, target.key);
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

  get upstreamProxy(): UpstreamProxy | undefined {
    return this.#options.upstreamProxy;
  }

  get tlsMs(): number {
    return this.#options.tlsMs;
  }

  get port(): number {
    return this.#target.authority.port;
  }
}

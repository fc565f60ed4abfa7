// One CONNECT, from an authorised head to whatever the tunnel becomes: opaque bytes, cleartext HTTP, or TLS that ends
// here with a session of its own inside. Nothing but `200 Connection Established` is written before. wire.md section 4.

import type { RunContext } from "../run/run-context.ts";
import { type Authority, formatAuthority } from "../values/authority.ts";
import { ProxyError } from "../values/errors.ts";
import type { Intake } from "./intake.ts";
import type {
  Cancellable,
  DialHandler,
  Interceptor,
  SecureHandler,
  Upstream,
  UpstreamTarget,
  Wire,
  WireHandler,
} from "./ports.ts";
import { policyRefusal, ruleRefusal } from "./refusals.ts";
import { upstreamTarget } from "./route.ts";
import type { SessionDeps } from "./session-deps.ts";
import { Tunnel, type TunnelOwner } from "./tunnel.ts";

/** The intercepted tunnel a session runs in. */
export interface InnerTunnel {
  readonly target: UpstreamTarget;
  /** Told once, when the session inside is over. */
  readonly owner: { onInnerClosed(requests: number): void };
}

/** The session inside, as its tunnel knows it. */
export interface InnerSession extends WireHandler {
  onSecured(): void;
  destroy(): void;
}

/** The session that read the CONNECT. */
export interface ConnectOwner {
  readonly wire: Wire;
  /** Holds what the client sent behind the head. */
  readonly intake: Intake;
  /** No 200 has been written: the client gets a reply. */
  onFailed(error: ProxyError): void;
  /** The wire is somebody else's now. */
  onHandedOver(): void;
  /** Cleartext HTTP for that upstream follows on the same wire. */
  onPlainTunnel(target: UpstreamTarget): void;
  /** Opens a session like itself for what runs inside. */
  openInner(wire: Wire, tunnel: InnerTunnel): InnerSession;
  /** The tunnel has ended. @param status for its record; undefined when requests inside have left their own */
  onHandoverEnded(status: number | undefined, sent: number, received: number, error?: ProxyError): void;
}

const ESTABLISHED_STATUS = 200;
const ESTABLISHED = Buffer.from("HTTP/1.1 200 Connection Established\r\n\r\n", "latin1");

export class ConnectAttempt implements DialHandler, TunnelOwner, SecureHandler, Cancellable {
  readonly #owner: ConnectOwner;
  readonly #deps: SessionDeps;
  readonly #clientIp: string;
  readonly #run: RunContext;
  readonly #authority: Authority;
  #dial: Cancellable | undefined;
  #tunnel: Tunnel | undefined;
  #inner: InnerSession | undefined;
  #over = false;

  constructor(
    owner: ConnectOwner,
    deps: SessionDeps,
    clientIp: string,
    run: RunContext,
    authority: Authority,
  ) {
    this.#owner = owner;
    this.#deps = deps;
    this.#clientIp = clientIp;
    this.#run = run;
    this.#authority = authority;
  }

  /** Policy, literal destination, then what the port and the configuration make of it. Throws ProxyError. */
  start(): void {
    const { interceptor, upstreams, plainPorts } = this.#deps;
    const authority = this.#authority;
    const run = this.#run;
    const secure = upstreamTarget("https", authority);
    const { admitted, ruled, passthrough } = run.hosts.lookup(secure.key, authority);
    if (!admitted) throw policyRefusal(false, formatAuthority(authority), run.denyStatus);
    const plain = interceptor !== undefined && plainPorts.has(authority.port);
    const opaque = interceptor === undefined || passthrough;
    const target = plain || opaque ? upstreamTarget("http", authority) : secure;
    const refusal = upstreams.refusal(target);
    if (refusal !== undefined) throw refusal;
    if (opaque) {
      // What cannot be seen cannot be judged.
      if (ruled) throw ruleRefusal("the host has rules, and a tunnel to it is opaque");
      this.#dial = upstreams.dial(run, target, false, this);
    } else if (plain) {
      this.#owner.wire.write(ESTABLISHED);
      this.#owner.onPlainTunnel(target);
    } else {
      this.#intercept(interceptor, target);
    }
  }

  /** Bytes pass unseen: no request inside looks the run up again. */
  get opaque(): boolean {
    return this.#tunnel !== undefined;
  }

  cancel(): void {
    this.#dial?.cancel();
    this.#tunnel?.cancel();
  }

  onConnected(upstream: Upstream): void {
    const { wire } = this.#owner;
    this.#dial = undefined;
    wire.write(ESTABLISHED);
    const early = this.#owner.intake.takeAll();
    this.#owner.onHandedOver();
    this.#tunnel = new Tunnel(this, this.#deps, wire, upstream.wire, early, new Uint8Array(0));
  }

  onDialFailed(error: ProxyError): void {
    this.#dial = undefined;
    this.#owner.onFailed(error);
  }

  onTunnelClosed(sent: number, received: number): void {
    this.#finish(ESTABLISHED_STATUS, sent, received);
  }

  onSecured(): void {
    this.#inner?.onSecured();
  }

  onHandshakeFailed(reason: "not-tls" | "failed"): void {
    const message =
      reason === "not-tls"
        ? "the client's first bytes are no TLS ClientHello; list the host in tls.passthrough for an opaque tunnel"
        : "the client's TLS handshake failed: it may not trust the CA; a client that pins certificates belongs in tls.passthrough";
    this.#finish(ESTABLISHED_STATUS, 0, 0, new ProxyError("handshake-failed", message));
    this.#inner?.destroy();
  }

  /** Called by the session inside when it is over. */
  onInnerClosed(requests: number): void {
    this.#finish(requests > 0 ? undefined : ESTABLISHED_STATUS, 0, 0);
  }

  #intercept(interceptor: Interceptor, target: UpstreamTarget): void {
    const leaf = interceptor.leaf(this.#authority, this.#clientIp);
    const { wire } = this.#owner;
    const early = this.#owner.intake.takeAll();
    const taken = wire.write(ESTABLISHED);
    this.#owner.onHandedOver();
    if (!taken) {
      // TLS would overtake what waits here.
      const error = new ProxyError("handshake-failed", "the client does not read the answer to its CONNECT");
      this.#finish(ESTABLISHED_STATUS, 0, 0, error);
      wire.destroy();
      return;
    }
    try {
      const secure = interceptor.accept(wire, leaf, early, this);
      this.#inner = this.#owner.openInner(secure, { target, owner: this });
      secure.handler = this.#inner;
    } catch (error) {
      this.#finish(ESTABLISHED_STATUS, 0, 0, new ProxyError("internal-error", "internal error", error));
      wire.destroy();
    }
  }

  #finish(status: number | undefined, sent: number, received: number, error?: ProxyError): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.onHandoverEnded(status, sent, received, error);
  }
}

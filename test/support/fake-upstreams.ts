// Upstream connections by script: the test puts idle ones in, completes dials or fails them, and sees which came back.
// Keeps the contract of Upstreams: a connection serves one run and one target, and a cancelled dial says nothing.

import type { Cancellable, DialHandler, Upstream, Upstreams, UpstreamTarget } from "../../src/proxy/ports.ts";
import { destinationRefusal } from "../../src/proxy/refusals.ts";
import type { RunContext } from "../../src/run/run-context.ts";
import type { ProxyError } from "../../src/values/errors.ts";
import { type EventLoop, FakeWire } from "./fake-wire.ts";

export class FakeUpstream implements Upstream {
  readonly wire: FakeWire;
  readonly target: UpstreamTarget;
  readonly run: RunContext;
  readonly privatePeer: boolean;
  reused = false;
  /** Clock time since which it has been idle; undefined while it is in use. */
  idleSince: number | undefined;

  constructor(wire: FakeWire, target: UpstreamTarget, run: RunContext, privatePeer: boolean) {
    this.wire = wire;
    this.target = target;
    this.run = run;
    this.privatePeer = privatePeer;
  }
}

export interface Connection {
  /** The address dialled is private. */
  readonly privatePeer?: boolean;
  /** Bytes that the peer takes at first. */
  readonly room?: number;
}

export class FakeDial implements Cancellable {
  readonly target: UpstreamTarget;
  readonly run: RunContext;
  readonly privateOnly: boolean;
  state: "pending" | "connected" | "failed" | "cancelled" = "pending";
  readonly #upstreams: FakeUpstreams;
  readonly #handler: DialHandler;

  constructor(
    upstreams: FakeUpstreams,
    run: RunContext,
    target: UpstreamTarget,
    privateOnly: boolean,
    handler: DialHandler,
  ) {
    this.#upstreams = upstreams;
    this.run = run;
    this.target = target;
    this.privateOnly = privateOnly;
    this.#handler = handler;
  }

  /** The connection is there, and verified. */
  connect(connection: Connection = {}): FakeWire {
    this.#leave("connected");
    const upstream = this.#upstreams.make(this.run, this.target, connection.privatePeer ?? false);
    if (connection.room !== undefined) upstream.wire.acceptUpTo(connection.room);
    this.#upstreams.loop.run(() => this.#handler.onConnected(upstream));
    return upstream.wire;
  }

  fail(error: ProxyError): void {
    this.#leave("failed");
    this.#upstreams.loop.run(() => this.#handler.onDialFailed(error));
  }

  cancel(): void {
    if (this.state === "pending") this.state = "cancelled";
  }

  #leave(state: "connected" | "failed"): void {
    if (this.state !== "pending") throw new Error(`the dial of ${this.target.key} is ${this.state}`);
    this.state = state;
  }
}

/** A connection that came back. */
export interface Release {
  readonly wire: FakeWire;
  readonly keepAliveMs: number | undefined;
}

export class FakeUpstreams implements Upstreams {
  readonly loop: EventLoop;
  readonly dials: FakeDial[] = [];
  /** Every connection there has been. */
  readonly connections: FakeUpstream[] = [];
  readonly released: Release[] = [];
  /** Literal addresses that are refused. */
  readonly denied = new Set<string>();
  readonly #now: () => number;

  constructor(loop: EventLoop, now: () => number) {
    this.loop = loop;
    this.#now = now;
  }

  /** A connection that another request of that run left behind. */
  putIdle(run: RunContext, target: UpstreamTarget, idleMs = 0, connection: Connection = {}): FakeWire {
    const upstream = this.make(run, target, connection.privatePeer ?? false);
    upstream.idleSince = this.#now() - idleMs;
    if (connection.room !== undefined) upstream.wire.acceptUpTo(connection.room);
    return upstream.wire;
  }

  get pending(): FakeDial[] {
    return this.dials.filter((dial) => dial.state === "pending");
  }

  take(run: RunContext, target: UpstreamTarget, maxIdleMs: number): Upstream | undefined {
    const now = this.#now();
    const found = this.connections.findLast(
      (upstream) =>
        upstream.idleSince !== undefined &&
        !upstream.wire.closed &&
        upstream.run === run &&
        upstream.target.key === target.key &&
        now - upstream.idleSince < maxIdleMs,
    );
    if (found === undefined) return undefined;
    found.idleSince = undefined;
    found.reused = true;
    return found;
  }

  dial(run: RunContext, target: UpstreamTarget, privateOnly: boolean, handler: DialHandler): Cancellable {
    const dial = new FakeDial(this, run, target, privateOnly, handler);
    this.dials.push(dial);
    return dial;
  }

  release(upstream: Upstream, keepAliveMs: number | undefined): void {
    if (!(upstream instanceof FakeUpstream) || upstream.wire.closed) return;
    const { wire } = upstream;
    this.released.push({ wire, keepAliveMs });
    upstream.idleSince = this.#now();
    const discard = (): void => wire.destroy();
    wire.handler = { onData: discard, onDrain() {}, onEnd: discard, onClose: discard };
    wire.resume();
  }

  refusal(target: UpstreamTarget): ProxyError | undefined {
    return this.denied.has(target.authority.host) ? destinationRefusal() : undefined;
  }

  /** For dials and idle connections. */
  make(run: RunContext, target: UpstreamTarget, privatePeer: boolean): FakeUpstream {
    const wire = new FakeWire(this.loop, `upstream ${this.connections.length + 1}`);
    const upstream = new FakeUpstream(wire, target, run, privatePeer);
    this.connections.push(upstream);
    return upstream;
  }
}

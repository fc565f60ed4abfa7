// Idle upstream connections, by run, scheme and authority, and the way to new ones. A connection never serves two runs
// and is dropped the moment anything arrives on it unasked. wire.md section 4.

import type {
  Cancellable,
  Clock,
  DialHandler,
  Upstream,
  Upstreams,
  UpstreamTarget,
  WireHandler,
} from "../proxy/ports.ts";
import { destinationRefusal } from "../proxy/refusals.ts";
import type { RunContext } from "../run/run-context.ts";
import type { ProxyError } from "../values/errors.ts";
import { Dial, type DialOptions, type DialOutcome } from "./dial.ts";
import type { SocketWire } from "./wire.ts";

/** Many servers close at 60 s; a connection is given up before. */
const MAX_IDLE_MS = 50_000;
/** What is subtracted from an announced `Keep-Alive: timeout`: the answer to a race is not to run it. */
const KEEP_ALIVE_MARGIN_MS = 1_000;
/** Per run and authority; beyond it a returned connection is closed. */
const MAX_IDLE_PER_TARGET = 256;

export class UpstreamPool implements Upstreams {
  #options: DialOptions;
  readonly #clock: Clock;
  readonly #maxIdle: number;
  #idle = 0;
  readonly #byRun = new Map<RunContext, Map<string, PooledUpstream[]>>();

  /** @param maxIdle idle connections in all; beyond it a returned connection is closed */
  constructor(options: DialOptions, clock: Clock, maxIdle: number) {
    this.#options = options;
    this.#maxIdle = maxIdle;
    this.#clock = clock;
  }

  /** Idle connections, all runs and targets together. */
  get idle(): number {
    return this.#idle;
  }

  take(run: RunContext, target: UpstreamTarget, maxIdleMs: number): Upstream | undefined {
    const idle = this.#byRun.get(run)?.get(target.key);
    if (idle === undefined) return undefined;
    const now = this.#clock.now();
    // The last one returned is the freshest. It may expire before older ones: each server announces its own time.
    for (let at = idle.length - 1; at >= 0; at--) {
      const found = idle[at] as PooledUpstream; // the index is within
      if (now - found.idleSince >= maxIdleMs) return undefined;
      if (now >= found.expiresAt) continue;
      idle.splice(at, 1);
      this.#idle--;
      return found;
    }
    return undefined;
  }

  dial(run: RunContext, target: UpstreamTarget, privateOnly: boolean, handler: DialHandler): Cancellable {
    const options = this.#options;
    return new Dial(run, target, privateOnly, options, new Arrival(this, options, run, target, handler));
  }

  /** From here on dials use these options, and no connection made under others is taken or kept once it is idle. */
  reconfigure(options: DialOptions): void {
    this.#options = options;
    for (const targets of this.#byRun.values()) {
      for (const idle of targets.values()) for (const upstream of idle) upstream.wire.close();
    }
    this.#byRun.clear();
    this.#idle = 0;
  }

  release(upstream: Upstream, keepAliveMs: number | undefined): void {
    if (!(upstream instanceof PooledUpstream) || upstream.wire.closed) return;
    const lifetime =
      keepAliveMs === undefined ? MAX_IDLE_MS : Math.min(MAX_IDLE_MS, keepAliveMs - KEEP_ALIVE_MARGIN_MS);
    const idle = this.#list(upstream);
    if (
      lifetime <= 0 ||
      upstream.madeWith !== this.#options ||
      idle.length >= MAX_IDLE_PER_TARGET ||
      this.#idle >= this.#maxIdle ||
      upstream.wire.backlog > 0
    ) {
      upstream.wire.close();
      return;
    }
    upstream.idleSince = this.#clock.now();
    upstream.expiresAt = upstream.idleSince + lifetime;
    upstream.wire.handler = upstream;
    upstream.wire.resume();
    idle.push(upstream);
    this.#idle++;
  }

  refusal(target: UpstreamTarget): ProxyError | undefined {
    const { authority, key } = target;
    if (authority.kind === "name") return undefined;
    return this.#options.destinations.verdict(authority.host, authority.port, key) === "denied"
      ? destinationRefusal()
      : undefined;
  }

  /** Closes what has been idle for too long. */
  sweep(now: number): void {
    for (const [run, targets] of this.#byRun) {
      for (const [key, idle] of targets) {
        let kept = 0;
        for (const upstream of idle) {
          if (now >= upstream.expiresAt) upstream.wire.close();
          else idle[kept++] = upstream;
        }
        this.#idle -= idle.length - kept;
        idle.length = kept;
        if (kept === 0) targets.delete(key);
      }
      if (targets.size === 0) this.#byRun.delete(run);
    }
  }

  destroy(): void {
    for (const targets of this.#byRun.values()) {
      for (const idle of targets.values()) for (const upstream of idle) upstream.wire.destroy();
    }
    this.#byRun.clear();
    this.#idle = 0;
  }

  /** An idle connection said something or went away. */
  discard(upstream: PooledUpstream): void {
    const idle = this.#byRun.get(upstream.run)?.get(upstream.target.key);
    const at = idle?.indexOf(upstream) ?? -1;
    if (at >= 0) {
      idle?.splice(at, 1);
      this.#idle--;
    }
    upstream.wire.destroy();
  }

  #list(upstream: PooledUpstream): PooledUpstream[] {
    let targets = this.#byRun.get(upstream.run);
    if (targets === undefined) {
      targets = new Map();
      this.#byRun.set(upstream.run, targets);
    }
    let idle = targets.get(upstream.target.key);
    if (idle === undefined) {
      idle = [];
      targets.set(upstream.target.key, idle);
    }
    return idle;
  }
}

class PooledUpstream implements Upstream, WireHandler {
  readonly wire: SocketWire;
  readonly target: UpstreamTarget;
  readonly run: RunContext;
  readonly privatePeer: boolean;
  /** Its TLS profile, and the way it took. */
  readonly madeWith: DialOptions;
  readonly #pool: UpstreamPool;
  idleSince = 0;
  expiresAt = 0;

  constructor(
    pool: UpstreamPool,
    madeWith: DialOptions,
    run: RunContext,
    target: UpstreamTarget,
    wire: SocketWire,
    privatePeer: boolean,
  ) {
    this.#pool = pool;
    this.madeWith = madeWith;
    this.run = run;
    this.target = target;
    this.wire = wire;
    this.privatePeer = privatePeer;
  }

  onData(): void {
    this.#pool.discard(this);
  }

  onDrain(): void {
    // Nothing is owed to an idle connection.
  }

  onEnd(): void {
    this.#pool.discard(this);
  }

  onClose(): void {
    this.#pool.discard(this);
  }
}

class Arrival implements DialOutcome {
  readonly #pool: UpstreamPool;
  readonly #options: DialOptions;
  readonly #run: RunContext;
  readonly #target: UpstreamTarget;
  readonly #handler: DialHandler;

  constructor(
    pool: UpstreamPool,
    options: DialOptions,
    run: RunContext,
    target: UpstreamTarget,
    handler: DialHandler,
  ) {
    this.#pool = pool;
    this.#options = options;
    this.#run = run;
    this.#target = target;
    this.#handler = handler;
  }

  onDialled(wire: SocketWire, privatePeer: boolean): void {
    const upstream = new PooledUpstream(
      this.#pool,
      this.#options,
      this.#run,
      this.#target,
      wire,
      privatePeer,
    );
    this.#handler.onConnected(upstream);
  }

  onRefused(error: ProxyError): void {
    this.#handler.onDialFailed(error);
  }
}

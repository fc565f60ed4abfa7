// The running proxy without its configuration: listener, sessions, upstreams, deadlines, and an orderly end. What it is
// to do comes as a plan, which can be replaced whole at any time. Decides nothing about a request.

import { createBugReporter } from "../log/bug-report.ts";
import type { Logger } from "../log/logger.ts";
import { createRequestIds } from "../log/request-id.ts";
import { TlsInterceptor } from "../net/accept-tls.ts";
import type { DialOptions } from "../net/dial.ts";
import { Listener, type ListenerOptions } from "../net/listener.ts";
import { UpstreamPool } from "../net/upstream-pool.ts";
import type { RecordSink } from "../proxy/ports.ts";
import { Revocation } from "../proxy/revocation.ts";
import type { Live, SessionDeps } from "../proxy/session-deps.ts";
import type { CertificateAuthority } from "../x509/ca.ts";
import { LeafCache } from "../x509/leaf-cache.ts";
import { MintLimiter } from "../x509/mint-limiter.ts";
import type { Surroundings } from "./surroundings.ts";

/** All that can be replaced while running. */
export interface Plan {
  readonly session: Pick<SessionDeps, "runs" | "limits" | "local" | "plainPorts" | "detail">;
  readonly dial: DialOptions;
}

export interface EngineOptions {
  readonly listen: ListenerOptions;
  readonly surroundings: Surroundings;
  /** Undefined: every CONNECT is an opaque tunnel. */
  readonly ca: CertificateAuthority | undefined;
  readonly records: RecordSink;
  readonly log: Logger;
}

/** One sweep for all deadlines. */
const SWEEP_MS = 1_000;

export class Engine {
  readonly #options: EngineOptions;
  readonly #deps: SessionDeps;
  readonly #upstreams: UpstreamPool;
  readonly #leaves: LeafCache | undefined;
  readonly #listener: Listener;
  readonly #revocation: Revocation;
  readonly #maxConnections: number;
  #sweep: ReturnType<typeof setInterval> | undefined;

  constructor(options: EngineOptions, plan: Plan) {
    const { ca, surroundings, listen, records } = options;
    const { budget } = surroundings;
    const clock = { now: () => performance.now() };
    this.#options = options;
    this.#upstreams = new UpstreamPool(plan.dial, clock, budget.idleUpstreams);
    this.#leaves = ca === undefined ? undefined : new LeafCache({ ca, now: Date.now });
    this.#deps = {
      ...plan.session,
      upstreams: this.#upstreams,
      interceptor:
        this.#leaves === undefined
          ? undefined
          : new TlsInterceptor(this.#leaves, new MintLimiter({ now: Date.now })),
      records,
      ids: createRequestIds(),
      clock,
      live: new Set<Live>(),
      lifecycle: { draining: false, tunnels: 0 },
    };
    this.#revocation = new Revocation(() => this.#deps.runs, this.#deps.live);
    this.#maxConnections = Math.min(listen.maxConnections, budget.clients);
    this.#listener = new Listener({ ...listen, maxConnections: this.#maxConnections }, this.#deps);
  }

  /** @throws Error of one line: the address cannot be bound */
  start(): void {
    const { listen, surroundings } = this.#options;
    bind(this.#listener, listen.host, listen.port);
    surroundings.ownPorts.add(this.#listener.port);
    surroundings.start();
    this.#sweep = setInterval(() => this.#sweepAll(performance.now()), SWEEP_MS);
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Client connections that are let in at most: as configured, or fewer where the limit on open files wants it. */
  get maxConnections(): number {
    return this.#maxConnections;
  }

  /** From here on a request sees the new plan; nothing waits and nothing can fail. */
  use(plan: Plan): void {
    Object.assign(this.#deps, plan.session);
    this.#upstreams.reconfigure(plan.dial);
  }

  /** What is there now, for metrics. */
  get counts() {
    return {
      clientConnections: this.#listener.connections,
      tunnels: this.#deps.lifecycle.tunnels,
      idleUpstreams: this.#upstreams.idle,
      leafCacheSize: this.#leaves?.size ?? 0,
      leafMints: this.#leaves?.mints ?? 0,
    };
  }

  /** Accepts no more; what is open goes on. */
  close(): void {
    this.#listener.stop();
  }

  /** Accepts no more, lets what runs finish for `drainMs`, then closes everything. */
  async stop(drainMs: number): Promise<void> {
    const { live, lifecycle } = this.#deps;
    lifecycle.draining = true;
    this.#listener.stop();
    for (const session of [...live]) session.drain();
    await drained(live, drainMs);
    for (const session of [...live]) session.destroy();
    clearInterval(this.#sweep);
    this.#options.surroundings.stop();
    this.#upstreams.destroy();
  }

  #sweepAll(now: number): void {
    const { live } = this.#deps;
    for (const session of live) {
      try {
        session.sweep(now);
      } catch (error) {
        // One broken session must not keep the deadlines of all others from being kept.
        live.delete(session);
        createBugReporter(this.#options.log)(error);
      }
    }
    this.#upstreams.sweep(now);
    try {
      this.#revocation.sweep();
    } catch (error) {
      createBugReporter(this.#options.log)(error);
    }
  }
}

function bind(listener: Listener, host: string, port: number): void {
  try {
    listener.start();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const reason =
      code === "EADDRINUSE"
        ? "the port is in use"
        : code === "EADDRNOTAVAIL"
          ? "not an address of this host"
          : code;
    throw new Error(`cannot listen on ${host}:${port}: ${reason || "refused by the operating system"}`);
  }
}

/** Resolves when every session is over or the time is. */
async function drained(live: ReadonlySet<Live>, drainMs: number): Promise<void> {
  const end = performance.now() + drainMs;
  while (live.size > 0 && performance.now() < end) await Bun.sleep(Math.min(20, drainMs));
}

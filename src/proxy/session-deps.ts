// What every client session is given: the ports, the limits, and what changes while the proxy runs. Made once by the
// composition root; sessions never reach past it, and read what is not readonly anew for each request: a reload swaps it.

import type { HeadLimits } from "../http1/limits.ts";
import type { Authority } from "../values/authority.ts";
import type { LocalEndpoints } from "./local/local.ts";
import type { Clock, Interceptor, RecordSink, RequestIds, Runs, Upstreams } from "./ports.ts";
import type { RecordDetail } from "./record.ts";

export interface SessionLimits {
  readonly headMs: number;
  readonly handshakeMs: number;
  readonly idleMs: number;
  readonly responseHeaderMs: number;
  /** Of request and response heads; the parser's own where absent. */
  readonly head?: HeadLimits;
}

/** What runs on a connection right now on behalf of a token. */
export interface Running {
  readonly token: string | undefined;
  /** The host that policy has let through; undefined where the operator named it, as for a relay. */
  readonly authority: Authority | undefined;
}

/** A session or tunnel as the sweep and the shutdown see it. */
export interface Live {
  /** Undefined when nothing runs that a revocation would have to end. */
  readonly running?: Running | undefined;
  /** Ends what runs: its token is no longer good. */
  revoke?(): void;
  /** Acts on a deadline that has passed. @param now clock milliseconds */
  sweep(now: number): void;
  /** The proxy is stopping: close when idle, else after what is running. */
  drain(): void;
  /** The drain time is over. */
  destroy(): void;
}

export interface SessionDeps {
  runs: Runs;
  readonly upstreams: Upstreams;
  /** Undefined: no CA, every CONNECT is an opaque tunnel. */
  readonly interceptor: Interceptor | undefined;
  readonly records: RecordSink;
  readonly ids: RequestIds;
  readonly clock: Clock;
  detail: RecordDetail;
  limits: SessionLimits;
  local: LocalEndpoints;
  /** CONNECT ports that carry cleartext HTTP. */
  plainPorts: ReadonlySet<number>;
  /** Everything with a client behind it. */
  readonly live: Set<Live>;
  /** `draining` is set once, when the proxy stops; `tunnels` carry bytes unseen now. */
  readonly lifecycle: { draining: boolean; tunnels: number };
}

/** Who is on the other end of a session and what it has proved; a tunnel hands it on to what runs inside. */
export interface Peer {
  readonly clientIp: string;
  /** The proxy token the client showed, if any; looked up again for every request. */
  token: string | undefined;
  /** User name of Basic authentication; only logged. */
  user: string | undefined;
}

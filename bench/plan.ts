// What the bench asks the load generator to do, and what that answers. Both are JSON: the generator is a process of
// its own. Ports only, never hosts: everything is on the loopback addresses.

/** How a request reaches its upstream. */
export type Way =
  /** TLS straight to a server: a reverse proxy, or the upstream itself. */
  | "tls"
  /** CONNECT to a proxy, then TLS inside the tunnel. */
  | "tunnel"
  /** Cleartext straight to a server. */
  | "plain"
  /** An absolute-form request in the clear to a proxy. */
  | "absolute"
  /** CONNECT to a proxy, then cleartext inside the tunnel. */
  | "opaque";

export interface Route {
  readonly way: Way;
  /** Where the generator connects: the proxy, or the server. */
  readonly port: number;
  /** Whom the request is for; the authority of CONNECT, of the target and of Host is `host:originPort`. */
  readonly originPort: number;
  /** PEM file: who vouches for the certificates that will be seen. */
  readonly caFile: string;
  /** What Authorization says: a placeholder, or the real thing where nothing injects. */
  readonly authorization: string;
  /** The token of each connection selects one of so many runs; absent: no tokens. */
  readonly runs?: number;
}

/** What one operation is, and how its answer is checked. */
export type Exchange =
  | { readonly kind: "get"; readonly path: string; readonly body: string }
  /** A body of `bytes` bytes of the known pattern. */
  | { readonly kind: "download"; readonly path: string; readonly bytes: number }
  /** The same the other way round; the upstream compares and says so. */
  | { readonly kind: "upload"; readonly path: string; readonly bytes: number }
  | { readonly kind: "json"; readonly path: string; readonly bytes: number };

export type Load =
  /** Kept-alive connections, each with one request after the other. */
  | { readonly kind: "closed"; readonly connections: number; readonly exchange: Exchange }
  /** A fixed rate, whatever the answers take; latency counts from when a request was due. */
  | {
      readonly kind: "open";
      readonly connections: number;
      readonly perSecond: number;
      readonly exchange: Exchange;
    }
  /** A new connection for each request; hosts in turn, `localhost` when there is but one, and to warm up when `cold`. */
  | {
      readonly kind: "connects";
      readonly connections: number;
      readonly resume: boolean;
      readonly hosts: number;
      readonly cold: boolean;
      readonly exchange: Exchange;
    }
  /** Event streams that stay open. */
  | { readonly kind: "streams"; readonly connections: number }
  /** Tunnels that have served one request and then do nothing. */
  | { readonly kind: "idle"; readonly connections: number; readonly exchange: Exchange };

/** Loads that stop and go on at any moment, so that several targets can take turns in short slices. */
export type TurnLoad = Extract<Load, { kind: "closed" | "connects" }>;
export type AloneLoad = Exclude<Load, TurnLoad>;

/** One target after the other in slices of milliseconds: what else the machine does hits all alike. */
export interface TurnsPlan {
  readonly kind: "turns";
  readonly contestants: readonly Contestant[];
  /** Not counted. It ends with whichever comes first. */
  readonly warmUp: Bounds;
  /** Of each contestant in each round. */
  readonly measure: Bounds;
  readonly rounds: number;
  readonly sliceMs: number;
  readonly upstreams: readonly number[];
}

export interface Contestant {
  readonly route: Route;
  readonly load: TurnLoad;
  /** Root process whose CPU and memory are read. */
  readonly target: number;
}

/** What came of one contestant: its rounds, and why there are no more. */
export interface Outcome {
  readonly rounds: readonly Measured[];
  readonly problem?: string;
}

/** One target for itself, once. */
export interface AlonePlan {
  readonly kind: "alone";
  readonly route: Route;
  readonly load: AloneLoad;
  readonly warmUp: Bounds;
  readonly measure: Bounds;
  readonly target: number;
  readonly upstreams: readonly number[];
}

export type Plan = TurnsPlan | AlonePlan;

export interface Bounds {
  readonly seconds: number;
  readonly operations: number;
}

export interface Measured {
  readonly operations: number;
  readonly seconds: number;
  /** CPU seconds within that time. */
  readonly cpu: { readonly target: number; readonly generator: number; readonly upstream: number };
  /** Milliseconds. */
  readonly latency: { readonly p50: number; readonly p99: number; readonly p999: number };
  /** Resident memory of the target at the end, in KiB. */
  readonly rss: number;
  /** Body bytes checked. */
  readonly bytes: number;
  /** Handshakes that were resumed. */
  readonly resumed: number;
  /** Bytes of memory for each of the idle tunnels beyond the first fifth; only for `idle`. */
  readonly bytesEach?: number;
  /** 99th percentile of how late the generator itself sent, milliseconds; only for `open`. */
  readonly late?: number;
}

/** The token of run number `index`. */
export function runToken(index: number): string {
  return `token-of-run-${index}`;
}

/** The host of number `index`: one of many loopback addresses, since names below localhost resolve nowhere. */
export function manyHost(index: number): string {
  return `127.0.${1 + Math.floor(index / 250)}.${1 + (index % 250)}`;
}

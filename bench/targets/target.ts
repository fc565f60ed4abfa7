// What is measured: the proxy, and the peers beside it. Each target says whether it is here, starts afresh for a
// scenario, and tells how it is reached.

import type { Subprocess } from "bun";
import type { Certificates, Ground } from "../ground.ts";
import type { Route } from "../plan.ts";
import type { Upstreams } from "../upstreams.ts";

/** How the traffic of a scenario passes. */
export type Passage =
  /** TLS on both sides, a credential injected. */
  | "secure"
  /** Cleartext on both sides, a credential injected. */
  | "plain"
  /** CONNECT, and bytes that nobody looks into. */
  | "opaque";

export interface Needs {
  readonly passage: Passage;
  readonly originPort: number;
  /** Hosts with a credential of their own, among which the one that is asked. */
  readonly credentials: number;
  /** Patterns of a strict policy, among which the host that is asked; 0 for no policy. */
  readonly patterns: number;
  /** 1 for localhost, else the many. */
  readonly hosts: number;
  /** Runs that a token selects among, each with its own credential; 0 for a proxy without tokens. */
  readonly runs: number;
}

export interface World {
  readonly ground: Ground;
  readonly certificates: Certificates;
  readonly upstreams: Upstreams;
}

export interface Running {
  readonly child: Subprocess;
  readonly route: Route;
  /** Milliseconds from its start until it accepted a connection. */
  readonly readyMs: number;
}

export interface Target {
  readonly name: string;
  /** Why it cannot take part in anything, in a few words. */
  readonly missing: string | undefined;
  /** Why it cannot take part in this one. */
  refuses(needs: Needs): string | undefined;
  /** @param label distinguishes its files from those of other starts */
  start(world: World, needs: Needs, label: string): Promise<Running>;
}

/** Why a target takes no part where tokens select runs. */
export const NO_RUNS = "no runs selected by tokens";
export const PLACEHOLDER = "Bearer placeholder";

/** The route through a proxy that speaks CONNECT and absolute-form. */
export function proxyRoute(world: World, needs: Needs, port: number): Route {
  const way = ({ secure: "tunnel", plain: "absolute", opaque: "opaque" } as const)[needs.passage];
  const runs = needs.runs > 0 ? { runs: needs.runs } : {};
  const authorization = needs.passage === "opaque" ? `Bearer ${world.ground.secret}` : PLACEHOLDER;
  return { way, port, originPort: needs.originPort, caFile: world.certificates.ca, authorization, ...runs };
}

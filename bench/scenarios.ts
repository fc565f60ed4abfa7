// What is measured, one entry a scenario: the load, what the proxies have to be set up for, and how long.

import type { Load } from "./plan.ts";
import type { Needs } from "./targets/target.ts";
import { WITH_ONE } from "./targets/with-one.ts";
import { JSON_BYTES, MEGABYTE, SMALL_BODY } from "./upstreams.ts";

export type Origin = "nginx" | "nginx-plain" | "own";

export interface Scenario {
  readonly id: string;
  readonly title: string;
  /** What one operation is called. */
  readonly unit: "request" | "event" | "tunnel";
  readonly origin: Origin;
  readonly needs: Omit<Needs, "originPort">;
  readonly load: Load;
  /** Seconds of a round's measured time, and at most so many operations. */
  readonly seconds: number;
  readonly operations?: number;
  /** Seconds before it that do not count, where a round does not follow the one before at once; the first has more. */
  readonly warmUp: number;
  /** Each round on targets that were just started. */
  readonly fresh?: boolean;
  /** Also measured with one pattern, credential and host only, to see what the many add. */
  readonly withOne?: boolean;
  /** Also measured without any proxy. */
  readonly direct?: boolean;
  /** Part of `--quick`. */
  readonly quick?: boolean;
}

const SECURE = { passage: "secure", credentials: 1, patterns: 0, hosts: 1, runs: 0 } as const;
const SMALL = { kind: "get", path: "/small", body: SMALL_BODY } as const;
const LARGE = 100 * MEGABYTE;
export const MANY_HOSTS = 500;
const MANY = 1_000;

function smallGet(connections: number): Pick<Scenario, "unit" | "origin" | "load" | "seconds" | "warmUp"> {
  const load = { kind: "closed", connections, exchange: SMALL } as const;
  return { unit: "request", origin: "nginx", load, seconds: 1.5, warmUp: 0.3 };
}

function newTunnels(
  resume: boolean,
  hosts: number,
  cold = false,
): Pick<Scenario, "unit" | "origin" | "load" | "seconds" | "warmUp"> {
  const load = { kind: "connects", connections: 16, resume, hosts, cold, exchange: SMALL } as const;
  return { unit: "request", origin: "nginx", load, seconds: 1.5, warmUp: 0.3 };
}

function download(
  bytes: number,
  name: string,
  connections: number,
): Pick<Scenario, "origin" | "load" | "unit"> {
  const exchange = { kind: "download", path: `/${name}`, bytes } as const;
  return { unit: "request", origin: "nginx", load: { kind: "closed", connections, exchange } };
}

function upload(bytes: number, connections: number): Pick<Scenario, "origin" | "load" | "unit"> {
  const exchange = { kind: "upload", path: "/upload", bytes } as const;
  return { unit: "request", origin: "own", load: { kind: "closed", connections, exchange } };
}

/** The one whose rates the open loop takes half of. */
export const CLOSED_FOR_OPEN = "get-32";

export const SCENARIOS: readonly Scenario[] = [
  { id: "get-1", title: "small GET, 1 client", needs: SECURE, ...smallGet(1) },
  {
    id: CLOSED_FOR_OPEN,
    title: "small GET, 32 clients",
    needs: SECURE,
    ...smallGet(32),
    direct: true,
    quick: true,
  },
  { id: "get-256", title: "small GET, 256 clients", needs: SECURE, ...smallGet(256) },
  {
    ...{ id: "get-open", title: "small GET, fixed rate: half load", needs: SECURE, ...smallGet(64) },
    // The rate is set from what was measured before.
    load: { kind: "open", connections: 64, perSecond: 0, exchange: SMALL },
    ...{ seconds: 3, warmUp: 0.5, direct: true, quick: true },
  },
  {
    id: "tunnel-full",
    title: "new tunnel, full handshake",
    needs: SECURE,
    ...newTunnels(false, 1),
    quick: true,
  },
  { id: "tunnel-resumed", title: "new tunnel, resumed", needs: SECURE, ...newTunnels(true, 1) },
  {
    ...{ id: "down-1m", title: "1 MB body, download", needs: SECURE, ...download(MEGABYTE, "1m", 8) },
    ...{ seconds: 1.5, warmUp: 0.3, quick: true },
  },
  {
    ...{ id: "down-100m", title: "100 MB body, download", needs: SECURE, ...download(LARGE, "100m", 2) },
    ...{ seconds: 1.5, operations: 8, warmUp: 0.2 },
  },
  {
    ...{ id: "up-1m", title: "1 MB body, upload", needs: SECURE, ...upload(MEGABYTE, 8) },
    ...{ seconds: 1.5, warmUp: 0.3 },
  },
  {
    ...{ id: "up-100m", title: "100 MB body, upload", needs: SECURE, ...upload(LARGE, 2) },
    ...{ seconds: 1.5, operations: 8, warmUp: 0.2 },
  },
  {
    ...{ id: "json-16k", title: "16 KB JSON POST", unit: "request", origin: "own", needs: SECURE },
    load: {
      ...{ kind: "closed", connections: 32 },
      exchange: { kind: "json", path: "/json", bytes: JSON_BYTES },
    },
    ...{ seconds: 1.5, warmUp: 0.3 },
  },
  {
    ...{ id: "sse-1000", title: "1,000 event streams, an event a second each", unit: "event", origin: "own" },
    ...{ needs: SECURE, load: { kind: "streams", connections: MANY }, seconds: 8, warmUp: 2 },
  },
  {
    ...{
      id: "idle-5000",
      title: "opening tunnels, 5,000 idle",
      unit: "tunnel",
      origin: "nginx",
      needs: SECURE,
    },
    ...{ load: { kind: "idle", connections: 5_000, exchange: SMALL }, seconds: 60, warmUp: 0, fresh: true },
  },
  {
    ...{ id: "opaque-100m", title: "opaque tunnel, 100 MB", needs: { ...SECURE, passage: "opaque" } },
    ...{ ...download(LARGE, "100m", 2), origin: "nginx-plain", seconds: 1.5, operations: 16, warmUp: 0.2 },
  },
  {
    ...{ id: "plain-32", title: "plain HTTP, small GET, 32 clients", ...smallGet(32), origin: "nginx-plain" },
    needs: { ...SECURE, passage: "plain" },
  },
  {
    ...{ id: "patterns-1000", title: "small GET, strict policy with 1,000 patterns", ...smallGet(32) },
    ...{ needs: { ...SECURE, patterns: MANY }, withOne: true },
  },
  {
    ...{ id: "credentials-1000", title: "small GET, 1,000 credentials", ...smallGet(32) },
    ...{ needs: { ...SECURE, credentials: MANY }, withOne: true },
  },
  {
    ...{ id: "runs-1000", title: "small GET, a run selected by token among 1,000", ...smallGet(32) },
    ...{ needs: { ...SECURE, runs: MANY }, withOne: true },
  },
  {
    ...{
      id: "hosts-cold",
      title: "500 hosts, each for the first time",
      ...newTunnels(false, MANY_HOSTS, true),
    },
    ...{ needs: { ...SECURE, credentials: MANY_HOSTS, hosts: MANY_HOSTS }, fresh: true },
    ...{ seconds: 30, operations: MANY_HOSTS, warmUp: 1.5 },
  },
  {
    ...{ id: "hosts-warm", title: "500 hosts, again and again", ...newTunnels(false, MANY_HOSTS) },
    ...{ needs: { ...SECURE, credentials: MANY_HOSTS, hosts: MANY_HOSTS }, withOne: true },
  },
];

/** The load of a target that has but one host, or takes very long for many tunnels. */
export function loadFor(scenario: Scenario, target: string): Load {
  const { load } = scenario;
  // A reverse proxy stands for one host; its figure is that of a new tunnel.
  if (load.kind === "connects" && (target === "nginx" || target === WITH_ONE)) return { ...load, hosts: 1 };
  // An interpreter needs minutes for 5,000 handshakes; what one tunnel takes can be seen with fewer.
  if (load.kind === "idle" && target === "mitmdump") return { ...load, connections: 500 };
  return load;
}

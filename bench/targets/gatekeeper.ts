// Programs that take a Gatekeeper-style config file: moat-proxy itself, and any that is named on the command line.
// Both get the same file; only what moat-proxy alone knows is added for it.

import { freePort } from "../free-ports.ts";
import { manyHost } from "../plan.ts";
import { type Needs, NO_RUNS, proxyRoute, type Running, type Target, type World } from "./target.ts";

/** The 5,000 idle tunnels come from one address. */
const CONNECTIONS = 10_000;

export class GatekeeperStyle implements Target {
  readonly name: string;
  readonly missing: string | undefined;
  readonly #binary: string;
  readonly #ours: boolean;

  /** @param ours whether it is a moat-proxy */
  constructor(name: string, binary: string, ours: boolean) {
    this.name = name;
    this.#binary = binary;
    this.#ours = ours;
    this.missing = Bun.which(binary) === null ? `${binary} is not there` : undefined;
  }

  refuses(needs: Needs): string | undefined {
    return needs.runs > 0 ? NO_RUNS : undefined;
  }

  async start(world: World, needs: Needs, label: string): Promise<Running> {
    const { ground, certificates } = world;
    const port = await freePort();
    const config = JSON.stringify(gatekeeperConfig(world, needs, port, label, this.#ours));
    const file = ground.write(`${label}.yaml`, config);
    const child = ground.start(label, [this.#binary, "--config", file], { SSL_CERT_FILE: certificates.ca });
    const readyMs = await ground.ready(label, child, port);
    return { child, readyMs, route: proxyRoute(world, needs, port) };
  }
}

function gatekeeperConfig(world: World, needs: Needs, port: number, label: string, ours: boolean): unknown {
  const { ground, certificates } = world;
  const { ca, caKey } = certificates;
  const opaque = needs.passage === "opaque";
  return {
    proxy: { host: "127.0.0.1", port },
    tls: opaque
      ? ours
        ? { intercept: false }
        : {}
      : { ca_cert: ca, ca_key: caKey, ...(ours ? { upstream_ca: ca } : {}) },
    credentials: opaque ? [] : credentialHosts(needs).map((host) => credential(host, ground.secret)),
    network: {
      ...(needs.patterns > 0 ? { policy: "strict", allow: policyPatterns(needs) } : { policy: "permissive" }),
      // A program that does not know this key passes over it, or has no such check.
      allow_ips: ["127.0.0.0/8"],
    },
    log: { level: "info", format: "json", output: ground.path(`${label}.jsonl`) },
    ...(ours ? { limits: { max_connections: CONNECTIONS, max_connections_per_client: CONNECTIONS } } : {}),
  };
}

function credential(host: string, value: string): unknown {
  return { host, header: "Authorization", grant: "bench", source: { type: "static", value } };
}

/** All that have a credential: fillers, with the hosts that are asked in their middle. */
export function credentialHosts(needs: Needs): string[] {
  const many = needs.hosts === 1 ? [] : Array.from({ length: needs.hosts }, (_, i) => manyHost(i));
  const asked = [`localhost:${needs.originPort}`, ...many];
  return inTheMiddle(asked, needs.credentials - asked.length, (i) => `api-${i}.example.com`);
}

/** Half of the fillers name a host, half a domain. */
export function policyPatterns(needs: Needs): string[] {
  return inTheMiddle([`localhost:${needs.originPort}`], needs.patterns - 1, (i) =>
    i % 2 === 0 ? `*.zone-${i}.example.com` : `api-${i}.example.com`,
  );
}

function inTheMiddle(asked: readonly string[], fillers: number, filler: (index: number) => string): string[] {
  const others = Array.from({ length: Math.max(0, fillers) }, (_, i) => filler(i));
  const half = Math.floor(others.length / 2);
  return [...others.slice(0, half), ...asked, ...others.slice(half)];
}

// Dials for tests: options that reach loopback and trust the test authority, and a dial that keeps its outcomes, of
// which there must be one.
import { Dial, type DialOptions } from "../../src/net/dial.ts";
import { type ClientCertificates, UpstreamTls } from "../../src/net/upstream-tls.ts";
import type { SocketWire } from "../../src/net/wire.ts";
import { DestinationPolicy } from "../../src/policy/destinations.ts";
import type { UpstreamTarget } from "../../src/proxy/ports.ts";
import { upstreamTarget } from "../../src/proxy/route.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import type { ProxyError } from "../../src/values/errors.ts";
import { Watch } from "./net-witness.ts";
import { pki } from "./pki.ts";
import type { Upstream } from "./upstream.ts";

/** The policy of most tests: loopback may be dialled. */
export function loopbackAllowed(): DestinationPolicy {
  return new DestinationPolicy({ allowIps: ["127.0.0.0/8", "::1"], ownAddresses: () => [] });
}

/** What a test changes of them. */
export interface DialChanges extends Partial<Omit<DialOptions, "tls">> {
  readonly roots?: string | undefined;
  readonly clientCertificates?: ClientCertificates | undefined;
}

export function dialOptions(more: DialChanges = {}): DialOptions {
  const attempts = { pending: 0, max: 1_000 };
  // Made only where it is needed: the certificates cost a quarter of a second.
  const { roots, clientCertificates, ...rest } = "roots" in more ? more : { ...more, roots: pki().ca };
  const tls = new UpstreamTls(roots === undefined ? undefined : () => roots, clientCertificates);
  return { destinations: loopbackAllowed(), dialMs: 3_000, tlsMs: 3_000, attempts, ...rest, tls };
}

export function target(scheme: "http" | "https", text: string): UpstreamTarget {
  return upstreamTarget(scheme, parseAuthority(text));
}

export type DialResult = { wire: SocketWire; privatePeer: boolean } | { error: ProxyError };

/** A dial and its outcomes: there must be one. */
export class DialWitness extends Watch {
  readonly results: DialResult[] = [];
  readonly dial: Dial;

  constructor(to: UpstreamTarget, options: DialOptions, privateOnly = false, run: object = {}) {
    super();
    this.dial = new Dial(run, to, privateOnly, options, {
      onDialled: (wire, privatePeer) => this.#came({ wire, privatePeer }),
      onRefused: (error) => this.#came({ error }),
    });
  }

  async outcome(): Promise<DialResult> {
    await this.until("outcome of the dial", () => this.results.length > 0);
    return this.results[0] as DialResult;
  }

  async wire(): Promise<SocketWire> {
    const result = await this.outcome();
    if ("error" in result) throw result.error;
    return result.wire;
  }

  async error(): Promise<ProxyError> {
    const result = await this.outcome();
    if ("wire" in result) throw new Error("the dial succeeded");
    return result.error;
  }

  #came(result: DialResult): void {
    this.results.push(result);
    this.changed();
  }
}

export function dialTls(authority: string, more: DialChanges = {}): DialWitness {
  return new DialWitness(target("https", authority), dialOptions(more));
}

export function dialPlain(authority: string, more: DialChanges = {}): DialWitness {
  return new DialWitness(target("http", authority), dialOptions(more));
}

/** A policy under which exactly these addresses may be dialled. */
export function only(...allowIps: readonly string[]): { destinations: DestinationPolicy } {
  return { destinations: new DestinationPolicy({ allowIps, ownAddresses: () => [] }) };
}

/** Waits until every connection the upstream has seen is gone. */
export async function untilAllClosed(upstream: Upstream): Promise<void> {
  for (const connection of upstream.connections) await connection.whenClosed();
}

// What a running proxy has to know of the machine it runs on, for as long as it runs: its addresses and ports, which are
// never dialled, and how many connections it may hold. Every way to an upstream is made from it. wire.md sections 8, 14.

import type { UpstreamProxyConfig } from "../config/config.ts";
import type { DialOptions } from "../net/dial.ts";
import { ownConnectionBudget } from "../net/open-files.ts";
import { OwnAddresses } from "../net/own-addresses.ts";
import { upstreamRoots } from "../net/roots.ts";
import { type ClientCertificates, UpstreamTls } from "../net/upstream-tls.ts";
import { DestinationPolicy } from "../policy/destinations.ts";

export interface DialSettings {
  /** Addresses and CIDRs exempt from the built-in list of refused destinations. */
  readonly allowIps: readonly string[];
  /** `scheme://host:port` of relays and MCP servers that the operator has named. */
  readonly namedTargets: ReadonlySet<string>;
  /** Path of a PEM file with further roots. */
  readonly upstreamCa: string | undefined;
  readonly systemRoots: boolean;
  readonly clientCertificates: ClientCertificates | undefined;
  readonly upstreamProxy: UpstreamProxyConfig | undefined;
  readonly dialMs: number;
  readonly tlsMs: number;
}

export class Surroundings {
  readonly #addresses = new OwnAddresses();
  readonly #attempts: DialOptions["attempts"];
  /** Filled once listening. */
  readonly ownPorts = new Set<number>();
  readonly budget = ownConnectionBudget();

  constructor() {
    this.#attempts = { pending: 0, max: this.budget.attempts };
  }

  /** @throws Error of one line: a root file that cannot be read, a bad address */
  dialOptions(settings: DialSettings): DialOptions {
    const { clientCertificates, upstreamProxy, dialMs, tlsMs } = settings;
    const roots = upstreamRoots({ file: settings.upstreamCa, system: settings.systemRoots });
    return {
      destinations: this.destinations(settings.allowIps, settings.namedTargets),
      tls: new UpstreamTls(roots, clientCertificates),
      ...{ upstreamProxy, dialMs, tlsMs },
      attempts: this.#attempts,
    };
  }

  /** Which addresses may be dialled. @throws Error of one line: a bad address */
  destinations(allowIps: readonly string[], namedTargets: ReadonlySet<string>): DestinationPolicy {
    const ownAddresses = (): readonly string[] => this.#addresses.current();
    return new DestinationPolicy({ allowIps, namedTargets, ownAddresses, ownPorts: this.ownPorts });
  }

  /** Looks at the machine's addresses from time to time. */
  start(): void {
    this.#addresses.start();
  }

  stop(): void {
    this.#addresses.stop();
  }
}

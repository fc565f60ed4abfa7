// Which hosts a run may talk to, decided before any name is resolved and any credential is fetched.
// Knows hosts and ports only; method and path rules and addresses are judged elsewhere. wire.md section 7.

import type { Authority } from "../values/authority.ts";
import { hostsForGrant, knownGrants } from "./grants.ts";
import { HostTable, parseHostPattern } from "./host-pattern.ts";

/** What a policy is compiled from, all as written by the operator or the run. */
export interface NetworkPolicySettings {
  /** `permissive` allows every host; `strict` only what `allow` and `grants` name. */
  readonly policy: "strict" | "permissive";
  readonly allow: readonly string[];
  readonly grants: readonly string[];
}

/** wire.md section 7: "No port means 80 and 443 only." */
const PORTS_WITHOUT_ONE = [80, 443] as const;

/** Immutable once compiled. The cost of a verdict does not grow with the number of patterns. */
export class NetworkPolicy {
  /** Undefined: permissive. */
  readonly #allowed: HostTable<true> | undefined;

  private constructor(allowed: HostTable<true> | undefined) {
    this.#allowed = allowed;
  }

  /**
   * Patterns and grants are checked under either policy: a mistake should not wait for the switch to strict.
   * @throws Error that names the bad pattern, or the unknown grant and the known ones
   */
  static compile(settings: NetworkPolicySettings): NetworkPolicy {
    const allowed = new HostTable<true>();
    for (const text of settings.allow) allow(allowed, text);
    for (const grant of settings.grants) {
      const hosts = hostsForGrant(grant);
      if (hosts.length === 0) {
        throw new Error(
          `unknown grant ${JSON.stringify(grant)}: known grants are ${knownGrants().join(", ")}`,
        );
      }
      for (const text of hosts) allow(allowed, text);
    }
    return new NetworkPolicy(settings.policy === "permissive" ? undefined : allowed);
  }

  allows(authority: Authority): boolean {
    return this.#allowed === undefined || this.#allowed.lookup(authority) !== undefined;
  }
}

function allow(table: HostTable<true>, text: string): void {
  const pattern = parseHostPattern(text);
  if (pattern.port !== undefined) table.set(pattern, true);
  else for (const port of PORTS_WITHOUT_ONE) table.set({ ...pattern, port }, true);
}

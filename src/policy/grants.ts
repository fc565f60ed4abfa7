// Which hosts a grant opens under the strict policy. Built-in grants, and more that can be registered.
// Names are compared exactly, case included; the part after ":" narrows a grant elsewhere and is ignored here.
// wire.md section 7; the reference's GetHostsForGrant and RegisterGrantHosts.

import { parseHostPattern } from "./host-pattern.ts";

const ANTHROPIC = ["api.anthropic.com", "*.anthropic.com"] as const;

const hostsByGrant = new Map<string, readonly string[]>([
  ["github", ["github.com", "api.github.com", "*.githubusercontent.com", "*.github.com"]],
  ["anthropic", ANTHROPIC],
  ["claude", ANTHROPIC],
  ["openai", ["api.openai.com", "chatgpt.com", "*.openai.com"]],
  ["aws", ["*.amazonaws.com"]],
]);

/** Host patterns of a grant such as `github` or `github:repo`; empty for an unknown one. */
export function hostsForGrant(grant: string): readonly string[] {
  const colon = grant.indexOf(":");
  return hostsByGrant.get(colon < 0 ? grant : grant.slice(0, colon)) ?? [];
}

/**
 * Gives a grant its hosts, replacing what it had. For start-up only: a policy expands its grants when it is
 * compiled and does not look again.
 * @throws Error for an empty name, a name with ":", an empty list, or a bad host pattern
 */
export function registerGrantHosts(grant: string, hosts: readonly string[]): void {
  if (grant === "" || grant.includes(":")) {
    throw new Error(`grant name ${JSON.stringify(grant)} must not be empty or contain ":"`);
  }
  if (hosts.length === 0) throw new Error(`grant ${JSON.stringify(grant)} needs at least one host pattern`);
  for (const host of hosts) parseHostPattern(host);
  hostsByGrant.set(grant, Object.freeze([...hosts]));
}

/** Names of all grants, sorted; for error messages and listings. */
export function knownGrants(): readonly string[] {
  return [...hostsByGrant.keys()].sort();
}

// Everything one token may do, compiled once and immutable; the proxy's own settings are the default run.
// The counterpart of the reference's RunContextData. A session keeps the token, never the run: the run is looked
// up again for every request.

import { type CredentialRule, CredentialTable } from "../inject/credentials.ts";
import { HostTable, parseHostPattern } from "../policy/host-pattern.ts";
import { NetworkPolicy, type NetworkPolicySettings } from "../policy/network-policy.ts";
import { compileRules, type HostRules } from "../policy/rules.ts";
import type { PolicyPlan } from "../policy/verdict.ts";

export interface RunContext extends PolicyPlan {
  /** Undefined for the default run. Part of the pool key: no upstream connection serves two runs. */
  readonly runId: string | undefined;
  readonly credentials: CredentialTable;
  /** Hosts whose CONNECT stays an opaque tunnel. */
  readonly passthrough: HostTable<true>;
  /** Status of a refusal by the network policy. */
  readonly denyStatus: DenyStatus;
}

export type DenyStatus = 407 | 403;

/** What a run is compiled from, as written. */
export interface RunSettings {
  /** Undefined for the default run. */
  readonly runId: string | undefined;
  readonly network: NetworkPolicySettings & {
    readonly rules?: readonly HostRules[];
    readonly denyStatus?: DenyStatus;
  };
  readonly credentials: readonly CredentialRule[];
  /** Host patterns. */
  readonly passthrough?: readonly string[];
}

/** @throws Error of one line that names what is wrong: a pattern, a grant, a rule, or a field of a credential */
export function compileRun(settings: RunSettings): RunContext {
  const { network } = settings;
  const rules = network.rules ?? [];
  // A host without rules of its own in the list is an entry of the allow list.
  const bare = rules.filter((item) => item.rules.length === 0).map((item) => item.host);
  const passthrough = new HostTable<true>();
  for (const host of settings.passthrough ?? []) passthrough.set(parseHostPattern(host), true);
  return Object.freeze({
    runId: settings.runId,
    policy: NetworkPolicy.compile({ ...network, allow: [...network.allow, ...bare] }),
    rules: compileRules(rules),
    credentials: CredentialTable.compile(settings.credentials),
    passthrough,
    denyStatus: network.denyStatus ?? 407,
  });
}

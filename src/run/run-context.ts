// Everything one token may do, compiled once and immutable; the proxy's own settings are the default run.
// The counterpart of the reference's RunContextData. A session keeps the token, never the run: the run is looked
// up again for every request.

import { type CredentialRule, CredentialTable } from "../inject/credentials.ts";
import { NetworkPolicy, type NetworkPolicySettings } from "../policy/network-policy.ts";

export interface RunContext {
  /** Undefined for the default run. Part of the pool key: no upstream connection serves two runs. */
  readonly runId: string | undefined;
  readonly policy: NetworkPolicy;
  readonly credentials: CredentialTable;
}

/** What a run is compiled from, as written. */
export interface RunSettings {
  /** Undefined for the default run. */
  readonly runId: string | undefined;
  readonly network: NetworkPolicySettings;
  readonly credentials: readonly CredentialRule[];
}

/** @throws Error of one line that names what is wrong: a pattern, a grant, or a field of a credential */
export function compileRun(settings: RunSettings): RunContext {
  return Object.freeze({
    runId: settings.runId,
    policy: NetworkPolicy.compile(settings.network),
    credentials: CredentialTable.compile(settings.credentials),
  });
}

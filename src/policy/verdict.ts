// What policy says of a host and of one request: the network policy and the method and path rules in one answer. The
// data path and `moat-proxy check` both ask here, so that they cannot disagree. wire.md sections 4 and 7.

import type { HeaderList } from "../http1/headers.ts";
import type { Authority } from "../values/authority.ts";
import type { NetworkPolicy } from "./network-policy.ts";
import { OVERRIDE_FIELDS, type RuleTable } from "./rules.ts";

/** Everything a run's verdicts are made from. */
export interface PolicyPlan {
  readonly policy: NetworkPolicy;
  readonly rules: RuleTable;
}

export type Verdict =
  /** `rule` is the deciding rule as written; undefined when the network policy decided. */
  | { readonly kind: "allowed"; readonly rule: string | undefined }
  /** The host is not in the allow list. */
  | { readonly kind: "host-denied" }
  /** The host has rules, and they or the policy's default refuse this request. */
  | { readonly kind: "request-denied"; readonly rule: string | undefined; readonly reason: string };

/** Compared with underscores as dashes: CGI and its descendants take the two for one. */
const OVERRIDES: ReadonlySet<string> = new Set(OVERRIDE_FIELDS);

const ALLOWED: Verdict = Object.freeze({ kind: "allowed", rule: undefined });
const HOST_DENIED: Verdict = Object.freeze({ kind: "host-denied" });

/** Whether a connection to the host may be opened: rules for a host are an entry in the allow list. */
export function admitsHost(plan: PolicyPlan, authority: Authority): boolean {
  return plan.policy.allows(authority) || plan.rules.admits(authority);
}

/**
 * First matching rule, then the policy's default.
 * @param target origin-form, or `*`
 * @param headers of the request; undefined when there is none, as in `check`
 */
export function requestVerdict(
  plan: PolicyPlan,
  authority: Authority,
  method: string,
  target: string,
  headers: HeaderList | undefined,
): Verdict {
  if (!admitsHost(plan, authority)) return HOST_DENIED;
  return ruledVerdict(plan, authority, method, target, headers);
}

/** The rules' part of it, for a host that is admitted: named by the operator as a relay or MCP server, or by policy. */
export function ruledVerdict(
  plan: PolicyPlan,
  authority: Authority,
  method: string,
  target: string,
  headers: HeaderList | undefined,
): Verdict {
  const { policy, rules } = plan;
  if (!rules.covers(authority)) return ALLOWED;
  // Some servers obey these instead of the request line that the rules have judged.
  const override = headers?.keys.find((key) => OVERRIDES.has(key.replaceAll("_", "-")));
  if (override !== undefined) return denied(undefined, `the field ${override} could change what is asked`);
  const verdict = rules.verdict(authority, method, target);
  switch (verdict.kind) {
    case "allow":
      return { kind: "allowed", rule: verdict.rule };
    case "deny":
      return denied(verdict.rule, `rule "${verdict.rule}"`);
    case "ambiguous":
      return denied(undefined, `the path can be read in several ways: ${verdict.reason}`);
    case "none":
      return policy.allows(authority)
        ? ALLOWED
        : denied(undefined, "no rule allows it and the policy is strict");
  }
}

function denied(rule: string | undefined, reason: string): Verdict {
  return { kind: "request-denied", rule, reason };
}

// Method and path rules: what a run may ask of a host, `allow GET /repos/**` or `deny * /**`. First match wins.
// A path that servers read in several ways is judged in all of them, and allowed only where they agree. The policy's
// default, for a request that no rule covers, is the caller's. wire.md sections 4 and 7, `network.rules`.

import type { Authority } from "../values/authority.ts";
import { HostTable, parseHostPattern } from "./host-pattern.ts";
import { NetworkPolicy } from "./network-policy.ts";
import { foldSegment, type PathReadings, type Reading, readPath } from "./path.ts";
import { matchRule, parseRule, type Rule, reachesEverything, ruleInWords } from "./rule.ts";

/** The rules of one host pattern, as written. None at all: the host is exempt from rules for wider patterns. */
export interface HostRules {
  readonly host: string;
  readonly rules: readonly string[];
}

/** `rule` and `host` are as written, so that an explanation can point at them. */
export type RuleVerdict =
  | { readonly kind: "allow" | "deny"; readonly rule: string; readonly host: string }
  /** No rule covers the request: the policy's default decides. */
  | { readonly kind: "none" }
  /** Servers read the path in ways that the rules answer differently. Refuse; `reason` says what does it. */
  | { readonly kind: "ambiguous"; readonly reason: string };

/** A rule in plain words. */
export interface RuleDescription {
  readonly host: string;
  readonly rule: string;
  /** Such as `allows GET on /repos and everything below it`. */
  readonly text: string;
}

/**
 * Fields that some servers and frameworks obey instead of the request line. On a host with rules they would
 * change what has been judged, so the caller refuses a request with one of them. Lower case.
 */
export const OVERRIDE_FIELDS: readonly string[] = Object.freeze([
  ...["x-http-method", "x-http-method-override", "x-method", "x-method-override"],
  ...["x-forwarded-uri", "x-original-uri", "x-original-url", "x-rewrite-url"],
]);

const NONE: RuleVerdict = Object.freeze({ kind: "none" });

/** A rule with its answer, made once. */
interface Entry {
  readonly rule: Rule;
  readonly verdict: RuleVerdict & { readonly kind: "allow" | "deny" };
}

/**
 * The ranking of host patterns is that of credentials: the most specific pattern wins, and only its rules count.
 * Items with the same pattern are joined in their order. A pattern without a port covers every port.
 * @throws Error of one line that names the bad rule or host, what is wrong and what to write
 */
export function compileRules(items: readonly HostRules[]): RuleTable {
  return new RuleTable(items);
}

/** Immutable. The cost of a verdict depends on the path and on the rules of one host, never on the other hosts. */
export class RuleTable {
  readonly #hosts = new HostTable<Entry[]>();
  readonly #admitted: NetworkPolicy;
  readonly #described: RuleDescription[] = [];

  constructor(items: readonly HostRules[]) {
    const allow = items.filter((item) => item.rules.length > 0).map((item) => item.host);
    this.#admitted = NetworkPolicy.compile({ policy: "strict", allow, grants: [] });
    for (const { host, rules } of items) {
      const pattern = parseHostPattern(host);
      const entries = this.#hosts.get(pattern) ?? [];
      this.#hosts.set(pattern, entries);
      for (const text of rules) {
        const rule = parseRule(text, host);
        const reached = !entries.some((earlier) => reachesEverything(earlier.rule, rule));
        const note = reached ? "" : " (never reached: an earlier rule covers all of it)";
        entries.push({ rule, verdict: Object.freeze({ kind: rule.kind, rule: text, host }) });
        this.#described.push({ host, rule: text, text: `${ruleInWords(rule)}${note}` });
      }
    }
  }

  /**
   * What the rules say about one request.
   * @param method as sent, case-sensitive (RFC 9110 section 9.1)
   * @param target origin-form, with or without query, or `*`
   */
  verdict(authority: Authority, method: string, target: string): RuleVerdict {
    const entries = this.#hosts.lookup(authority);
    if (entries === undefined || entries.length === 0) return NONE;
    const path = readPath(target);
    const first = judge(entries, method, path, 0);
    for (let i = 1; i < path.readings.length && first !== undefined; i++) {
      if (judge(entries, method, path, i)?.kind !== first.kind) return ambiguous(path);
    }
    return first ?? ambiguous(path);
  }

  /**
   * Whether the host has rules. Where its requests cannot be seen, in an opaque tunnel, they cannot be kept
   * either: the caller refuses such a tunnel.
   */
  covers(authority: Authority): boolean {
    return (this.#hosts.lookup(authority)?.length ?? 0) > 0;
  }

  /** Whether the rules let the host in: like an entry of the allow list, without a port for 80 and 443 only. */
  admits(authority: Authority): boolean {
    return this.covers(authority) && this.#admitted.allows(authority);
  }

  /** Every rule in plain words, in the order given. */
  describe(): readonly RuleDescription[] {
    return this.#described;
  }
}

/** The verdict for one reading; undefined when it depends on what nobody can know. */
function judge(
  entries: readonly Entry[],
  method: string,
  path: PathReadings,
  index: number,
): RuleVerdict | undefined {
  const reading = path.readings[index];
  if (reading === undefined) return undefined;
  let folded: Reading | undefined;
  let possible: "allow" | "deny" | undefined;
  for (let i = 0; i < entries.length; i++) {
    const { rule, verdict } = entries[i] as Entry;
    if (rule.kind === "deny") folded ??= { segments: reading.segments.map(foldSegment), open: reading.open };
    const match = matchRule(rule, method, rule.kind === "deny" ? (folded ?? reading) : reading);
    if (match === "no") continue;
    if (possible !== undefined && possible !== verdict.kind) return undefined;
    if (match === "yes") return verdict;
    possible = verdict.kind;
  }
  return possible === undefined ? NONE : undefined;
}

function ambiguous(path: PathReadings): RuleVerdict {
  return { kind: "ambiguous", reason: path.oddity ?? "several readings" };
}

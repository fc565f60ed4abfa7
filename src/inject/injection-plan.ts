// Everything that a run puts into, changes in or takes out of requests, by host: compiled once.
// Each kind of rule has its own winning host pattern; patterns that match but do not win contribute nothing.
// wire.md section 6 (host keys; order: remove, substitute, inject, extra).

import { HostTable, parseHostPattern } from "../policy/host-pattern.ts";
import type { Authority } from "../values/authority.ts";
import { type Credential, type CredentialRule, CredentialTable } from "./credentials.ts";
import { ExtraHeader, type ExtraHeaderRule } from "./extra-headers.ts";
import type { McpStub } from "./mcp-stub.ts";
import { type RemovedHeaderRule, removedHeader } from "./remove-headers.ts";
import { Substitution, type SubstitutionRule } from "./token-substitution.ts";

export interface InjectionRules {
  readonly credentials: readonly CredentialRule[];
  readonly extraHeaders?: readonly ExtraHeaderRule[] | undefined;
  readonly removeHeaders?: readonly RemovedHeaderRule[] | undefined;
  readonly substitutions?: readonly SubstitutionRule[] | undefined;
}

/** What one authority's requests get. Frozen. */
export interface HostInjection {
  readonly credentials: readonly Credential[];
  readonly extra: readonly ExtraHeader[];
  /** Lower-case names. */
  readonly remove: ReadonlySet<string>;
  readonly substitutions: readonly Substitution[];
  readonly stubs: readonly McpStub[];
}

const NO_NAMES: ReadonlySet<string> = new Set();

export const NO_INJECTION: HostInjection = Object.freeze({
  credentials: Object.freeze([]),
  extra: Object.freeze([]),
  remove: NO_NAMES,
  substitutions: Object.freeze([]),
  stubs: Object.freeze([]),
});

export class InjectionPlan {
  readonly credentials: CredentialTable;
  readonly #extra: HostTable<readonly ExtraHeader[]>;
  readonly #remove: HostTable<ReadonlySet<string>>;
  readonly #substitutions: HostTable<readonly Substitution[]>;
  readonly #stubs: ReadonlyMap<string, readonly McpStub[]>;

  /**
   * @param stubs by `scheme://host:port`, canonical: a stub for https:// is never replaced on http://
   * @throws Error of one line that names the host and what is wrong with its rule
   */
  constructor(
    rules: InjectionRules,
    credentials: CredentialTable,
    stubs: ReadonlyMap<string, readonly McpStub[]>,
  ) {
    this.credentials = credentials;
    this.#extra = byHost(rules.extraHeaders ?? [], (rule) => new ExtraHeader(rule));
    const removed = byHost(rules.removeHeaders ?? [], removedHeader);
    this.#remove = new HostTable();
    for (const { host } of rules.removeHeaders ?? []) {
      const pattern = parseHostPattern(host);
      this.#remove.set(pattern, new Set(removed.get(pattern)));
    }
    this.#substitutions = byHost(
      rules.substitutions ?? [],
      (rule) => new Substitution(rule),
      (a, b) => a.placeholder === b.placeholder,
    );
    this.#stubs = stubs;
  }

  static compile(
    rules: InjectionRules,
    stubsOf: (credentials: CredentialTable) => ReadonlyMap<string, readonly McpStub[]> = () => new Map(),
  ): InjectionPlan {
    const credentials = CredentialTable.compile(rules.credentials);
    return new InjectionPlan(rules, credentials, stubsOf(credentials));
  }

  /** @param key `scheme://host:port`, canonical; the caller has it at hand */
  lookup(key: string, authority: Authority): HostInjection {
    return Object.freeze({
      credentials: this.credentials.lookup(authority),
      extra: this.#extra.lookup(authority) ?? NO_INJECTION.extra,
      remove: this.#remove.lookup(authority) ?? NO_NAMES,
      substitutions: this.#substitutions.lookup(authority) ?? NO_INJECTION.substitutions,
      stubs: this.#stubs.get(key) ?? NO_INJECTION.stubs,
    });
  }
}

/** Rules of one host key come together; of two that are the same in `same` the later takes the earlier's place. */
function byHost<R extends { readonly host: string }, T>(
  rules: readonly R[],
  compile: (rule: R) => T,
  same: (a: T, b: T) => boolean = () => false,
): HostTable<T[]> {
  const table = new HostTable<T[]>();
  for (const rule of rules) {
    const pattern = parseHostPattern(rule.host);
    const compiled = compile(rule);
    const list = table.get(pattern);
    if (list === undefined) {
      table.set(pattern, [compiled]);
      continue;
    }
    const at = list.findIndex((other) => same(other, compiled));
    if (at < 0) list.push(compiled);
    else list[at] = compiled;
  }
  return table;
}

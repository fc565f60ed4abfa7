// Everything that a run says of one host, in one look-up a request: whether it is let in, whether rules judge its
// requests, what is put into them and what becomes of their answers. Remembered per target; made from the run's tables,
// which do not change. Cost budget: architecture.md.

import { type HostInjection, type InjectionPlan, NO_INJECTION } from "../inject/injection-plan.ts";
import type { HostTable } from "../policy/host-pattern.ts";
import { admitsHost, type PolicyPlan } from "../policy/verdict.ts";
import type { AnyTransformer } from "../transform/body-stage.ts";
import type { Authority } from "../values/authority.ts";

/** Frozen. */
export interface HostPlan {
  /** The network policy, or a rule for the host, lets it in. */
  readonly admitted: boolean;
  /** Method and path rules judge its requests. */
  readonly ruled: boolean;
  /** Its tunnels are left alone: then nothing is injected on any other way either. */
  readonly passthrough: boolean;
  readonly injection: HostInjection;
  readonly transformers: readonly AnyTransformer[];
}

export interface HostTables extends PolicyPlan {
  readonly injection: InjectionPlan;
  readonly transformers: HostTable<readonly AnyTransformer[]>;
  readonly passthrough: HostTable<true>;
}

/** A client chooses hosts as it likes; beyond this many the memory of look-ups begins anew. */
const MAX_REMEMBERED = 1024;
const NO_TRANSFORMERS: readonly AnyTransformer[] = Object.freeze([]);

export class HostPlans {
  readonly #tables: HostTables;
  readonly #remembered = new Map<string, HostPlan>();

  constructor(tables: HostTables) {
    this.#tables = tables;
  }

  /** @param key `scheme://host:port`, canonical; the caller has it at hand */
  lookup(key: string, authority: Authority): HostPlan {
    const known = this.#remembered.get(key);
    if (known !== undefined) return known;
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    const made = this.#make(key, authority);
    this.#remembered.set(key, made);
    return made;
  }

  #make(key: string, authority: Authority): HostPlan {
    const tables = this.#tables;
    const passthrough = tables.passthrough.lookup(authority) === true;
    return Object.freeze({
      admitted: admitsHost(tables, authority),
      ruled: tables.rules.covers(authority),
      passthrough,
      injection: passthrough ? NO_INJECTION : tables.injection.lookup(key, authority),
      transformers: passthrough
        ? NO_TRANSFORMERS
        : (tables.transformers.lookup(authority) ?? NO_TRANSFORMERS),
    });
  }
}

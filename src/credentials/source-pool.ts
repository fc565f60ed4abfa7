// From the settings of sources to vaults: identical sources share one, so that they are fetched once and never
// disagree. A pool for a reloaded configuration takes over what has not changed. Reads no configuration file.
// wire.md section 2, credentials[].source.

import { hash } from "node:crypto";
import type { Secret } from "../values/secret.ts";
import { EnvSource } from "./env.ts";
import { FileSource } from "./file.ts";
import { MoatHome } from "./moat-home.ts";
import { ProcessSource } from "./process.ts";
import type { CredentialSource } from "./source.ts";
import { StaticSource } from "./static.ts";
import { StoreSource } from "./store-source.ts";
import { Vault, type VaultDeps, type VaultStats } from "./vault.ts";

/** What a source is made from. */
export type SourceSettings =
  | { readonly type: "static"; readonly value: Secret }
  | { readonly type: "env"; readonly variable: string }
  | { readonly type: "file"; readonly path: string }
  | { readonly type: "process"; readonly command: string; readonly ttlMs: number }
  | { readonly type: "store"; readonly provider: string; readonly profile: string | undefined };

export type SourceType = SourceSettings["type"];

export interface SourceDeps {
  /** Environment of the proxy. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** How long a command may run; default 30 s. */
  readonly timeoutMs?: number | undefined;
  /** Shared by what asks the credential store, so that the keychain is asked once; by default the one of `env`. */
  readonly home?: MoatHome | undefined;
}

export interface PoolDeps extends SourceDeps {
  /** From 0 to 1, like Math.random. */
  readonly random: () => number;
  /** A refresh failed and the old secret is still served: see VaultDeps. For the log. */
  readonly onSilentFailure?: VaultDeps["onSilentFailure"] | undefined;
}

/** @throws Error when a static value is empty, or a name in the credential store is none */
export function createSource(settings: SourceSettings, deps: SourceDeps): CredentialSource {
  switch (settings.type) {
    case "static":
      return new StaticSource(settings.value);
    case "env":
      return new EnvSource(settings.variable, deps.env);
    case "file":
      return new FileSource(settings.path, deps.now);
    case "process":
      return new ProcessSource(settings, deps);
    case "store": {
      const home = deps.home ?? new MoatHome(deps);
      return new StoreSource(settings, home.store(settings.profile), deps.now);
    }
  }
}

type Tallies = Record<SourceType, { refreshes: number; failures: number }>;

export class SourcePool {
  readonly #deps: PoolDeps;
  readonly #previous: ReadonlyMap<string, Vault>;
  readonly #vaults = new Map<string, Vault>();
  readonly #tallies: Tallies;

  /** @param previous of the configuration that is replaced: counts go on, and unchanged sources keep their secret */
  constructor(deps: PoolDeps, previous?: SourcePool) {
    const kept = previous === undefined ? undefined : previous.#deps.home;
    this.#deps = { ...deps, home: deps.home ?? kept ?? new MoatHome(deps) };
    this.#previous = previous === undefined ? new Map() : previous.#vaults;
    this.#tallies = previous === undefined ? noTallies() : previous.#tallies;
  }

  /**
   * The vault of this source; the same one for the same settings.
   * @throws Error when a static value is empty
   */
  vaultFor(settings: SourceSettings): Vault {
    const key = keyOf(settings);
    let vault = this.#vaults.get(key);
    if (vault !== undefined) return vault;
    const before = this.#previous.get(key);
    // One without a secret starts afresh: a reload is how an operator says "try again now".
    vault = before?.current() === undefined ? this.#create(settings) : before;
    this.#vaults.set(key, vault);
    return vault;
  }

  /** The source was in use before: that it does not answer now must not keep a new configuration from being applied. */
  knew(settings: SourceSettings): boolean {
    return this.#previous.has(keyOf(settings));
  }

  /** Fetches by type of source, over all reloads. */
  stats(): Readonly<Record<SourceType, VaultStats>> {
    return structuredClone(this.#tallies);
  }

  /** What the operator should mend at the sources; complete once every vault has been fetched. */
  warnings(): readonly string[] {
    return [...this.#vaults.values()].flatMap((vault) => vault.warnings);
  }

  /** Ends every fetch under way. */
  close(): void {
    for (const vault of this.#vaults.values()) vault.close();
  }

  #create(settings: SourceSettings): Vault {
    const { now, random, onSilentFailure = () => undefined } = this.#deps;
    const tally = this.#tallies[settings.type];
    const onFetch = (succeeded: boolean): void => {
      if (succeeded) tally.refreshes++;
      else tally.failures++;
    };
    return new Vault(createSource(settings, this.#deps), { now, random, onFetch, onSilentFailure });
  }
}

function noTallies(): Tallies {
  const none = { refreshes: 0, failures: 0 };
  return {
    static: { ...none },
    env: { ...none },
    file: { ...none },
    process: { ...none },
    store: { ...none },
  };
}

function keyOf(settings: SourceSettings): string {
  switch (settings.type) {
    case "static":
      return JSON.stringify(["static", hash("sha256", settings.value.reveal())]);
    case "env":
      return JSON.stringify(["env", settings.variable]);
    case "file":
      return JSON.stringify(["file", settings.path]);
    case "process":
      return JSON.stringify(["process", settings.command, settings.ttlMs]);
    case "store":
      return JSON.stringify(["store", settings.provider, settings.profile ?? ""]);
  }
}

// Keeps the secret of one source at hand: a synchronous peek for the steady path, one shared fetch for everyone who
// finds it missing, a refresh ahead of its end. Sets no timers: it acts when it is used. Time and chance are
// parameters. Knows nothing of hosts or headers. architecture.md, credentials/.

import type { SecretSlot } from "../inject/credentials.ts";
import { ProxyError } from "../values/errors.ts";
import type { Secret } from "../values/secret.ts";
import { type CredentialSource, type Fetched, SecretGone } from "./source.ts";

export interface VaultDeps {
  /** Milliseconds since the epoch: expirations are wall-clock time, and go on while a machine sleeps. */
  readonly now: () => number;
  /** From 0 to 1, like Math.random. */
  readonly random: () => number;
  /** After each fetch. */
  readonly onFetch: (succeeded: boolean) => void;
  /**
   * A fetch failed and the old secret is still served, so that no request tells of it.
   * @param inARow failures since the last success
   */
  readonly onSilentFailure: (error: Error, inARow: number) => void;
}

/** Fetches since the start. */
export interface VaultStats {
  readonly refreshes: number;
  readonly failures: number;
}

/** Refresh ahead: at 75 % of the lifetime, 5 % more or less, so that many proxies do not ask at once. */
const AHEAD = 0.75;
const JITTER = 0.05;
/** A source that can change unseen is looked at this often, at most. */
const LOOK_MS = 1_000;
/** wire: evict on 401 or 403 at most once per 10 s. A client can cause those as it likes. */
const EVICT_MS = 10_000;
/** Pause after the first failure, doubled with each further one. */
const FIRST_PAUSE_MS = 250;
/** A source that works again is found this soon. */
const LONGEST_PAUSE_MS = 10_000;

const DEFAULT_DEPS: VaultDeps = {
  now: Date.now,
  random: Math.random,
  onFetch: () => undefined,
  onSilentFailure: () => undefined,
};

export class Vault implements SecretSlot {
  readonly #source: CredentialSource;
  readonly #deps: VaultDeps;
  #secret: Secret | undefined;
  #expiresAt = Number.POSITIVE_INFINITY;
  #refreshAt = Number.POSITIVE_INFINITY;
  #lookAt = 0;
  #pending: Promise<Secret> | undefined;
  /** Not to be used unless a fetch fails. */
  #evicted = false;
  #evictAgainAt = 0;
  #failure: ProxyError | undefined;
  #failuresInARow = 0;
  #retryAt = 0;
  #stats = { refreshes: 0, failures: 0 };

  constructor(source: CredentialSource, deps: Partial<VaultDeps> = {}) {
    this.#source = source;
    this.#deps = { ...DEFAULT_DEPS, ...deps };
  }

  /**
   * The secret, or undefined when there is none that may be used: before the first fetch, after its end, after an
   * eviction. Never waits; starts a refresh when one is due, and serves the old secret meanwhile.
   */
  current(): Secret | undefined {
    if (this.#secret === undefined) return undefined;
    // Static and environment: nothing can come due.
    const timeless = this.#refreshAt === Number.POSITIVE_INFINITY && this.#source.changed === undefined;
    if (timeless) return this.#evicted ? undefined : this.#secret;
    const now = this.#deps.now();
    if (this.#pending === undefined && now >= this.#retryAt && this.#isDue(now)) this.#refreshUnasked();
    return this.#evicted || now >= this.#expiresAt ? undefined : this.#secret;
  }

  /**
   * The secret of the last success, whatever has become of it since. For a request that asked `current` when it
   * began and writes its head when the upstream is connected: an end or an eviction in between must not fail it.
   */
  held(): Secret | undefined {
    return this.#secret;
  }

  /**
   * Fetches anew; however many ask meanwhile, the source is asked once. After a failure the source has a pause,
   * during which the answer is the same failure. While the old secret is valid, it is the answer to a failure,
   * unless the source says that it was taken away.
   * Rejects with ProxyError `credential-failed`; its cause names the source and the reason, for the log.
   */
  refresh(): Promise<Secret> {
    if (this.#pending !== undefined) return this.#pending;
    const now = this.#deps.now();
    if (now >= this.#retryAt || this.#failure === undefined) return this.#start();
    return this.#secret !== undefined && now < this.#expiresAt
      ? Promise.resolve(this.#secret)
      : Promise.reject(this.#failure);
  }

  /**
   * The upstream refused the secret: it is not used again until the source has been asked. Acts at most once per
   * 10 s, and not while the source fails, for then there is nothing better.
   * @param refused what was refused; when it has been replaced meanwhile, nothing happens
   * @returns whether the secret was evicted
   */
  invalidate(refused?: Secret): boolean {
    const now = this.#deps.now();
    if (this.#secret === undefined || (refused !== undefined && refused !== this.#secret)) return false;
    if (this.#evicted || now < this.#evictAgainAt || now < this.#retryAt) return false;
    this.#evicted = true;
    this.#evictAgainAt = now + EVICT_MS;
    this.#refreshUnasked();
    return true;
  }

  stats(): VaultStats {
    return { ...this.#stats };
  }

  /** What the operator should mend at the source. */
  get warnings(): readonly string[] {
    return this.#source.warnings ?? [];
  }

  /** Ends a fetch under way. */
  close(): void {
    this.#source.close?.();
  }

  #isDue(now: number): boolean {
    if (now >= this.#refreshAt) return true;
    if (this.#source.changed === undefined || now < this.#lookAt) return false;
    this.#lookAt = now + LOOK_MS;
    return this.#source.changed();
  }

  #refreshUnasked(): void {
    // Nobody waits for it: onSilentFailure tells, and whoever finds no secret asks again.
    this.refresh().catch(() => undefined);
  }

  #start(): Promise<Secret> {
    this.#pending = this.#fetch().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #fetch(): Promise<Secret> {
    try {
      const answer = this.#source.fetch();
      // A source that answers at once has its secret at hand when refresh() returns.
      return this.#accept(answer instanceof Promise ? await answer : answer);
    } catch (error) {
      return this.#fail(error);
    }
  }

  #accept({ secret, expiresAt = Number.POSITIVE_INFINITY }: Fetched): Secret {
    const now = this.#deps.now();
    const value = secret.reveal();
    if (value === "") throw new Error(`${this.#source.describe()} gave an empty secret`);
    if (now >= expiresAt) throw new Error(`${this.#source.describe()} gave a secret that has expired`);
    // Same value, same identity: what was shaped for it stays valid.
    if (value !== this.#secret?.reveal()) this.#secret = secret;
    this.#expiresAt = expiresAt;
    const share = AHEAD + JITTER * (2 * this.#deps.random() - 1);
    this.#refreshAt = now + (expiresAt - now) * share;
    this.#lookAt = now + LOOK_MS;
    this.#evicted = false;
    this.#failuresInARow = 0;
    this.#failure = undefined;
    this.#retryAt = 0;
    this.#stats.refreshes++;
    this.#deps.onFetch(true);
    return this.#secret as Secret;
  }

  /** @throws ProxyError unless the old secret is still valid */
  #fail(error: unknown): Secret {
    const now = this.#deps.now();
    const cause = error instanceof Error ? error : new Error(`${this.#source.describe()} failed`);
    this.#failure = new ProxyError("credential-failed", "credential resolution failed", cause);
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failuresInARow);
    // Half of it is chance, so that credentials of one dead service do not come back in step.
    this.#retryAt = now + pause * (0.5 + 0.5 * this.#deps.random());
    this.#failuresInARow++;
    this.#evicted = false;
    this.#stats.failures++;
    this.#deps.onFetch(false);
    if (error instanceof SecretGone) this.#secret = undefined;
    if (this.#secret === undefined || now >= this.#expiresAt) throw this.#failure;
    this.#deps.onSilentFailure(cause, this.#failuresInARow);
    return this.#secret;
  }
}

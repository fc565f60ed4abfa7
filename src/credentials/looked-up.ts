// A secret that the credential store of an embedding program has. The store may change at any time and tells nobody, so
// what it gave is good for a short while only. Used for grants of MCP servers. wire.md section 9.

import { type CredentialSource, type Fetched, SecretGone } from "./source.ts";
import type { CredentialStore } from "./store.ts";

/** How long a look-up is good for; the vault looks again ahead of that. */
const GOOD_FOR_MS = 30_000;
/** A store that does not answer has failed: less than a request waits, so that the client hears the reason. */
const TIMEOUT_MS = 25_000;

export class LookedUpSource implements CredentialSource {
  readonly #store: CredentialStore;
  readonly #provider: string;
  readonly #now: () => number;
  readonly #timeoutMs: number;

  /** @param now milliseconds since the epoch */
  constructor(store: CredentialStore, provider: string, now: () => number, timeoutMs = TIMEOUT_MS) {
    this.#store = store;
    this.#provider = provider;
    this.#now = now;
    this.#timeoutMs = timeoutMs;
  }

  /** Rejects with SecretGone when the store has none, with the store's own error when it fails. */
  async fetch(): Promise<Fetched> {
    const credential = await inTime(this.#store.get(this.#provider), this.#timeoutMs, this.describe());
    if (credential === undefined) throw new SecretGone(`${this.describe()} has no "${this.#provider}"`);
    const { token, expiresAt = Number.POSITIVE_INFINITY } = credential;
    return { secret: token, expiresAt: Math.min(expiresAt, this.#now() + GOOD_FOR_MS) };
  }

  describe(): string {
    return "credential store";
  }
}

async function inTime<T>(answer: T | Promise<T>, ms: number, who: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${who} did not answer in time`)), ms);
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

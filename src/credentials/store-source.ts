// A secret in moat's credential store, put there by `moat-proxy grant` or by moat itself; read again when its file is
// another one or has been written. The keychain is asked with the first fetch. When the credential has been revoked,
// its secret is not served on. Source type `store`.

import type { FileStore } from "./file-store.ts";
import { FileWatch } from "./file-watch.ts";
import { grantCommand } from "./moat-home.ts";
import { type CredentialSource, type Fetched, SecretGone } from "./source.ts";
import { CredentialExpired, type StoredCredential } from "./store.ts";

export interface StoreSettings {
  readonly provider: string;
  readonly profile?: string | undefined;
}

export class StoreSource implements CredentialSource {
  readonly #settings: StoreSettings;
  readonly #store: FileStore;
  readonly #watch: FileWatch;

  /**
   * @param store that of the profile
   * @param now milliseconds since the epoch
   * @throws Error for what is no name
   */
  constructor(settings: StoreSettings, store: FileStore, now: () => number) {
    this.#settings = settings;
    this.#store = store;
    this.#watch = new FileWatch(store.path(settings.provider), now);
  }

  /** Rejects with an Error that names the credential and what is wrong, SecretGone when there is none or it has ended. */
  async fetch(): Promise<Fetched> {
    const { provider, profile } = this.#settings;
    const stats = this.#watch.look();
    const credential = await this.#get();
    if (credential === undefined) {
      const command = grantCommand(provider, profile);
      throw new SecretGone(`${this.describe()} has no "${provider}"; run: ${command}`);
    }
    const { token, expiresAt } = credential;
    if (token.reveal() === "") throw new Error(`${this.describe()} has "${provider}" with an empty token`);
    this.#watch.note(stats);
    return { secret: token, expiresAt };
  }

  describe(): string {
    const { profile } = this.#settings;
    return `credential store${profile === undefined ? "" : ` (profile ${profile})`}`;
  }

  changed(): boolean {
    return this.#watch.changed();
  }

  async #get(): Promise<StoredCredential | undefined> {
    const { provider } = this.#settings;
    try {
      return await this.#store.get(provider);
    } catch (error) {
      const reason = error instanceof Error ? error.message : "cannot be read";
      const message = `${this.describe()} cannot give "${provider}": ${reason}`;
      // It has taken the place of what was there before, which is not to be used any more either.
      throw error instanceof CredentialExpired ? new SecretGone(message) : new Error(message);
    }
  }
}

// Where moat keeps credentials: `~/.moat`, its store and those of its profiles, and the one key for all of them. Makes
// and asks nothing until a credential is used. The layout is moat's own.

import { readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { EncryptionKey } from "./encryption-key.ts";
import { FileStore, sealedFiles } from "./file-store.ts";
import { type Keychain, systemKeychain } from "./keychain.ts";
import { checkProfile } from "./store.ts";

export interface MoatHomeDeps {
  /** Environment of the proxy: HOME, and what its keychain needs. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Instead of the system's own. */
  readonly keychain?: (() => Keychain | undefined) | undefined;
}

export class MoatHome {
  readonly #directory: string;
  readonly #now: () => number;
  readonly #key: EncryptionKey;
  readonly #stores = new Map<string | undefined, FileStore>();

  constructor({ env, now, keychain }: MoatHomeDeps) {
    const home = join(env.HOME || homedir(), ".moat");
    this.#directory = join(home, "credentials");
    this.#now = now;
    this.#key = new EncryptionKey({
      path: join(home, "encryption.key"),
      keychain: keychain ?? (() => systemKeychain({ env, platform: process.platform })),
      sealed: () => this.#anythingSealed(),
    });
  }

  /** The store of a profile, or the one without; the same object each time. @throws Error for what is no name */
  store(profile?: string): FileStore {
    let store = this.#stores.get(profile);
    if (store === undefined) {
      if (profile !== undefined) checkProfile(profile);
      store = new FileStore({
        directory: this.#directoryOf(profile),
        key: this.#key,
        now: this.#now,
        grantCommand: (provider) => grantCommand(provider, profile),
      });
      this.#stores.set(profile, store);
    }
    return store;
  }

  #directoryOf(profile: string | undefined): string {
    return profile === undefined ? this.#directory : join(this.#directory, "profiles", profile);
  }

  #anythingSealed(): string | undefined {
    for (const profile of [undefined, ...this.#profiles()]) {
      const directory = this.#directoryOf(profile);
      const [name] = sealedFiles(directory);
      if (name !== undefined) return join(directory, name);
    }
    return undefined;
  }

  #profiles(): readonly string[] {
    try {
      return readdirSync(join(this.#directory, "profiles"));
    } catch {
      // Most have none.
      return [];
    }
  }
}

/** The command line that stores a credential. */
export function grantCommand(provider: string, profile: string | undefined): string {
  return `moat-proxy grant ${provider}${profile === undefined ? "" : ` --profile ${profile}`}`;
}

// moat's own credential store: one encrypted file for each credential, in a directory that nobody else can read. A
// file is replaced whole or not at all. It makes a key only for the first credential of all. What stands in a file is
// store-codec.ts's, the key encryption-key.ts's.

import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { formatTime } from "../values/rfc3339.ts";
import type { EncryptionKey } from "./encryption-key.ts";
import {
  checkPrivateDirectory,
  makeDirectory,
  readPrivateFile,
  removeFile,
  replacePrivateFile,
} from "./private-file.ts";
import {
  CredentialExpired,
  checkProvider,
  type ManagedCredentialStore,
  type StoredCredential,
  type StoreEntry,
} from "./store.ts";
import { NONCE_BYTES, openCredential, sealCredential } from "./store-codec.ts";

const ENDING = ".enc";
/** A token of 64 KiB and whatever metadata: beyond that it is not a credential. */
const MAX_BYTES = 256 * 1024;

export interface FileStoreSettings {
  readonly directory: string;
  readonly key: EncryptionKey;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** What an operator types to store a credential of that name. */
  readonly grantCommand: (provider: string) => string;
}

export class FileStore implements ManagedCredentialStore {
  readonly #settings: FileStoreSettings;

  constructor(settings: FileStoreSettings) {
    this.#settings = settings;
  }

  get directory(): string {
    return this.#settings.directory;
  }

  /** Of its file, whether it is there or not. @throws Error for what is no name */
  path(provider: string): string {
    checkProvider(provider);
    return join(this.#settings.directory, `${provider}${ENDING}`);
  }

  async get(provider: string): Promise<StoredCredential | undefined> {
    const credential = await this.#read(provider);
    const { now, grantCommand } = this.#settings;
    if (credential?.expiresAt === undefined || now() < credential.expiresAt) return credential;
    throw new CredentialExpired(
      `${this.path(provider)} expired at ${formatTime(credential.expiresAt)}; run: ${grantCommand(provider)}`,
    );
  }

  async save(credential: StoredCredential): Promise<void> {
    const path = this.path(credential.provider);
    const { directory, key } = this.#settings;
    makeDirectory(directory);
    checkPrivateDirectory(directory);
    const bytes = await key.getOrMake();
    await this.#checkKey(credential.provider);
    replacePrivateFile(path, sealCredential(credential, bytes, randomBytes(NONCE_BYTES)));
  }

  async delete(provider: string): Promise<boolean> {
    return removeFile(this.path(provider));
  }

  async list(): Promise<readonly StoreEntry[]> {
    return Promise.all(this.names().map((provider) => this.#entry(provider)));
  }

  /** What is there, whether it can be opened or not. @throws Error when others can read the directory */
  names(): readonly string[] {
    const { directory } = this.#settings;
    if (!checkPrivateDirectory(directory)) return [];
    return sealedFiles(directory).map((name) => name.slice(0, -ENDING.length));
  }

  async #entry(provider: string): Promise<StoreEntry> {
    try {
      return { provider, credential: await this.#read(provider), problem: undefined };
    } catch (error) {
      const problem = error instanceof Error ? error.message : "cannot be read";
      return { provider, credential: undefined, problem };
    }
  }

  async #read(provider: string): Promise<StoredCredential | undefined> {
    const path = this.path(provider);
    const { directory, key } = this.#settings;
    checkPrivateDirectory(directory);
    const sealed = readPrivateFile(path, MAX_BYTES);
    if (sealed === undefined) return undefined;
    const bytes = await key.get();
    try {
      return openCredential(sealed, bytes, provider);
    } catch (error) {
      // Perhaps the right one is restored meanwhile.
      key.forget();
      throw new Error(`${path} ${error instanceof Error ? error.message : "cannot be read"}`);
    }
  }

  /** A key that opens nothing of what is there would divide the store between two keys. */
  async #checkKey(except: string): Promise<void> {
    const others = (await this.list()).filter(({ provider }) => provider !== except);
    const [first] = others;
    if (first?.problem === undefined || others.some(({ problem }) => problem === undefined)) return;
    throw new Error(`nothing is stored with a key that opens nothing here: ${first.problem}`);
  }
}

/** Names of the encrypted files in a directory, in order; none where it cannot be read. */
export function sealedFiles(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith(ENDING) && isProvider(name.slice(0, -ENDING.length)))
      .sort();
  } catch {
    // There is none, or whoever opens a file in it hears why it cannot be read.
    return [];
  }
}

function isProvider(name: string): boolean {
  try {
    checkProvider(name);
    return true;
  } catch {
    // A file that is not ours.
    return false;
  }
}

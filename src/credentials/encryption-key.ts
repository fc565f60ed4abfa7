// The key of moat's credential store: looked for when it is first needed, in the keychain and then in its file, and
// made once, when nothing has ever been encrypted. It never replaces a key and never appears in an error. The store's
// format is store-codec.ts's.

import { createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { KEYCHAIN_MS, KEYCHAIN_VARIABLE, type Keychain, type KeychainAnswer } from "./keychain.ts";
import { createPrivateFile, makeDirectory, readPrivateFile } from "./private-file.ts";

const KEY_BYTES = 32;
/** 32 bytes in base64, RFC 4648 section 4. */
const KEY_TEXT = /^[A-Za-z0-9+/]{43}=$/;
const EXPECTED = `expected ${KEY_BYTES} bytes in base64`;
const MAX_FILE = 4 * 1024;

export interface KeyPlaces {
  /** Of the file that holds the key where there is no keychain. */
  readonly path: string;
  /** Asked when the key is first needed. */
  readonly keychain: () => Keychain | undefined;
  /** Path of something that is encrypted with the key, if there is anything. */
  readonly sealed: () => string | undefined;
}

export class EncryptionKey {
  readonly #places: KeyPlaces;
  #found: Promise<KeyObject> | undefined;

  constructor(places: KeyPlaces) {
    this.#places = places;
  }

  /** Rejects with an Error that says where it was looked for. */
  get(): Promise<KeyObject> {
    return this.#remember(() => this.#find(false));
  }

  /** Makes one when there is none. Rejects when something is encrypted with one that is not there. */
  async getOrMake(): Promise<KeyObject> {
    // One that only looks must not answer for one that makes.
    await this.#found?.catch(() => undefined);
    return this.#remember(() => this.#find(true));
  }

  /** It did not fit: the next to ask has it looked for again. */
  forget(): void {
    this.#found = undefined;
  }

  /** However many ask, the keychain is asked once; after a failure, again. */
  #remember(find: () => Promise<KeyObject>): Promise<KeyObject> {
    if (this.#found !== undefined) return this.#found;
    const found = find();
    this.#found = found;
    found.catch(() => {
      if (this.#found === found) this.#found = undefined;
    });
    return found;
  }

  async #find(make: boolean): Promise<KeyObject> {
    const keychain = this.#places.keychain();
    const answer: KeychainAnswer = (await keychain?.get()) ?? { state: "unavailable" };
    if (answer.state === "found") return fromKeychain(answer.value);
    const key = this.#read();
    if (key !== undefined) return key;
    const missing = `no encryption key at ${this.#places.path}, and ${IN_WORDS[answer.state]}`;
    const sealed = this.#places.sealed();
    if (sealed !== undefined) {
      throw new Error(
        `${missing}, but ${sealed} is encrypted with one: restore the key, or revoke what only it opens (moat-proxy revoke NAME)`,
      );
    }
    if (!make) throw new Error(missing);
    // It may hold the key that moat uses.
    if (answer.state === "silent") throw new Error(`${missing}: unlock it, or set ${KEYCHAIN_VARIABLE}=off`);
    return this.#make(keychain);
  }

  #read(): KeyObject | undefined {
    const { path } = this.#places;
    return keyOf(readPrivateFile(path, MAX_FILE)?.toString("latin1"), path);
  }

  async #make(keychain: Keychain | undefined): Promise<KeyObject> {
    const { path } = this.#places;
    const text = randomBytes(KEY_BYTES).toString("base64");
    if ((await keychain?.set(text)) === true) {
      // Another process may have stored its own in the same moment: what is there now counts.
      const stored = await keychain?.get();
      if (stored?.state === "found") return fromKeychain(stored.value);
    }
    makeDirectory(dirname(path));
    createPrivateFile(path, `${text}\n`);
    const key = this.#read();
    if (key === undefined) throw new Error(`${path} was removed while it was made`);
    return key;
  }
}

const IN_WORDS: Readonly<Record<Exclude<KeychainAnswer["state"], "found">, string>> = {
  absent: "none in the keychain",
  unavailable: "no keychain can be asked",
  silent: `the keychain did not answer within ${KEYCHAIN_MS / 1_000} s`,
};

function fromKeychain(text: string): KeyObject {
  // It is found, so it is something.
  return keyOf(text, "the keychain's item moat, encryption-key,") as KeyObject;
}

function keyOf(text: string | undefined, where: string): KeyObject | undefined {
  if (text === undefined) return undefined;
  if (!KEY_TEXT.test(text.trim())) throw new Error(`${where} is no encryption key, ${EXPECTED}`);
  return createSecretKey(Buffer.from(text.trim(), "base64"));
}

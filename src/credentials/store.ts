// What a store of credentials is, for those that use one and those that build one; and which names it takes. Types
// and pure checks: files, keys and encryption are file-store.ts's. No error repeats a name: it may be a secret that
// was put in its place.

import type { Secret } from "../values/secret.ts";

export interface StoredCredential {
  /** Its name in the store: `github`, `mcp-linear`. */
  readonly provider: string;
  readonly token: Secret;
  readonly scopes?: readonly string[];
  /** Milliseconds since the epoch; absent: no end. */
  readonly expiresAt?: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The store has it, and its end has come: there is nothing that may be used. */
export class CredentialExpired extends Error {
  override readonly name = "CredentialExpired";
}

export interface CredentialStore {
  /**
   * The credential of that name, or undefined when the store has none: at once or as a promise.
   * Throws or rejects with an Error of one line, without any secret, for what it has and cannot give: one that
   * cannot be decrypted or is damaged, and with CredentialExpired after its end.
   */
  get(provider: string): StoredCredential | undefined | Promise<StoredCredential | undefined>;
}

/** One that is there, with what can be said of it. */
export interface StoreEntry {
  readonly provider: string;
  /** Also when it has expired; undefined when it cannot be read. */
  readonly credential: StoredCredential | undefined;
  /** Why it cannot be read: one line without any secret. */
  readonly problem: string | undefined;
}

/** A store that credentials can be put into. */
export interface ManagedCredentialStore extends CredentialStore {
  /** Replaces the one of the same name. */
  save(credential: StoredCredential): Promise<void>;
  /** Whether there was one. */
  delete(provider: string): Promise<boolean>;
  /** By name. */
  list(): Promise<readonly StoreEntry[]>;
}

/** A name becomes the name of a file: no separators, nothing that leads elsewhere, and room for an ending. */
const PROVIDER = /^(?!\.)(?!.*\.\.)[A-Za-z0-9._:-]{1,128}$/;
const PROVIDER_FORM = "expected 1 to 128 letters, digits and . _ : - without a dot in front or two in a row";

/** @throws Error that does not repeat the name */
export function checkProvider(name: string): void {
  if (!PROVIDER.test(name)) throw new Error(`is no name of a credential, ${PROVIDER_FORM}`);
}

/** As moat names its profiles. */
const PROFILE = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/;
const PROFILE_FORM = "expected 1 to 128 letters, digits, _ and -, beginning with a letter or digit";

/** @throws Error that does not repeat the name */
export function checkProfile(name: string): void {
  if (!PROFILE.test(name)) throw new Error(`is no name of a profile, ${PROFILE_FORM}`);
}

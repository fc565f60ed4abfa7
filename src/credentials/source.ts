// The contract of everything that a secret can come from. A source fetches when asked; it caches nothing and
// retries nothing, that is the vault's part. It may never put a secret into an error or a description.

import type { Secret } from "../values/secret.ts";

export interface CredentialSource {
  /**
   * The secret as it is now: at once where nothing has to be waited for, else a promise. Never an empty one.
   * Throws or rejects with an Error that says what is wrong and where, without the secret.
   */
  fetch(): Secret | Promise<Secret>;
  /** What and where the source is, for the log: `environment variable GITHUB_TOKEN`. */
  describe(): string;
}

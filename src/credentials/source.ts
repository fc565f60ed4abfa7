// The contract of everything that a secret can come from. A source fetches when asked; it caches nothing and
// retries nothing, that is the vault's part. It may never put a secret into an error, a warning or a description.

import type { Secret } from "../values/secret.ts";

/** A secret and how long it is good for. */
export interface Fetched {
  readonly secret: Secret;
  /** Milliseconds since the epoch; undefined: until it is found to have changed. */
  readonly expiresAt?: number | undefined;
}

/** The source knows that its secret was taken away: unlike after any other failure, the old one is not served on. */
export class SecretGone extends Error {
  override readonly name = "SecretGone";
}

export interface CredentialSource {
  /**
   * The secret as it is now: at once where nothing has to be waited for, else a promise. Never an empty one.
   * Throws or rejects with an Error of one line, without the secret: what `describe` says, then what is wrong.
   * A SecretGone where it was taken away on purpose.
   */
  fetch(): Fetched | Promise<Fetched>;
  /** What and where the source is, for the log: `environment variable GITHUB_TOKEN`. */
  describe(): string;
  /** Whether a fetch would now find something else. A cheap look; absent where nothing can change unseen. */
  changed?(): boolean;
  /** What the operator should mend although the last fetch succeeded; one line each. */
  readonly warnings?: readonly string[];
  /** Ends what is still running; a fetch under way rejects. */
  close?(): void;
}

// Keeps the secret of one source at hand: a synchronous peek for the steady path, one shared fetch for everyone
// who finds it missing. Holds no clock; knows nothing of hosts or headers. architecture.md, credentials/.

import type { SecretSlot } from "../inject/credentials.ts";
import { ProxyError } from "../values/errors.ts";
import { Secret } from "../values/secret.ts";
import type { CredentialSource } from "./source.ts";

export class Vault implements SecretSlot {
  readonly #source: CredentialSource;
  #secret: Secret | undefined;
  #pending: Promise<Secret> | undefined;

  constructor(source: CredentialSource) {
    this.#source = source;
  }

  /** The secret of the last successful fetch, or undefined before the first. */
  current(): Secret | undefined {
    return this.#secret;
  }

  /**
   * Fetches anew; however many ask meanwhile, the source is asked once. A failure is not remembered: the next
   * call asks again, and the secret of the last success stays current.
   * Rejects with ProxyError `credential-failed`; its cause names the source and the reason, for the log.
   */
  refresh(): Promise<Secret> {
    this.#pending ??= this.#fetch().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #fetch(): Promise<Secret> {
    try {
      const answer = this.#source.fetch();
      const secret = answer instanceof Secret ? answer : await answer;
      if (secret.reveal() === "") throw new Error("the secret is empty");
      // Same value, same identity: what was shaped for it stays valid.
      if (secret.reveal() !== this.#secret?.reveal()) this.#secret = secret;
      return this.#secret as Secret;
    } catch (error) {
      const reason = error instanceof Error ? error.message : "unknown failure";
      const cause = new Error(`${this.#source.describe()}: ${reason}`, { cause: error });
      throw new ProxyError("credential-failed", "credential resolution failed", cause);
    }
  }
}

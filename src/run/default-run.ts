// The proxy without runs: its own settings are the one run, its static token the one key to it. Fits the Runs
// port of the proxy folder by shape; it may not import it. wire.md section 6 (authentication).

import { digestMatches, tokenDigest } from "../policy/client-auth.ts";
import type { Secret } from "../values/secret.ts";
import type { RunContext } from "./run-context.ts";

export class DefaultRun {
  readonly #run: RunContext;
  readonly #digest: Uint8Array | undefined;

  /**
   * @param token undefined: everybody is served, whatever they present
   * @throws Error when the token is empty
   */
  constructor(run: RunContext, token: Secret | undefined) {
    if (token?.reveal() === "") throw new Error("the proxy's auth token is empty");
    this.#run = run;
    this.#digest = token === undefined ? undefined : tokenDigest(token.reveal());
  }

  /** True when a client must present the token. */
  get authRequired(): boolean {
    return this.#digest !== undefined;
  }

  /** The run, or undefined for a missing or wrong token. Constant time in what was presented. */
  lookup(token: string | undefined): RunContext | undefined {
    if (this.#digest === undefined) return this.#run;
    return token !== undefined && digestMatches(token, this.#digest) ? this.#run : undefined;
  }
}

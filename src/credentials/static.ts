// A secret that stands in the configuration itself: never re-read, never refreshed. wire.md section 2, source type
// `static`.

import type { Secret } from "../values/secret.ts";
import type { CredentialSource, Fetched } from "./source.ts";

export class StaticSource implements CredentialSource {
  readonly #fetched: Fetched;

  /** @throws Error when the value is empty */
  constructor(secret: Secret) {
    if (secret.reveal() === "") throw new Error("static value is empty");
    this.#fetched = Object.freeze({ secret });
  }

  fetch(): Fetched {
    return this.#fetched;
  }

  describe(): string {
    return "static value";
  }
}

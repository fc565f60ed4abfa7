// A secret that stands in the configuration itself: never re-read, never refreshed. wire.md section 2, source type
// `static`.

import type { Secret } from "../values/secret.ts";
import type { CredentialSource } from "./source.ts";

export class StaticSource implements CredentialSource {
  readonly #secret: Secret;

  /** @throws Error when the value is empty */
  constructor(secret: Secret) {
    if (secret.reveal() === "") throw new Error("static value is empty");
    this.#secret = secret;
  }

  fetch(): Secret {
    return this.#secret;
  }

  describe(): string {
    return "static value";
  }
}

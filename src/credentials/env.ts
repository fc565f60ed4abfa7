// A secret in an environment variable of the proxy's own process. The environment is a parameter; the composition
// root passes the real one. The value is taken as it is: no trimming. wire.md section 2, source type `env`.

import { Secret } from "../values/secret.ts";
import type { CredentialSource, Fetched } from "./source.ts";

export class EnvSource implements CredentialSource {
  readonly #variable: string;
  readonly #env: Readonly<Record<string, string | undefined>>;

  constructor(variable: string, env: Readonly<Record<string, string | undefined>>) {
    this.#variable = variable;
    this.#env = env;
  }

  /** @throws Error that names the variable when it is unset or empty */
  fetch(): Fetched {
    const value = this.#env[this.#variable];
    if (value === undefined) throw new Error(`${this.describe()} is not set`);
    if (value === "") throw new Error(`${this.describe()} is empty`);
    return { secret: new Secret(value) };
  }

  describe(): string {
    return `environment variable ${this.#variable}`;
  }
}

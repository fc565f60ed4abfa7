// A reload of the running proxy: the configuration is read and checked whole, then handed over whole. A bad one
// changes nothing, and the log says why. One reload at a time; requests meanwhile become one more. wire.md section 1.

import type { Config } from "../config/config.ts";
import type { Logger } from "../log/logger.ts";
import { failureOf } from "./failure.ts";

export interface ReloadDeps {
  /** Throws ConfigError with every mistake. */
  readonly load: () => Config;
  /** Applies what can be changed; one line for each setting that needs a restart. */
  readonly apply: (next: Config) => Promise<readonly string[]>;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
}

export class Reloading {
  readonly #deps: ReloadDeps;
  #wanted = false;
  #running: Promise<void> | undefined;

  constructor(deps: ReloadDeps) {
    this.#deps = deps;
  }

  /** Never throws. Resolves when the configuration as it stands at this call, or a later one, was read. */
  request(): Promise<void> {
    this.#wanted = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    while (this.#wanted) {
      this.#wanted = false;
      await this.#once();
    }
  }

  async #once(): Promise<void> {
    const { load, apply, log } = this.#deps;
    try {
      const later = await apply(load());
      for (const line of later) log.warn(line);
      log.info("configuration reloaded", { needs_restart: later.length });
    } catch (error) {
      for (const line of failureOf(error).lines) log.error(line.replace(/^moat-proxy: /, ""));
      log.error("configuration not reloaded: the running one stays in use");
    }
  }
}

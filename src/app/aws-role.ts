// The role whose credentials the proxy itself hands out, over reloads: the same settings keep the provider with what it has
// cached, others make a new one. Tells the log why a refresh failed, since no reply does. wire.md section 11.

import {
  AWSCredentialProvider,
  type AWSCredentialProviderDeps,
  type AWSCredentialProviderOptions,
  type RefreshFailure,
} from "../aws/credential-provider.ts";
import type { Logger } from "../log/logger.ts";
import type { LocalHandler } from "../run/run-context.ts";

export class AwsRole {
  readonly #log: Logger;
  readonly #deps: AWSCredentialProviderDeps;
  #key: string | undefined;
  #handler: LocalHandler | undefined;

  /** @param deps for tests; by default the SDK and the machine's clock */
  constructor(log: Logger, deps: AWSCredentialProviderDeps = {}) {
    this.#log = log;
    this.#deps = deps;
  }

  /**
   * Answers `/_aws/credentials`; undefined without settings. Asks nobody for anything yet.
   * @throws Error of one line about the first setting that is wrong
   */
  handlerFor(settings: AWSCredentialProviderOptions | undefined): LocalHandler | undefined {
    if (settings === undefined) {
      this.#key = undefined;
      this.#handler = undefined;
      return undefined;
    }
    const { roleARN, region, sessionDuration, externalID, sessionName, profile } = settings;
    const key = JSON.stringify([roleARN, region, sessionDuration, externalID, sessionName, profile]);
    if (this.#handler !== undefined && key === this.#key) return this.#handler;
    const provider = new AWSCredentialProvider(settings, {
      ...this.#deps,
      onFailure: (failure) => tellFailure(failure, roleARN, this.#log),
    });
    this.#key = key;
    this.#handler = provider.handler();
    return this.#handler;
  }
}

/** The pauses between failures bound how often this is said. */
function tellFailure({ error, inARow, servesOld }: RefreshFailure, role: string, log: Logger): void {
  const fields = { error: error.message, role, failures: inARow };
  if (servesOld) log.warn("AWS credentials could not be refreshed, the old ones are still served", fields);
  else log.error("AWS credentials could not be fetched", fields);
}

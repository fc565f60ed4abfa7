// What the one run of a configuration is compiled from: used by serve with slots that fetch, and by check with slots that
// do not, so that the two cannot disagree. Pure.

import type { Config, CredentialConfig, ResponseTransformerConfig, SourceConfig } from "../config/config.ts";
import type { SecretSlot } from "../inject/credentials.ts";
import type { StoreSlots } from "../run/mcp-server.ts";
import type { RunSettings } from "../run/run-context.ts";
import type { Transformer } from "../transform/body-stage.ts";
import { oauthEndpointWorkaround } from "../transform/oauth-endpoint.ts";
import { responseScrub } from "../transform/scrub.ts";

const TRANSFORMERS: Readonly<Record<ResponseTransformerConfig["kind"], Transformer>> = {
  "oauth-endpoint-workaround": oauthEndpointWorkaround,
  "response-scrub": responseScrub,
};

/** Whatever of the configuration takes its secret from a source. */
export type SecretHolder = { readonly host: string; readonly source: SourceConfig };

/** @param slotOf the slot of a credential or a token substitution */
export function defaultRunSettings(
  config: Config,
  slotOf: (holder: SecretHolder | CredentialConfig) => SecretSlot,
  storeSlot: StoreSlots,
): RunSettings {
  return {
    runId: undefined,
    network: config.network,
    passthrough: config.tls.passthrough,
    credentials: config.credentials.map((item) => ({ ...item, slot: slotOf(item) })),
    extraHeaders: config.extraHeaders,
    removeHeaders: config.removeHeaders,
    substitutions: config.tokenSubstitutions.map((item) => ({ ...item, slot: slotOf(item) })),
    transformers: config.responseTransformers.map(({ host, kind }) => ({
      host,
      transformer: TRANSFORMERS[kind],
    })),
    mcpServers: config.mcpServers,
    storeSlot,
  };
}

/** Everything that has a source, in the order of the file. */
export function secretHolders({ credentials, tokenSubstitutions }: Config): readonly SecretHolder[] {
  return [...credentials, ...tokenSubstitutions];
}

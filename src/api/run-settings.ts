// From the library's plain data to what a run is compiled from: secrets wrapped, records of hosts to lists of rules.
// Whatever is wrong is thrown by the compiler of runs, in one line that names the host.

import type { CredentialRule, SecretSlot } from "../inject/credentials.ts";
import { refuseUnsendable } from "../inject/value-shape.ts";
import type { HostPattern } from "../policy/host-pattern.ts";
import type { StoreSlots } from "../run/mcp-server.ts";
import type { RunSettings } from "../run/run-context.ts";
import type { AnyTransformer } from "../transform/body-stage.ts";
import { oauthEndpointWorkaround } from "../transform/oauth-endpoint.ts";
import { responseScrub } from "../transform/scrub.ts";
import { Secret } from "../values/secret.ts";
import type {
  ByHost,
  CredentialHeader,
  RunContextData,
  TokenSubstitution,
  TransformerSpec,
} from "./types.ts";

/** Where a missing grant comes from, per store. */
export type StoreSlotsOf = (data: RunContextData) => StoreSlots;

/** @throws Error of one line for a value that cannot be sent */
export function runSettings(data: RunContextData, storeSlots: StoreSlotsOf): RunSettings {
  return {
    runId: data.runID,
    network: {
      policy: data.policy ?? "permissive",
      allow: (data.allowedHosts ?? []).map(patternText),
      grants: data.grants ?? [],
    },
    credentials: byHost(data.credentials, credentialRule),
    extraHeaders: byHost(data.extraHeaders, (host, { name, value }) => ({ host, header: name, value })),
    removeHeaders: byHost(data.removeHeaders, (host, header) => ({ host, header })),
    substitutions: byHost(data.tokenSubstitutions, substitutionRule),
    transformers: byHost(data.responseTransformers, (host, spec) => ({
      host,
      transformer: transformerOf(host, spec),
    })),
    mcpServers: data.mcpServers,
    storeSlot: storeSlots(data),
    awsHandler: data.awsHandler,
  };
}

/** The value goes on as it is: the reference shapes nothing here. @throws Error that names the host, not the value */
export function credentialRule(host: string, credential: CredentialHeader): CredentialRule {
  const { name, value, grant = "", allowCleartext = false } = credential;
  return { host, header: name, format: "raw", grant, allowCleartext, slot: fixedSlot(host, value) };
}

/** @throws Error that names the host, not the token */
export function substitutionRule(host: string, { placeholder, realToken }: TokenSubstitution) {
  return { host, placeholder, slot: fixedSlot(host, realToken) };
}

/** @throws Error that names the host */
export function transformerOf(host: string, spec: TransformerSpec): AnyTransformer {
  if (typeof spec === "function") return spec;
  if (spec === "oauth-endpoint-workaround") return oauthEndpointWorkaround;
  if (spec === "response-scrub") return responseScrub;
  throw new Error(
    `response transformer for ${host}: expected a function, oauth-endpoint-workaround or response-scrub`,
  );
}

/** `*.example.com:8443`. */
export function patternText(pattern: HostPattern | string): string {
  if (typeof pattern === "string") return pattern;
  const host = pattern.host.includes(":") ? `[${pattern.host}]` : pattern.host;
  return `${pattern.wildcard ? "*." : ""}${host}${pattern.port === undefined ? "" : `:${pattern.port}`}`;
}

function fixedSlot(host: string, value: string): SecretSlot {
  if (typeof value !== "string") throw new Error(`credential for ${host}: the value is no string`);
  try {
    refuseUnsendable(value);
  } catch (error) {
    throw new Error(`credential for ${host}: ${error instanceof Error ? error.message : "cannot be sent"}`);
  }
  const secret = new Secret(value);
  return { current: () => secret, refresh: () => Promise.resolve(secret) };
}

/** Rules of every host, in the order in which they were written. */
function byHost<T, R>(record: ByHost<T> | undefined, rule: (host: string, item: T) => R): R[] {
  return Object.entries(record ?? {}).flatMap(([host, items]) =>
    // A single one may stand without its list.
    (Array.isArray(items) ? (items as readonly T[]) : [items as T]).map((item) => rule(host, item)),
  );
}

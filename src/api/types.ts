// The plain data of the library, under the names of the reference package. Types only; what is made of them is
// run-settings.ts's. Values of credentials are strings here, as an embedding program has them; inside they are Secrets.

import type { CredentialStore } from "../credentials/store.ts";
import type { HostPattern } from "../policy/host-pattern.ts";
import type { LocalHandler } from "../run/run-context.ts";
import type { ResponseTransformer } from "../transform/body-stage.ts";

export type { CredentialStore, HostPattern, LocalHandler, ResponseTransformer };

/** A field that carries a credential. Reference: `CredentialHeader`. */
export interface CredentialHeader {
  /** Field name, such as `Authorization` or `x-api-key`. */
  readonly name: string;
  /** The whole field value, scheme included: it is sent as it is. */
  readonly value: string;
  /** Names the credential in logs, and for MCP servers. */
  readonly grant?: string;
  /** Send it over plain http:// to public addresses too; default false. */
  readonly allowCleartext?: boolean;
}

/** A field that is added to what the client sent. Reference: `ExtraHeader`. */
export interface ExtraHeader {
  readonly name: string;
  readonly value: string;
}

/** Reference: `TokenSubstitution`, and `NewTokenSubstitution(placeholder, realToken)`. */
export interface TokenSubstitution {
  /** What the client sends: 4 to 512 visible ASCII characters. */
  readonly placeholder: string;
  /** What the upstream gets. */
  readonly realToken: string;
}

/** Reference: `config.MCPServerConfig`. */
export interface MCPServerConfig {
  readonly name: string;
  /** http(s) URL without user information, query and fragment. */
  readonly url: string;
  readonly auth?: { readonly grant: string; readonly header: string };
}

/** A function of the embedding program, or one of the built-in transformers by its name. */
export type TransformerSpec = ResponseTransformer | "oauth-endpoint-workaround" | "response-scrub";

export type NetworkPolicyName = "strict" | "permissive";

/** One or several for each host pattern. */
export type ByHost<T> = Readonly<Record<string, T | readonly T[]>>;

/**
 * Everything that one token may do. Keys of the records are host patterns: `api.example.com`, `*.example.com`,
 * `api.example.com:8443`. Reference: `RunContextData`. It is read once: to change a run, answer with a new value.
 */
export interface RunContextData {
  /** Names the run in logs; not empty. */
  readonly runID: string;
  readonly credentials?: ByHost<CredentialHeader>;
  readonly extraHeaders?: ByHost<ExtraHeader>;
  /** Field names. */
  readonly removeHeaders?: ByHost<string>;
  readonly tokenSubstitutions?: ByHost<TokenSubstitution>;
  readonly responseTransformers?: ByHost<TransformerSpec>;
  readonly mcpServers?: readonly MCPServerConfig[];
  /** Default `permissive`, as in the reference. */
  readonly policy?: NetworkPolicyName;
  /** What `strict` allows. */
  readonly allowedHosts?: readonly (HostPattern | string)[];
  /** Grants that `strict` allows. */
  readonly grants?: readonly string[];
  /** Answers `/_aws/credentials`; without one the proxy's own does. */
  readonly awsHandler?: LocalHandler;
  /** Grants of MCP servers that `credentials` lacks are looked for here; without one in the proxy's own store. */
  readonly credStore?: CredentialStore;
}

/** Undefined or null: the token selects nothing. */
export type ResolvedContext = RunContextData | null | undefined;

/**
 * Selects the run of a proxy token, now or later, for every request. The same object is the same run, which keeps its
 * upstream connections; a new object is a new run, even when it says the same. Reference: `ContextResolver`.
 */
export type ContextResolver = (token: string) => ResolvedContext | Promise<ResolvedContext>;

// The library's public face: the operations of the reference package under their own names, and nothing else.
// Re-exports only; docs/reference-parity.md says what stands for what. Programs see its types in types/index.d.ts.

export { CA, type GeneratedCert } from "./api/ca.ts";
export { openCredentialStore } from "./api/credential-store.ts";
export { filterHeaders } from "./api/header-filter.ts";
// Twice: in a file that imports it as Proxy, the global of that name is hidden, and some linters object.
export { MoatProxy, MoatProxy as Proxy } from "./api/proxy.ts";
export type { RequestLogData, RequestLogger } from "./api/request-logger.ts";
export { Server, type ServerOptions } from "./api/server.ts";
export type {
  ByHost,
  ContextResolver,
  CredentialHeader,
  CredentialStore,
  ExtraHeader,
  LocalHandler,
  MCPServerConfig,
  NetworkPolicyName,
  ResolvedContext,
  ResponseTransformer,
  RunContextData,
  TokenSubstitution,
  TransformerSpec,
} from "./api/types.ts";
export type { AssumeRoleInput, AssumeRoleOutput, STSAssumeRoler } from "./aws/assume-role.ts";
export { AWSCredentialHandler } from "./aws/credential-handler.ts";
export {
  AWSCredentialProvider,
  type AWSCredentialProviderDeps,
  type AWSCredentialProviderOptions,
  type RefreshFailure,
} from "./aws/credential-provider.ts";
export type { AWSCredentials } from "./aws/credentials.ts";
export { AssumeRoleError } from "./aws/failure.ts";
export type { Limits } from "./config/config.ts";
export type { ManagedCredentialStore, StoredCredential, StoreEntry } from "./credentials/store.ts";
export {
  hostsForGrant as getHostsForGrant,
  registerGrantHosts,
} from "./policy/grants.ts";
export { type HostPattern, matchesHost, parseHostPattern } from "./policy/host-pattern.ts";
export { MAX_BODY_SIZE as maxBodySize } from "./proxy/message-capture.ts";
export type { Authority } from "./values/authority.ts";
export { Secret } from "./values/secret.ts";

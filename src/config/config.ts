// The whole configuration as one immutable value, validated and canonical: what the composition root reads.
// File, flags and environment all end here; nothing behind this point parses operator input. wire.md sections 1, 2.

import type { AWSCredentialProviderOptions } from "../aws/credential-provider.ts";
import { DEFAULT_HEAD_LIMITS, type HeadLimits } from "../http1/limits.ts";
import type { Secret } from "../values/secret.ts";

export interface Config {
  readonly proxy: {
    /** Address to bind, a literal or a name. */
    readonly host: string;
    /** 0 lets the operating system pick. */
    readonly port: number;
    readonly authToken: Secret | undefined;
    /** True: no proxy authentication even on a non-loopback bind. */
    readonly noAuth: boolean;
    /** Further names a request to the proxy itself may use as Host; canonical lower case. */
    readonly localHosts: readonly string[];
    /** Web origins allowed to call the proxy's own endpoints. */
    readonly allowedOrigins: readonly string[];
    /** True: a connection may begin with a PROXY protocol header, version 1 or 2; it sets client_ip only. */
    readonly proxyProtocol: boolean;
  };
  readonly tls: {
    /** False: CONNECT becomes an opaque tunnel and no CA is made. */
    readonly intercept: boolean;
    /** Directory of ca.crt and ca.key; used when caCert and caKey are absent. */
    readonly caDir: string;
    readonly caCert: string | undefined;
    readonly caKey: string | undefined;
    /** PEM file with extra roots for upstream servers. */
    readonly upstreamCa: string | undefined;
    /** CONNECT ports that carry cleartext HTTP. */
    readonly plainPorts: readonly number[];
    /** Host patterns, as written, whose CONNECT stays opaque. */
    readonly passthrough: readonly string[];
    /** True: upstream servers may also be vouched for by the host's own store. */
    readonly systemRoots: boolean;
    /** Certificates shown to upstream servers; no host pattern twice. */
    readonly clientCerts: readonly ClientCertConfig[];
  };
  readonly credentials: readonly CredentialConfig[];
  readonly extraHeaders: readonly ExtraHeaderConfig[];
  readonly removeHeaders: readonly RemoveHeaderConfig[];
  readonly tokenSubstitutions: readonly TokenSubstitutionConfig[];
  readonly responseTransformers: readonly ResponseTransformerConfig[];
  /** No name twice. */
  readonly relays: readonly RelayConfig[];
  /** No name twice. */
  readonly mcpServers: readonly McpServerConfig[];
  readonly network: {
    readonly policy: "strict" | "permissive";
    /** Host patterns, as written. */
    readonly allow: readonly string[];
    /** Grant names, as written. */
    readonly grants: readonly string[];
    /** CIDRs or addresses exempt from the destination deny list. */
    readonly allowIps: readonly string[];
    /** Method and path rules by host, in the order of the file. */
    readonly rules: readonly RuleConfig[];
    /** The proxy through which upstream servers are reached. */
    readonly upstreamProxy: UpstreamProxyConfig | undefined;
    /** Status of a refusal by policy. */
    readonly denyStatus: DenyStatus;
  };
  /** The role whose temporary credentials clients get; undefined: none. */
  readonly aws: AWSCredentialProviderOptions | undefined;
  readonly log: {
    readonly level: LogLevel;
    readonly format: "text" | "json";
    /** `stderr`, `stdout` or the path of a file. */
    readonly output: string;
    /** Request fields that records show; lower case, no credential among them, at most ten. */
    readonly captureHeaders: readonly string[];
    /** True: records show the query of a path. */
    readonly query: boolean;
  };
  readonly limits: Limits;
  /** Where /metrics is served; undefined: nowhere. */
  readonly metricsListen: ListenAddress | undefined;
  /** Written atomically once listening. */
  readonly readyFile: string | undefined;
}

export type DenyStatus = 407 | 403;

/** Canonical host without brackets, and a port; 0 lets the operating system pick. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface ClientCertConfig {
  /** Host pattern, as written. */
  readonly host: string;
  /** Paths of PEM files. */
  readonly cert: string;
  readonly key: string;
}

export interface RuleConfig {
  /** Host pattern, as written. */
  readonly host: string;
  /** As written, such as `allow GET /repos/**`; empty for a host without rules: an allow entry. */
  readonly rules: readonly string[];
  /** Line in the config file. */
  readonly line: number | undefined;
}

export interface UpstreamProxyConfig {
  readonly host: string;
  readonly port: number;
  /** The whole value of Proxy-Authorization. */
  readonly authorization: Secret | undefined;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface CredentialConfig {
  /** Host pattern as written: exact, `*.domain`, optional port. */
  readonly host: string;
  /** Field name as configured, default Authorization. */
  readonly header: string;
  /** Scheme prefix; undefined means "by the value" (wire.md section 6). */
  readonly prefix: string | undefined;
  readonly format: "" | "basic";
  /** Empty when none. */
  readonly grant: string;
  readonly allowCleartext: boolean;
  readonly source: SourceConfig;
  /** Line in the config file, for explanations. */
  readonly line: number | undefined;
}

export interface ExtraHeaderConfig {
  /** Host pattern as written. */
  readonly host: string;
  readonly header: string;
  readonly value: string;
}

export interface RemoveHeaderConfig {
  /** Host pattern as written. */
  readonly host: string;
  readonly header: string;
}

export interface TokenSubstitutionConfig {
  /** Host pattern as written. */
  readonly host: string;
  readonly placeholder: string;
  readonly source: SourceConfig;
}

export interface ResponseTransformerConfig {
  /** Host pattern as written. */
  readonly host: string;
  readonly kind: "oauth-endpoint-workaround" | "response-scrub";
}

export interface RelayConfig {
  readonly name: string;
  /** http(s) URL as written, without user information, query and fragment. */
  readonly url: string;
}

export interface McpServerConfig extends RelayConfig {
  readonly auth: { readonly grant: string; readonly header: string } | undefined;
}

export type SourceConfig =
  | { readonly type: "static"; readonly value: Secret }
  | { readonly type: "env"; readonly variable: string }
  | { readonly type: "file"; readonly path: string }
  /** A command for `sh -c`; what it prints is good for `ttlMs` unless it says otherwise. */
  | { readonly type: "process"; readonly command: string; readonly ttlMs: number }
  /** Of moat's credential store; undefined: no profile. */
  | { readonly type: "store"; readonly provider: string; readonly profile: string | undefined };

/** Every limit with its unit in the name; wire.md section 14. */
export interface Limits {
  readonly headMs: number;
  readonly handshakeMs: number;
  readonly idleMs: number;
  readonly dialMs: number;
  readonly upstreamTlsMs: number;
  readonly responseHeaderMs: number;
  readonly drainMs: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerClient: number;
  readonly head: HeadLimits;
}

export const DEFAULT_LIMITS: Limits = {
  headMs: 60_000,
  handshakeMs: 10_000,
  idleMs: 120_000,
  dialMs: 10_000,
  upstreamTlsMs: 10_000,
  responseHeaderMs: 900_000,
  drainMs: 5_000,
  maxConnections: 10_000,
  maxConnectionsPerClient: 2_000,
  head: DEFAULT_HEAD_LIMITS,
};

// The whole configuration as one immutable value, validated and canonical: what the composition root reads.
// File, flags and environment all end here; nothing behind this point parses operator input. wire.md sections 1, 2.

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
  };
  readonly credentials: readonly CredentialConfig[];
  readonly network: {
    readonly policy: "strict" | "permissive";
    /** Host patterns, as written. */
    readonly allow: readonly string[];
    /** Grant names, as written. */
    readonly grants: readonly string[];
    /** CIDRs or addresses exempt from the destination deny list. */
    readonly allowIps: readonly string[];
  };
  readonly log: { readonly level: LogLevel; readonly format: "text" | "json" };
  readonly limits: Limits;
  /** Written atomically once listening. */
  readonly readyFile: string | undefined;
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
}

export type SourceConfig =
  | { readonly type: "static"; readonly value: Secret }
  | { readonly type: "env"; readonly variable: string };

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
};

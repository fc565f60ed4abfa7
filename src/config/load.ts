// File, environment and flags to one immutable Config. Flags win over the environment, the environment over the
// file, lists of the command line are added to those of the file. Every mistake is found before it throws.
// The file system and the environment arrive as parameters. wire.md sections 1 and 2.

import { homedir } from "node:os";
import { join } from "node:path";
import type { Secret } from "../values/secret.ts";
import { type Config, type CredentialConfig, DEFAULT_LIMITS, type Limits, type LogLevel } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { at, mistakesOf } from "./mistakes.ts";
import { type FileSettings, fileSchema } from "./schema.ts";
import { BadSetting, parseToken } from "./setting.ts";
import { type Mistake, readYaml } from "./yaml-text.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the command line says: every flag parsed and canonical, absent ones undefined. */
export interface Flags {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly authToken?: Secret | undefined;
  /** True: no proxy authentication, whatever the file and the environment say. */
  readonly noAuth?: boolean | undefined;
  readonly caDir?: string | undefined;
  /** True: no CA, opaque tunnels. */
  readonly noIntercept?: boolean | undefined;
  readonly upstreamCa?: string | undefined;
  readonly policy?: Config["network"]["policy"] | undefined;
  /** These three are added to those of the file. */
  readonly allow?: readonly string[] | undefined;
  readonly grants?: readonly string[] | undefined;
  readonly allowIps?: readonly string[] | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly logFormat?: Config["log"]["format"] | undefined;
  readonly readyFile?: string | undefined;
  readonly drainMs?: number | undefined;
}

export interface ConfigSources {
  /** Path of the config file; undefined: there is none. */
  readonly file?: string | undefined;
  readonly flags: Flags;
  readonly env: Environment;
  /** Text of a file; throws an error with a `code` as node:fs does. */
  readonly readFile: (path: string) => string;
}

export const TOKEN_VARIABLE = "MOAT_PROXY_AUTH_TOKEN";
/** CONNECT to port 80 carries cleartext HTTP: several clients do that for http:// and ws:// URLs. */
const PLAIN_PORTS = [80];

/** @throws ConfigError with every mistake of the file and the environment */
export function loadConfig({ file, flags, env, readFile }: ConfigSources): Config {
  const mistakes: string[] = [];
  const settings = file === undefined ? {} : readSettings(file, readFile, mistakes);
  const token = tokenOf(env, mistakes);
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return merge(settings, flags, token, env);
}

function readSettings(file: string, readFile: (path: string) => string, mistakes: string[]): FileSettings {
  const name = file.replaceAll(/\p{Cc}/gu, "");
  let text: string;
  try {
    text = readFile(file);
  } catch (error) {
    mistakes.push(`${name}: cannot be read${reason(error)}`);
    return {};
  }
  const yaml = readYaml(text);
  const found: Mistake[] = [...yaml.mistakes];
  let settings: FileSettings = {};
  // An empty file, or one of comments, is an empty mapping.
  const data = yaml.data ?? {};
  if (found.length === 0) {
    const result = fileSchema.safeParse(data);
    if (result.success) settings = result.data;
    else for (const issue of result.error.issues) found.push(...mistakesOf(issue, yaml));
    const half = halfOfPair(data);
    if (half !== undefined) found.push(at(yaml, ["tls", half.given], `needs tls.${half.missing} as well`));
  }
  found.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  for (const { line, text } of found)
    mistakes.push(line === undefined ? `${name}: ${text}` : `${name}:${line}: ${text}`);
  return settings;
}

/** "both or neither; only one is an error": seen on the raw data, so that no other mistake hides it. */
function halfOfPair(data: unknown): { given: string; missing: string } | undefined {
  if (typeof data !== "object" || data === null || !("tls" in data)) return undefined;
  const { tls } = data;
  if (typeof tls !== "object" || tls === null) return undefined;
  const cert = "ca_cert" in tls && tls.ca_cert !== undefined;
  const key = "ca_key" in tls && tls.ca_key !== undefined;
  if (cert === key) return undefined;
  return cert ? { given: "ca_cert", missing: "ca_key" } : { given: "ca_key", missing: "ca_cert" };
}

function tokenOf(env: Environment, mistakes: string[]): Secret | undefined {
  const text = env[TOKEN_VARIABLE];
  if (text === undefined || text === "") return undefined;
  try {
    return parseToken(text);
  } catch (error) {
    if (!(error instanceof BadSetting)) throw error;
    mistakes.push(`${TOKEN_VARIABLE}: ${error.message}`);
    return undefined;
  }
}

function merge(file: FileSettings, flags: Flags, envToken: Secret | undefined, env: Environment): Config {
  const { proxy = {}, tls = {}, network = {}, log = {} } = file;
  const noAuth = flags.noAuth === true;
  // --ca-dir names another place for the pair that the file names.
  const pair = flags.caDir === undefined ? tls : {};
  return {
    proxy: {
      host: flags.host ?? proxy.host ?? "127.0.0.1",
      port: flags.port ?? proxy.port ?? 0,
      authToken: noAuth ? undefined : (flags.authToken ?? envToken ?? proxy.auth_token),
      noAuth,
      localHosts: proxy.local_hosts ?? [],
      allowedOrigins: proxy.allowed_origins ?? [],
    },
    tls: {
      intercept: flags.noIntercept === true ? false : (tls.intercept ?? true),
      caDir: flags.caDir ?? join(env.HOME || homedir(), ".moat", "proxy", "ca"),
      caCert: pair.ca_cert,
      caKey: pair.ca_key,
      upstreamCa: flags.upstreamCa ?? tls.upstream_ca,
      plainPorts: tls.plain_ports ?? PLAIN_PORTS,
    },
    credentials: (file.credentials ?? []).map(credentialOf),
    network: {
      policy: flags.policy ?? network.policy ?? "permissive",
      allow: [...(network.allow ?? []), ...(flags.allow ?? [])],
      grants: [...(network.grants ?? []), ...(flags.grants ?? [])],
      allowIps: [...(network.allow_ips ?? []), ...(flags.allowIps ?? [])],
    },
    log: { level: flags.logLevel ?? log.level ?? "info", format: flags.logFormat ?? log.format ?? "text" },
    limits: limitsOf(file.limits ?? {}, flags),
    readyFile: flags.readyFile,
  };
}

function credentialOf(file: NonNullable<FileSettings["credentials"]>[number]): CredentialConfig {
  const { source } = file;
  return {
    host: file.host,
    header: file.header ?? "Authorization",
    // An empty prefix is how the reference writes "none".
    prefix: file.prefix || undefined,
    format: file.format ?? "",
    grant: file.grant ?? "",
    allowCleartext: file.allow_cleartext ?? false,
    source:
      source.type === "static"
        ? { type: "static", value: source.value }
        : { type: "env", variable: source.var },
  };
}

function limitsOf(file: NonNullable<FileSettings["limits"]>, flags: Flags): Limits {
  return {
    headMs: file.head_timeout ?? DEFAULT_LIMITS.headMs,
    handshakeMs: file.handshake_timeout ?? DEFAULT_LIMITS.handshakeMs,
    idleMs: file.idle_timeout ?? DEFAULT_LIMITS.idleMs,
    dialMs: file.dial_timeout ?? DEFAULT_LIMITS.dialMs,
    upstreamTlsMs: file.upstream_tls_timeout ?? DEFAULT_LIMITS.upstreamTlsMs,
    responseHeaderMs: file.response_header_timeout ?? DEFAULT_LIMITS.responseHeaderMs,
    drainMs: flags.drainMs ?? file.drain_timeout ?? DEFAULT_LIMITS.drainMs,
    maxConnections: file.max_connections ?? DEFAULT_LIMITS.maxConnections,
    maxConnectionsPerClient: file.max_connections_per_client ?? DEFAULT_LIMITS.maxConnectionsPerClient,
  };
}

/** In words for the cases an operator meets; the code for the rest. */
function reason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const words: Readonly<Record<string, string>> = {
    ENOENT: "no such file",
    EACCES: "permission denied",
    EISDIR: "it is a directory",
  };
  return code === "" ? "" : `: ${words[code] ?? code}`;
}

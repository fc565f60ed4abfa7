// File, environment and flags to one immutable Config. Flags win over the environment, the environment over the
// file, lists of the command line are added to those of the file. Every mistake is found before it throws. A reload
// calls it again with the same flags. The file system and the environment arrive as parameters. wire.md sections 1, 2.

import { homedir } from "node:os";
import { join } from "node:path";
import type { AWSCredentialProviderOptions } from "../aws/credential-provider.ts";
import type { Secret } from "../values/secret.ts";
import { type AwsFlags, awsOf } from "./aws-schema.ts";
import {
  type Config,
  type CredentialConfig,
  DEFAULT_LIMITS,
  type Limits,
  type ListenAddress,
  type LogLevel,
} from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { type FileReading, NO_FILE, type ReadFile, readConfigFile, reason } from "./read-file.ts";
import type { FileSettings } from "./schema.ts";
import { BadSetting, parseToken, shown } from "./setting.ts";
import { sourceOf } from "./source-schema.ts";
import type { Variables } from "./variables.ts";

export type Environment = Variables;

/** What the command line says: every flag parsed and canonical, absent ones undefined. */
export interface Flags {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly authToken?: Secret | undefined;
  /** Path of a file that holds the token; read here. */
  readonly authTokenFile?: string | undefined;
  /** True: no proxy authentication, whatever the file and the environment say. */
  readonly noAuth?: boolean | undefined;
  /** The host that clients are told; requests to the proxy itself may name it. */
  readonly advertiseHost?: string | undefined;
  readonly caDir?: string | undefined;
  /** True: no CA, opaque tunnels. */
  readonly noIntercept?: boolean | undefined;
  readonly upstreamCa?: string | undefined;
  readonly policy?: Config["network"]["policy"] | undefined;
  /** These three are added to those of the file. */
  readonly allow?: readonly string[] | undefined;
  readonly grants?: readonly string[] | undefined;
  readonly allowIps?: readonly string[] | undefined;
  /** What the --aws flags say. */
  readonly aws?: AwsFlags | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly logFormat?: Config["log"]["format"] | undefined;
  readonly logOutput?: string | undefined;
  readonly metricsListen?: ListenAddress | undefined;
  readonly readyFile?: string | undefined;
  readonly drainMs?: number | undefined;
}

export interface ConfigSources {
  /** Path of the config file; undefined: there is none. */
  readonly file?: string | undefined;
  readonly flags: Flags;
  readonly env: Environment;
  readonly readFile: ReadFile;
}

export const TOKEN_VARIABLE = "MOAT_PROXY_AUTH_TOKEN";
/** CONNECT to port 80 carries cleartext HTTP: several clients do that for http:// and ws:// URLs. */
const PLAIN_PORTS = [80];

/** @throws ConfigError with every mistake of the file, the environment and the token file */
export function loadConfig({ file, flags, env, readFile }: ConfigSources): Config {
  const reading = file === undefined ? NO_FILE : readConfigFile(file, readFile, env);
  const mistakes = [...reading.mistakes];
  const token =
    tokenOfFlags(flags, readFile, mistakes) ??
    tokenOfVariable(env, mistakes) ??
    tokenOfSettings(file ?? "", reading, env, mistakes);
  const aws = mistakes.length > 0 ? undefined : awsOfSettings(file ?? "", reading, flags, mistakes);
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return { ...merge(reading, flags, token, env), aws };
}

function awsOfSettings(
  file: string,
  { settings, lineOf }: FileReading,
  flags: Flags,
  mistakes: string[],
): AWSCredentialProviderOptions | undefined {
  const where = (key?: string): string =>
    key === undefined
      ? `${file}:${lineOf(["aws"])}: aws`
      : `${file}:${lineOf(["aws", key]) ?? lineOf(["aws"])}: aws.${key}`;
  return awsOf(settings.aws, flags.aws, where, mistakes);
}

function tokenOfFlags(flags: Flags, readFile: ReadFile, mistakes: string[]): Secret | undefined {
  const { authToken, authTokenFile } = flags;
  if (authToken !== undefined || authTokenFile === undefined) return authToken;
  const where = `--auth-token-file: ${shown(authTokenFile)}`;
  try {
    // Editors and echo end a file with a line feed, which is no part of the token.
    const text = readFile(authTokenFile).trim();
    if (text === "") mistakes.push(`${where} is empty, expected the token in it`);
    return tokenOf(where, text, mistakes);
  } catch (error) {
    mistakes.push(`${where} cannot be read${reason(error)}`);
    return undefined;
  }
}

/** proxy.auth_token, or the variable that proxy.auth_token_env names, which must be set. */
function tokenOfSettings(
  file: string,
  { settings: { proxy = {} }, lineOf }: FileReading,
  env: Environment,
  mistakes: string[],
): Secret | undefined {
  const { auth_token: token, auth_token_env: variable } = proxy;
  if (variable === undefined) return token;
  const where = `${file}:${lineOf(["proxy", "auth_token_env"])}: proxy.auth_token_env`;
  if (!env[variable]) mistakes.push(`${where}: environment variable ${variable} is not set, or empty`);
  return tokenOf(where, env[variable], mistakes);
}

/** Set but empty is most often another variable that was not set: serving without a token is not what was meant. */
function tokenOfVariable(env: Environment, mistakes: string[]): Secret | undefined {
  const text = env[TOKEN_VARIABLE];
  if (text === "") mistakes.push(`${TOKEN_VARIABLE}: is set but empty, unset it or put the token into it`);
  return tokenOf(TOKEN_VARIABLE, text, mistakes);
}

/** Absent and empty are the same. */
function tokenOf(where: string, text: string | undefined, mistakes: string[]): Secret | undefined {
  if (text === undefined || text === "") return undefined;
  try {
    return parseToken(text);
  } catch (error) {
    if (!(error instanceof BadSetting)) throw error;
    mistakes.push(`${where}: ${error.message}`);
    return undefined;
  }
}

function merge(
  reading: FileReading,
  flags: Flags,
  token: Secret | undefined,
  env: Environment,
): Omit<Config, "aws"> {
  const { settings } = reading;
  const { proxy = {}, tls = {}, network = {}, log = {}, metrics = {}, credentials = [] } = settings;
  const noAuth = flags.noAuth === true;
  // --ca-dir names another place for the pair that the file names.
  const pair = flags.caDir === undefined ? tls : {};
  return {
    proxy: {
      host: flags.host ?? proxy.host ?? "127.0.0.1",
      port: flags.port ?? proxy.port ?? 0,
      authToken: noAuth ? undefined : token,
      noAuth,
      localHosts: [...(proxy.local_hosts ?? []), ...(flags.advertiseHost ? [flags.advertiseHost] : [])],
      allowedOrigins: proxy.allowed_origins ?? [],
      proxyProtocol: proxy.proxy_protocol ?? false,
    },
    tls: {
      intercept: flags.noIntercept === true ? false : (tls.intercept ?? true),
      caDir: flags.caDir ?? join(env.HOME || homedir(), ".moat", "proxy", "ca"),
      caCert: pair.ca_cert,
      caKey: pair.ca_key,
      upstreamCa: flags.upstreamCa ?? tls.upstream_ca,
      plainPorts: tls.plain_ports ?? PLAIN_PORTS,
      passthrough: tls.passthrough ?? [],
      systemRoots: tls.system_roots ?? false,
      clientCerts: tls.client_certs ?? [],
    },
    credentials: credentials.map((item, i) => credentialOf(item, reading.lineOf(["credentials", i]))),
    extraHeaders: settings.extra_headers ?? [],
    removeHeaders: settings.remove_headers ?? [],
    tokenSubstitutions: (settings.token_substitutions ?? []).map(({ host, placeholder, source }) => ({
      ...{ host, placeholder, source: sourceOf(source) },
    })),
    responseTransformers: settings.response_transformers ?? [],
    relays: settings.relays ?? [],
    mcpServers: (settings.mcp_servers ?? []).map(({ name, url, auth }) => ({
      name,
      url,
      auth: auth === undefined ? undefined : { grant: auth.grant, header: auth.header ?? "Authorization" },
    })),
    network: {
      policy: flags.policy ?? network.policy ?? "permissive",
      allow: [...(network.allow ?? []), ...(flags.allow ?? [])],
      grants: [...(network.grants ?? []), ...(flags.grants ?? [])],
      allowIps: [...(network.allow_ips ?? []), ...(flags.allowIps ?? [])],
      rules: (network.rules ?? []).flatMap((item, i) =>
        item.map(({ host, rules }) => ({
          host,
          rules,
          line: reading.lineOf(["network", "rules", i, ...(rules.length > 0 ? [host] : [])]),
        })),
      ),
      upstreamProxy: network.upstream_proxy,
      denyStatus: network.deny_status ?? 407,
    },
    log: {
      level: flags.logLevel ?? log.level ?? "info",
      format: flags.logFormat ?? log.format ?? "text",
      output: flags.logOutput ?? log.output ?? "stderr",
      captureHeaders: [...new Set(log.capture_headers)],
      query: log.query ?? false,
    },
    limits: limitsOf(settings.limits ?? {}, flags),
    metricsListen: flags.metricsListen ?? metrics.listen,
    readyFile: flags.readyFile,
  };
}

function credentialOf(
  file: NonNullable<FileSettings["credentials"]>[number],
  line: number | undefined,
): CredentialConfig {
  return {
    host: file.host,
    header: file.header ?? "Authorization",
    // An empty prefix is how the reference writes "none".
    prefix: file.prefix || undefined,
    format: file.format ?? "",
    grant: file.grant ?? "",
    allowCleartext: file.allow_cleartext ?? false,
    source: sourceOf(file.source),
    line,
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
    head: {
      maxHeadBytes: file.max_head_bytes ?? DEFAULT_LIMITS.head.maxHeadBytes,
      maxHeadFields: file.max_head_fields ?? DEFAULT_LIMITS.head.maxHeadFields,
    },
  };
}

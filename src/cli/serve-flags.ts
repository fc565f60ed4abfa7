// The flags of serve: one table from which the help text, the strict reader and the settings come, so that they
// cannot differ. What a value may be is decided by config/setting.ts, as for the file. wire.md section 1.

import type { ArgsDef } from "citty";
import {
  parseAwsExternalId,
  parseAwsProfile,
  parseAwsRegion,
  parseAwsRoleArn,
  parseAwsSessionDuration,
} from "../config/aws-schema.ts";
import type { Flags } from "../config/load.ts";
import { LOG_FORMATS, LOG_LEVELS, POLICIES } from "../config/schema.ts";
import {
  BadSetting,
  parseAllowedIp,
  parseChoice,
  parseDuration,
  parseGrant,
  parseHost,
  parseListenAddress,
  parseListenPort,
  parsePath,
  parsePattern,
  parseToken,
} from "../config/setting.ts";
import { type FlagShape, readFlags, UsageError } from "./argv.ts";

interface ServeFlag {
  readonly description: string;
  /** Shown in the help text as the value; a flag without it takes none. */
  readonly hint?: string;
  readonly repeatable?: true;
  /** What this occurrence adds. Throws BadSetting. */
  readonly read: (text: string, soFar: ServeOptions) => Partial<ServeOptions>;
}

/** What the command line of serve says. */
export interface ServeOptions extends Flags {
  /** The config file. */
  readonly config?: string | undefined;
  /** Where the token that clients must present is written, instead of to stdout. */
  readonly tokenOut?: string | undefined;
}

const FLAGS: Readonly<Record<string, ServeFlag>> = {
  config: {
    hint: "file",
    description: "Config file in YAML (also MOAT_PROXY_CONFIG)",
    read: (text) => ({ config: parsePath(text) }),
  },
  port: {
    hint: "n",
    description: "Port to listen on; 0, the default, picks a free one",
    read: (text) => ({ port: parseListenPort(text) }),
  },
  bind: {
    hint: "addr",
    description: "Address to listen on, by default 127.0.0.1",
    read: (text) => ({ host: parseHost(text) }),
  },
  "auth-token": {
    hint: "token",
    description: "Token that clients must present; safer in MOAT_PROXY_AUTH_TOKEN",
    read: (text) => ({ authToken: parseToken(text) }),
  },
  "auth-token-file": {
    hint: "file",
    description: "File that holds that token",
    read: (text) => ({ authTokenFile: parsePath(text) }),
  },
  "no-auth": {
    description: "Ask for no token, even on an address that others can reach",
    read: () => ({ noAuth: true }),
  },
  "token-out": {
    hint: "file",
    description: "The token is written there (0600), not to stdout; without one, one is made",
    read: (text) => ({ tokenOut: parsePath(text) }),
  },
  "advertise-host": {
    hint: "name",
    description: "Host name for clients in the URL on stdout and in the ready file",
    read: (text) => ({ advertiseHost: parseHost(text) }),
  },
  "ca-dir": {
    hint: "dir",
    description: "Directory of ca.crt and ca.key, by default ~/.moat/proxy/ca",
    read: (text) => ({ caDir: parsePath(text) }),
  },
  "no-intercept": {
    description: "No CA: CONNECT becomes an opaque tunnel without credentials",
    read: () => ({ noIntercept: true }),
  },
  policy: {
    hint: POLICIES.join("|"),
    description: "strict allows only --allow and --grant; permissive, the default, allows all",
    read: (text) => ({ policy: parseChoice(text, POLICIES) }),
  },
  allow: {
    hint: "pattern",
    repeatable: true,
    description: "Host that strict allows: api.example.com, *.example.com, host:port",
    read: (text, { allow = [] }) => ({ allow: [...allow, parsePattern(text)] }),
  },
  grant: {
    hint: "name",
    repeatable: true,
    description: "Named group of hosts that strict allows, such as github",
    read: (text, { grants = [] }) => ({ grants: [...grants, parseGrant(text)] }),
  },
  "allow-ip": {
    hint: "cidr",
    repeatable: true,
    description: "Addresses exempt from the built-in deny list, such as 127.0.0.1",
    read: (text, { allowIps = [] }) => ({ allowIps: [...allowIps, parseAllowedIp(text)] }),
  },
  "upstream-ca": {
    hint: "file",
    description: "PEM file with further roots for verifying upstream servers",
    read: (text) => ({ upstreamCa: parsePath(text) }),
  },
  "aws-role-arn": {
    hint: "arn",
    description: "AWS role whose temporary credentials clients get at /_aws/credentials",
    read: (text, { aws }) => ({ aws: { ...aws, roleARN: parseAwsRoleArn(text) } }),
  },
  "aws-region": {
    hint: "region",
    description: "Region of AWS STS, by default us-east-1",
    read: (text, { aws }) => ({ aws: { ...aws, region: parseAwsRegion(text) } }),
  },
  "aws-session-duration": {
    hint: "time",
    description: "How long AWS credentials are good for, 15m, the default, to 12h",
    read: (text, { aws }) => ({ aws: { ...aws, sessionDuration: parseAwsSessionDuration(text) } }),
  },
  "aws-external-id": {
    hint: "id",
    description: "External id that the AWS role asks for",
    read: (text, { aws }) => ({ aws: { ...aws, externalID: parseAwsExternalId(text) } }),
  },
  "aws-profile": {
    hint: "name",
    description: "Profile of the host's AWS config that assumes the role",
    read: (text, { aws }) => ({ aws: { ...aws, profile: parseAwsProfile(text) } }),
  },
  "ready-file": {
    hint: "file",
    description: "Written once listening: JSON with url, port, pid and ca_cert",
    read: (text) => ({ readyFile: parsePath(text) }),
  },
  "drain-timeout": {
    hint: "time",
    description: "How long running requests may take after SIGTERM, by default 5s",
    read: (text) => ({ drainMs: parseDuration(text, 0) }),
  },
  "log-level": {
    hint: LOG_LEVELS.join("|"),
    description: "Least level to log, by default info",
    read: (text) => ({ logLevel: parseChoice(text, LOG_LEVELS) }),
  },
  "log-format": {
    hint: LOG_FORMATS.join("|"),
    description: "text, the default, or json: one object a line",
    read: (text) => ({ logFormat: parseChoice(text, LOG_FORMATS) }),
  },
  "log-output": {
    hint: "stderr|stdout|file",
    description: "Where the log goes, by default stderr; SIGUSR1 opens a file anew",
    read: (text) => ({ logOutput: parsePath(text) }),
  },
  "metrics-listen": {
    hint: "[host:]port",
    description: "Serve /metrics for Prometheus there; a bare port on 127.0.0.1",
    read: (text) => ({ metricsListen: parseListenAddress(text) }),
  },
};

/** Flags of wire.md section 1 that come later. */
const LATER = ["control"];

/** Flags that contradict each other: of each its setting and its name. */
const EXCLUSIVE: readonly (readonly [keyof ServeOptions, string, keyof ServeOptions, string])[] = [
  ["noAuth", "no-auth", "authToken", "auth-token"],
  ["noAuth", "no-auth", "authTokenFile", "auth-token-file"],
  ["noAuth", "no-auth", "tokenOut", "token-out"],
  ["authToken", "auth-token", "authTokenFile", "auth-token-file"],
];

const SHAPES: ReadonlyMap<string, FlagShape> = new Map(
  Object.entries(FLAGS).map(([name, { hint, repeatable }]) => [
    name,
    { takesValue: hint !== undefined, repeatable: repeatable === true },
  ]),
);

/** For citty's help text. */
export const serveArgs: ArgsDef = Object.fromEntries(
  Object.entries(FLAGS).map(([name, { hint, repeatable, description }]) => {
    const text = repeatable ? `${description} (repeatable)` : description;
    return hint === undefined
      ? [name, { type: "boolean" as const, description: text }]
      : [name, { type: "string" as const, valueHint: hint, description: text }];
  }),
);

/** @throws UsageError one line that names the flag, the value unless it is secret, and what was expected */
export function readServeFlags(args: readonly string[]): ServeOptions {
  let options: ServeOptions = {};
  for (const [name, texts] of readFlags(args, SHAPES, LATER)) {
    for (const text of texts) {
      try {
        options = { ...options, ...FLAGS[name]?.read(text, options) };
      } catch (error) {
        if (error instanceof BadSetting) throw new UsageError(`--${name}: ${error.message}`);
        throw error;
      }
    }
  }
  for (const [key, flag, otherKey, other] of EXCLUSIVE) {
    if (options[key] === undefined || options[otherKey] === undefined) continue;
    throw new UsageError(`--${flag}: excludes --${other}, expected one of them`);
  }
  return options;
}

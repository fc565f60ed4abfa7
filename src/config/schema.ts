// The shape of the config file, in zod: unknown input to settings that are validated one by one. It knows no file
// positions and words no structural mistakes (mistakes.ts does); secrets become Secret here. wire.md section 2.

import { z } from "zod";
import {
  BadSetting,
  parseAllowedIp,
  parseChoice,
  parseDuration,
  parseFieldName,
  parseGrant,
  parseHost,
  parseOrigin,
  parsePath,
  parsePattern,
  parseSecret,
  parseToken,
  parseVariable,
} from "./setting.ts";

export const POLICIES = ["strict", "permissive"] as const;
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export const LOG_FORMATS = ["text", "json"] as const;

/** A string that `parse` turns into a setting; what it throws becomes a mistake at this place. */
function setting<T>(parse: (text: string) => T) {
  return z.string().transform((text, context): T => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof BadSetting)) throw error;
      context.addIssue({ code: "custom", message: error.message });
      return z.NEVER;
    }
  });
}

function wholeNumber(min: number, max: number) {
  return z.number().refine((value) => Number.isInteger(value) && value >= min && value <= max, {
    error: `expected a whole number from ${min} to ${max}`,
  });
}

/** Limits of time may not be zero, which would end everything at once; the drain may. */
const timeLimit = setting((text) => parseDuration(text, 1)).optional();
/** Far above what one process can serve, below what would overflow anything. */
const MAX_CONNECTIONS = 1_000_000;
const connectionLimit = wholeNumber(1, MAX_CONNECTIONS).optional();

/** Printable text on one line: user names and labels end in header fields and log lines. */
const label = z.string().refine((text) => text.length <= 256 && !/[^\x20-\x7e]/.test(text), {
  error: "expected at most 256 printable ASCII characters",
});

const source = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("static"), value: setting(parseSecret) }),
  z.strictObject({ type: z.literal("env"), var: setting(parseVariable) }),
]);

const credential = z.strictObject({
  host: setting(parsePattern),
  header: setting(parseFieldName).optional(),
  prefix: label.optional(),
  format: setting((text) => parseChoice(text, ["", "basic"] as const)).optional(),
  grant: label.optional(),
  allow_cleartext: z.boolean().optional(),
  source,
});

export const fileSchema = z.strictObject({
  proxy: z
    .strictObject({
      host: setting(parseHost).optional(),
      port: wholeNumber(0, 65535).optional(),
      auth_token: setting(parseToken).optional(),
      local_hosts: z.array(setting(parseHost)).optional(),
      allowed_origins: z.array(setting(parseOrigin)).optional(),
    })
    .optional(),
  tls: z
    .strictObject({
      ca_cert: setting(parsePath).optional(),
      ca_key: setting(parsePath).optional(),
      intercept: z.boolean().optional(),
      upstream_ca: setting(parsePath).optional(),
      plain_ports: z.array(wholeNumber(1, 65535)).optional(),
    })
    .optional(),
  credentials: z.array(credential).optional(),
  network: z
    .strictObject({
      policy: setting((text) => parseChoice(text, POLICIES)).optional(),
      allow: z.array(setting(parsePattern)).optional(),
      grants: z.array(setting(parseGrant)).optional(),
      allow_ips: z.array(setting(parseAllowedIp)).optional(),
    })
    .optional(),
  limits: z
    .strictObject({
      head_timeout: timeLimit,
      handshake_timeout: timeLimit,
      idle_timeout: timeLimit,
      dial_timeout: timeLimit,
      upstream_tls_timeout: timeLimit,
      response_header_timeout: timeLimit,
      drain_timeout: setting((text) => parseDuration(text, 0)).optional(),
      max_connections: connectionLimit,
      max_connections_per_client: connectionLimit,
    })
    .optional(),
  log: z
    .strictObject({
      level: setting((text) => parseChoice(text, LOG_LEVELS)).optional(),
      format: setting((text) => parseChoice(text, LOG_FORMATS)).optional(),
    })
    .optional(),
});

/** What a file says; absent keys are undefined. */
export type FileSettings = z.output<typeof fileSchema>;

/** Keys that a file may have, by place: list indices written as []. */
export const SUPPORTED_KEYS: Readonly<Record<string, readonly string[]>> = {
  "": Object.keys(fileSchema.shape),
  proxy: Object.keys(fileSchema.shape.proxy.unwrap().shape),
  tls: Object.keys(fileSchema.shape.tls.unwrap().shape),
  "credentials[]": Object.keys(credential.shape),
  network: Object.keys(fileSchema.shape.network.unwrap().shape),
  limits: Object.keys(fileSchema.shape.limits.unwrap().shape),
  log: Object.keys(fileSchema.shape.log.unwrap().shape),
};

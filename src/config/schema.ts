// The shape of the config file, in zod: unknown input to settings that are validated one by one. It knows no file
// positions and words no structural mistakes (mistakes.ts does); secrets become Secret here. The descriptions are
// those of the JSON Schema for editors and of the reference. wire.md section 2.

import { z } from "zod";
import { awsSchema } from "./aws-schema.ts";
import { duration, key, label, setting, wholeNumber } from "./field.ts";
import {
  extraHeader,
  INJECTION_KEYS,
  mcpServer,
  relay,
  removeHeader,
  responseTransformer,
  tokenSubstitution,
  uniquelyNamed,
} from "./injection-schema.ts";
import { rulesSchema } from "./rules-schema.ts";
import {
  parseAllowedIp,
  parseCapturedField,
  parseFieldName,
  parseGrant,
  parseHost,
  parseListenAddress,
  parseOrigin,
  parsePath,
  parsePattern,
  parseProxyUrl,
  parseToken,
  parseVariable,
} from "./setting.ts";
import { sourceSchema } from "./source-schema.ts";

export const POLICIES = ["strict", "permissive"] as const;
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export const LOG_FORMATS = ["text", "json"] as const;

/** Far above what one process can serve, below what would overflow anything. */
const MAX_CONNECTIONS = 1_000_000;
/** More would make a record of the log a copy of the request. */
const MAX_CAPTURED = 10;

const path = setting("path", parsePath);
const pattern = setting("host pattern", parsePattern);
const host = setting("address or host name", parseHost);
/** Limits of time may not be zero, which would end everything at once; the drain may. */
const timeLimit = duration(1);
const connectionLimit = wholeNumber(1, MAX_CONNECTIONS);
/** Below a kilobyte no real client gets through; above a megabyte a head is an attack. */
const headBytes = wholeNumber(1_024, 1_048_576);
const headFields = wholeNumber(10, 2_000);
const port = wholeNumber(1, 65535);

const proxy = z.strictObject({
  host: key(host, "Address to listen on", "127.0.0.1"),
  port: key(wholeNumber(0, 65535), "Port to listen on; 0 lets the operating system pick", 0),
  auth_token: key(setting("token", parseToken), "Token that clients must present"),
  auth_token_env: key(setting("variable name", parseVariable), "Variable that holds that token"),
  proxy_protocol: key(
    z.boolean(),
    "Each connection begins with a PROXY protocol header, version 1 or 2: its address is client_ip and counts for the cap per client",
    false,
  ),
  local_hosts: key(z.array(host), "Further names under which clients address the proxy itself", []),
  allowed_origins: key(
    z.array(setting("origin", parseOrigin)),
    "Web origins whose pages may call the proxy's own endpoints",
    [],
  ),
});

const clientCert = z.strictObject({
  host: pattern.meta({ description: "Upstream hosts that get this certificate" }),
  cert: path.meta({ description: "PEM file with the certificate, and the chain behind it" }),
  key: path.meta({ description: "PEM file with its private key" }),
});

const tls = z.strictObject({
  ca_cert: key(path, "PEM file of a CA of your own; needs ca_key"),
  ca_key: key(path, "PEM file of its private key; needs ca_cert"),
  intercept: key(z.boolean(), "false: CONNECT becomes an opaque tunnel, and no CA is made", true),
  upstream_ca: key(path, "PEM file with further roots for verifying upstream servers"),
  system_roots: key(z.boolean(), "Trust the host's own certificate store as well", false),
  passthrough: key(
    z.array(pattern),
    "Hosts whose CONNECT stays opaque: policy applies, no credential is ever injected",
    [],
  ),
  plain_ports: key(z.array(port), "CONNECT to these ports carries cleartext HTTP", [80]),
  client_certs: key(
    z.array(clientCert).superRefine((certs, context) => {
      certs.forEach((cert, i) => {
        const earlier = certs.findIndex((other) => other.host.toLowerCase() === cert.host.toLowerCase());
        if (earlier === i) return;
        const message = `the same host as client_certs[${earlier}], expected each host once`;
        context.addIssue({ code: "custom", path: [i, "host"], message });
      });
    }),
    "Certificates shown to upstream servers that ask for one",
    [],
  ),
});

const credential = z.strictObject({
  host: pattern.meta({
    description: "Hosts whose requests get the credential; without a port, on every port",
  }),
  header: key(
    setting("header name", (text) => parseFieldName(text)),
    "The field that is set",
    "Authorization",
  ),
  prefix: key(
    label(),
    "Scheme before the secret, by default chosen by the secret; with format basic the user name",
  ),
  format: key(z.enum(["", "basic"]), "basic: Basic and base64 of prefix:secret", ""),
  grant: key(label(), "Names the credential in records"),
  allow_cleartext: key(z.boolean(), "Send it over plain http:// to public addresses too", false),
  source: sourceSchema,
});

const network = z.strictObject({
  policy: key(z.enum(POLICIES), "strict: only allow, grants and rules may be reached", "permissive"),
  allow: key(z.array(pattern), "Hosts that strict allows; without a port on 80 and 443 only", []),
  grants: key(z.array(setting("grant", parseGrant)), "Named groups of hosts that strict allows", []),
  rules: key(rulesSchema, "Method and path rules by host; the first that matches decides", []),
  allow_ips: key(
    z.array(setting("address or CIDR", parseAllowedIp)),
    "Addresses exempt from the built-in list of refused destinations",
    [],
  ),
  upstream_proxy: key(
    setting("proxy URL", parseProxyUrl),
    "http://[user:password@]host:port of a proxy for outgoing connections",
  ),
  deny_status: key(z.literal([407, 403]), "Status of a refusal by policy; 403 sends no challenge", 407),
});

const limits = z.strictObject({
  head_timeout: key(timeLimit, "For a client to send a whole request head", "60s"),
  handshake_timeout: key(timeLimit, "For a client's TLS handshake", "10s"),
  idle_timeout: key(timeLimit, "Between requests of a client connection", "120s"),
  dial_timeout: key(timeLimit, "To resolve and connect an upstream", "10s"),
  upstream_tls_timeout: key(timeLimit, "For an upstream's TLS handshake", "10s"),
  response_header_timeout: key(timeLimit, "Until the first byte of an answer", "15m"),
  drain_timeout: key(duration(0), "For running requests when the proxy stops", "5s"),
  max_head_bytes: key(headBytes, "Bytes of a request or response head; 431 or 502 beyond", 65_536),
  max_head_fields: key(headFields, "Fields of a request or response head; 431 or 502 beyond", 200),
  max_connections: key(connectionLimit, "Client connections in total", 10_000),
  max_connections_per_client: key(connectionLimit, "Client connections of one address", 2_000),
});

const log = z.strictObject({
  level: key(z.enum(LOG_LEVELS), "Least level to log", "info"),
  format: key(z.enum(LOG_FORMATS), "text for people, json for machines", "text"),
  output: key(path, "stderr, stdout or a file, which SIGUSR1 opens anew", "stderr"),
  capture_headers: key(
    z.array(setting("header name", parseCapturedField)).refine((names) => names.length <= MAX_CAPTURED, {
      error: `expected at most ${MAX_CAPTURED} headers`,
    }),
    `Request headers that records show, at most ${MAX_CAPTURED}; none that holds a secret`,
    [],
  ),
  query: key(z.boolean(), "Records show the query of a path", false),
});

/** A bare port is a number in YAML. */
const listenAddress = z
  .union([wholeNumber(0, 65535), setting("[host:]port", parseListenAddress)])
  .transform((value) => (typeof value === "number" ? parseListenAddress(String(value)) : value));

const metrics = z.strictObject({
  listen: key(listenAddress, "[HOST:]PORT where /metrics is served, by default on the loopback address only"),
});

export const fileSchema = z.strictObject({
  proxy: key(proxy, "The listener, and who may use it"),
  tls: key(tls, "Interception, and the trust in upstream servers"),
  credentials: key(z.array(credential), "What is put into requests, by host", []),
  extra_headers: key(z.array(extraHeader), "Headers that are added to requests, by host", []),
  remove_headers: key(z.array(removeHeader), "Headers of the client that go no further, by host", []),
  token_substitutions: key(
    z.array(tokenSubstitution),
    "Placeholders that are replaced by tokens in paths, Authorization and small bodies, by host",
    [],
  ),
  response_transformers: key(z.array(responseTransformer), "What is changed in answers, by host", []),
  relays: key(uniquelyNamed(relay, "relays"), "Upstreams served under a path of the proxy itself", []),
  mcp_servers: key(uniquelyNamed(mcpServer, "mcp_servers"), "MCP servers and their credentials", []),
  network: key(network, "What may be reached"),
  aws: key(awsSchema, "Temporary credentials of an AWS role, served to AWS SDKs"),
  limits: key(limits, "Limits of time and number; durations such as 500ms, 10s, 1m30s"),
  log: key(log, "What is logged, how, and where to"),
  metrics: key(metrics, "Metrics for Prometheus"),
});

/** What a file says; absent keys are undefined. */
export type FileSettings = z.output<typeof fileSchema>;

/** Keys that a file may have, by place: list indices written as []. */
export const SUPPORTED_KEYS: Readonly<Record<string, readonly string[]>> = {
  "": Object.keys(fileSchema.shape),
  proxy: Object.keys(proxy.shape),
  tls: Object.keys(tls.shape),
  "tls.client_certs[]": Object.keys(clientCert.shape),
  "credentials[]": Object.keys(credential.shape),
  ...INJECTION_KEYS,
  network: Object.keys(network.shape),
  aws: Object.keys(awsSchema.shape),
  limits: Object.keys(limits.shape),
  log: Object.keys(log.shape),
  metrics: Object.keys(metrics.shape),
};

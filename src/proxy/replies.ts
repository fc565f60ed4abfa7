// What the proxy answers itself, as plain data and as bytes: refusals, failures, local endpoints. Fixed strings are
// part of the contract (wire.md). A reply never shows an errno, an address or a secret.

import { HeaderList } from "../http1/headers.ts";
import { reasonPhrase } from "../http1/reason-phrase.ts";
import { responseHead } from "../http1/write-head.ts";
import type { ErrorCode, ProxyError } from "../values/errors.ts";

export interface Reply {
  readonly status: number;
  /** Fields beside Content-Type, Content-Length and Connection. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly contentType: string;
  readonly body: string;
}

const TEXT = "text/plain; charset=utf-8";
const BASIC_CHALLENGE = ["Proxy-Authenticate", 'Basic realm="moat-proxy"'] as const;

/** X-Moat-Blocked per code: what a client's tooling switches on. */
const BLOCKED: Partial<Record<ErrorCode, string>> = {
  "network-policy": "network-policy",
  "network-policy-forbidden": "network-policy",
  "request-rule": "request-rule",
  "run-revoked": "run",
  "cleartext-credential": "cleartext-credential",
  destination: "destination",
};

/** The reply an error becomes. @param host the destination as policy saw it; shown for network-policy only */
export function errorReply(error: ProxyError, host: string): Reply {
  const fields: [string, string][] = [];
  const blocked = BLOCKED[error.code];
  if (error.code === "auth-required" || error.code === "invalid-token") fields.push([...BASIC_CHALLENGE]);
  if (error.code === "unauthorized") fields.push(["WWW-Authenticate", 'Bearer realm="moat-proxy"']);
  if (error.code === "network-policy") fields.push(["Proxy-Authenticate", "Moat-Policy"]);
  if (blocked !== undefined) fields.push(["X-Moat-Blocked", blocked]);
  if (error.code === "too-many-connections" || error.code === "too-many-leaves")
    fields.push(["Retry-After", "1"]);
  const body = blocked === "network-policy" ? policyBody(host) : `${error.message}\n`;
  return { status: error.status, fields, contentType: TEXT, body };
}

/** @param bodyless the request was HEAD: Content-Length without the content */
export function replyBytes(reply: Reply, bodyless: boolean, close: boolean): Uint8Array {
  const headers = new HeaderList();
  const content = Buffer.from(reply.body, "utf8");
  headers.push("Content-Type", reply.contentType);
  headers.push("Content-Length", String(content.length));
  for (const [name, value] of reply.fields) headers.push(name, value);
  if (close) headers.push("Connection", "close");
  const head = Buffer.from(responseHead(reply.status, reasonPhrase(reply.status), headers), "latin1");
  return bodyless ? head : Buffer.concat([head, content]);
}

function policyBody(host: string): string {
  return (
    "Moat: request blocked by network policy.\n" +
    `Host "${host}" is not in the allow list.\n` +
    "Add it to network.allow in moat.yaml or use policy: permissive.\n"
  );
}

// The request as the upstream gets it: strip, inject, write, in that order and only here. Pure but for the credential
// slots, which must be filled before. wire.md sections 4 to 6.

import { type ConnectionOptions, forwardRequest } from "../../http1/forwarding.ts";
import type { Framing } from "../../http1/framing.ts";
import type { RequestHead } from "../../http1/head.ts";
import { requestHeadBytes } from "../../http1/write-head.ts";
import { type Credential, inject } from "../../inject/credentials.ts";
import type { RunContext } from "../../run/run-context.ts";
import type { UpstreamTarget } from "../ports.ts";
import type { RequestRecord } from "../record.ts";

/** All that is decided about a request before anything of it is sent. */
export interface ExchangeRequest {
  readonly head: RequestHead;
  readonly framing: Framing;
  readonly options: ConnectionOptions;
  readonly target: UpstreamTarget;
  /** Origin-form target, or `*`. */
  readonly path: string;
  /** What Host becomes; undefined leaves the client's. */
  readonly host: string | undefined;
  readonly webSocket: boolean;
  readonly run: RunContext;
  readonly credentials: readonly Credential[];
  readonly record: RequestRecord;
}

/** RFC 9110 section 9.2.2. */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** Whether sending it twice does no more than sending it once, and it can be sent twice: a body is never kept. */
export function isRepeatable(request: ExchangeRequest): boolean {
  return request.framing.kind === "none" && !request.webSocket && IDEMPOTENT.has(request.head.method);
}

/** A credential that may not cross a public network in the clear is about to. */
export function needsPrivatePeer(request: ExchangeRequest): boolean {
  return (
    request.target.scheme === "http" && request.credentials.some((credential) => !credential.allowCleartext)
  );
}

/** Builds the upstream's head from the client's, in place, and notes in the record what was injected. */
export function upstreamHead(request: ExchangeRequest): Uint8Array {
  const { head, record, credentials } = request;
  const { headers } = head;
  forwardRequest(headers, request.options, {
    chunked: request.framing.kind === "chunked",
    webSocket: request.webSocket,
  });
  if (request.host !== undefined) headers.set("Host", request.host);
  if (headers.get("x-request-id") !== record.requestId || headers.count("x-request-id") > 1) {
    headers.set("X-Request-Id", record.requestId);
  }
  if (credentials.length > 0) {
    inject(headers, credentials);
    record.injectedHeaders = credentials.map((credential) => credential.header);
    record.grants = credentials.map((credential) => credential.grant).filter((grant) => grant !== "");
  }
  return requestHeadBytes(head.method, request.path, headers);
}

/** RFC 9110 sections 15.5.2 and 15.5.4: what an upstream says to a credential that is no longer good. */
export function evictRefused(credentials: readonly Credential[], status: number): void {
  if (status !== 401 && status !== 403) return;
  for (const credential of credentials) credential.evict();
}

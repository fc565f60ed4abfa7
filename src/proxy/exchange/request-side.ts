// The request as the upstream gets it: strip, remove, substitute, inject, add, write, in that order and only here. Pure
// but for the credential slots, which must be filled before. wire.md sections 4 to 6.

import { type ConnectionOptions, forwardRequest } from "../../http1/forwarding.ts";
import type { Framing } from "../../http1/framing.ts";
import type { RequestHead } from "../../http1/head.ts";
import { requestHead } from "../../http1/write-head.ts";
import { type Credential, inject, namesOf, type SecretSlot } from "../../inject/credentials.ts";
import { addExtraHeaders } from "../../inject/extra-headers.ts";
import type { HostInjection } from "../../inject/injection-plan.ts";
import type { McpStub } from "../../inject/mcp-stub.ts";
import { removeHeaders } from "../../inject/remove-headers.ts";
import {
  type Encoded,
  substituteAuthorization,
  substituteBody,
  substitutePath,
} from "../../inject/token-substitution.ts";
import type { RunContext } from "../../run/run-context.ts";
import type { RelayView } from "../local/relay-view.ts";
import type { UpstreamTarget } from "../ports.ts";
import type { RequestRecord } from "../record.ts";
import type { AnswerRewriter } from "./answer-rewriter.ts";
import { hiddenCredential, hiddenToken } from "./hidden.ts";
import type { LeaseTerms } from "./lease.ts";

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
  readonly injection: HostInjection;
  /** Those of the injection that this request gets. */
  readonly credentials: readonly Credential[];
  /** Stubs that the client sent; one whose credential is missing goes on as it came. */
  readonly stubs: readonly McpStub[];
  /** The body is kept until it is whole: tokens are put into it. */
  readonly gather: boolean;
  /** Undefined: the answer goes on as it comes. */
  readonly rewriter: AnswerRewriter | undefined;
  /** The request came over a path of the proxy's own. */
  readonly relay: RelayView | undefined;
  readonly record: RequestRecord;
}

/** RFC 9110 section 9.2.2. */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** Whether sending it twice does no more than sending it once, and it can be sent twice: a body is never kept. */
export function isRepeatable(request: ExchangeRequest): boolean {
  return request.framing.kind === "none" && !request.webSocket && IDEMPOTENT.has(request.head.method);
}

export function leaseTerms(request: ExchangeRequest): LeaseTerms {
  const { run, target } = request;
  return { run, target, privateOnly: needsPrivatePeer(request), repeatable: isRepeatable(request) };
}

/** A credential that may not cross a public network in the clear is about to. */
export function needsPrivatePeer({ target, credentials, stubs, injection }: ExchangeRequest): boolean {
  if (target.scheme === "https") return false;
  return (
    credentials.some((credential) => !credential.allowCleartext) ||
    stubs.some(({ credential }) => credential !== undefined && !credential.allowCleartext) ||
    injection.substitutions.length > 0
  );
}

/** What goes to the upstream first: the head, and the body where it was gathered. */
export interface Opening {
  /** Latin1 text. */
  readonly head: string;
  readonly body: Uint8Array | undefined;
}

/**
 * Builds the upstream's head from the client's, in place, and notes in the record what was injected.
 * @param gathered the client's whole body, if request.gather
 * @throws ProxyError credential-failed
 */
export function opening(request: ExchangeRequest, gathered: Buffer | undefined): Opening {
  const { head, record, injection } = request;
  const { headers } = head;
  const { substitutions } = injection;
  forwardRequest(headers, request.options, {
    chunked: request.framing.kind === "chunked",
    webSocket: request.webSocket,
  });
  if (request.host !== undefined) headers.set("Host", request.host);
  const { relay } = request;
  if (relay !== undefined) headers.removeWhere((key, i) => relay.isOwnAddress(key, headers.values[i] ?? ""));
  if (headers.get("x-request-id") !== record.requestId || headers.count("x-request-id") > 1) {
    headers.set("X-Request-Id", record.requestId);
  }
  if (injection.remove.size > 0) removeHeaders(headers, injection.remove);
  let { path } = request;
  let body: Buffer | undefined;
  let encoded: readonly Encoded[] = [];
  if (substitutions.length > 0) {
    path = substitutePath(path, substitutions);
    encoded = substituteAuthorization(headers, substitutions);
  }
  if (gathered !== undefined) {
    body = substituteBody(gathered, headers.get("content-type"), substitutions);
    headers.set("Content-Length", String(body.length));
    // The body follows at once, and who waits for the 100 has heard it from us.
    if (headers.get("expect")?.toLowerCase() === "100-continue") headers.remove("expect");
  }
  const injected = injectCredentials(request);
  record.message?.hide([
    ...injected.flatMap(hiddenCredential),
    ...substitutions.flatMap(hiddenToken),
    ...encoded,
    ...(request.relay?.hidden ?? []),
  ]);
  request.rewriter?.prepareRequest(headers, encoded);
  return { head: requestHead(head.method, path, headers), body };
}

function injectCredentials(request: ExchangeRequest): readonly Credential[] {
  const { head, record, injection } = request;
  const { headers } = head;
  const injected = request.stubs.length === 0 ? request.credentials : withStubs(request);
  if (injected.length > 0) {
    inject(headers, injected);
    const { headers: names, grants } = namesOf(injected);
    record.injectedHeaders = names;
    record.grants = grants;
  }
  if (injection.extra.length > 0) addExtraHeaders(headers, injection.extra, fieldNames(injected));
  return injected;
}

function withStubs({ credentials, stubs }: ExchangeRequest): readonly Credential[] {
  const stubbed = stubs.flatMap(({ credential }) =>
    credential !== undefined && isAtHand(credential) ? [credential] : [],
  );
  return stubbed.length === 0 ? credentials : [...credentials, ...stubbed];
}

/** Lower-case names of the fields that are decided here; a trailer may not add to them. */
export function injectedNames({ credentials, stubs }: ExchangeRequest): ReadonlySet<string> | undefined {
  if (credentials.length === 0 && stubs.length === 0) return undefined;
  return new Set([...credentials.map(({ key }) => key), ...stubs.map(({ key }) => key)]);
}

/** RFC 9110 sections 15.5.2 and 15.5.4: what an upstream says to a credential that is no longer good. */
export function evictRefused(request: ExchangeRequest, status: number): void {
  if (status !== 401 && status !== 403) return;
  for (const credential of request.credentials) credential.evict();
  for (const { credential } of request.stubs) credential?.evict();
  for (const substitution of request.injection.substitutions) substitution.evict();
}

/** The secret can be had without waiting. */
export function isAtHand({ slot }: { readonly slot: SecretSlot }): boolean {
  return slot.current() !== undefined;
}

function fieldNames(credentials: readonly Credential[]): ReadonlySet<string> {
  return new Set(credentials.map(({ key }) => key));
}

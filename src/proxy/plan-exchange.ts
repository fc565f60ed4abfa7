// From a head, its route and its run to an exchange that may start, or to the refusal: network policy, literal
// destinations, credentials, in that order; nothing is fetched or resolved before policy has agreed. wire.md 6 to 8.

import { asksForWebSocket } from "../http1/forwarding.ts";
import type { RequestHead } from "../http1/head.ts";
import { type Credential, choose } from "../inject/credentials.ts";
import { type HostInjection, NO_INJECTION } from "../inject/injection-plan.ts";
import { type McpStub, stubsIn } from "../inject/mcp-stub.ts";
import { requestVerdict, ruledVerdict } from "../policy/verdict.ts";
import type { AnyTransformer, RunContext } from "../run/run-context.ts";
import { ProxyError } from "../values/errors.ts";
import type { Current } from "./decision.ts";
import { AnswerRewriter } from "./exchange/answer-rewriter.ts";
import { whyNotGathered } from "./exchange/gathering.ts";
import type { ExchangeRequest } from "./exchange/request-side.ts";
import type { RelayView } from "./local/relay-view.ts";
import type { Upstreams, UpstreamTarget } from "./ports.ts";
import { policyRefusal, ruleRefusal } from "./refusals.ts";

/** Where a request goes, and how it came. */
export interface Way {
  readonly target: UpstreamTarget;
  /** Origin-form target, or `*`. */
  readonly path: string;
  /** What Host becomes; undefined leaves the client's own field as it came. */
  readonly host: string | undefined;
  readonly inTunnel: boolean;
  /** The operator named this upstream as a relay or MCP server, which admits its host. */
  readonly relay?: { readonly view: RelayView; readonly credential: Credential | undefined } | undefined;
}

/** @throws ProxyError network-policy, request-rule, destination, malformed-request */
export function planExchange(
  current: Current,
  way: Way,
  run: RunContext,
  upstreams: Upstreams,
): ExchangeRequest {
  const { head, framing, options, record } = current;
  const { target, path, host, relay } = way;
  refuseByPolicy(run, way, head);
  const refusal = upstreams.refusal(target);
  if (refusal !== undefined) throw refusal;
  const webSocket = asksForWebSocket(head, options);
  // A body before the switch would be read by one side as WebSocket frames.
  if (webSocket && framing.kind !== "none") {
    throw new ProxyError("malformed-request", "a WebSocket upgrade has no body");
  }
  // A host whose tunnels are left alone gets no credential on any other way either.
  const plain = run.passthrough.lookup(target.authority) === true;
  const injection = plain ? NO_INJECTION : run.injection.lookup(target.key, target.authority);
  const credentials = chosenCredentials(injection, head, relay?.credential);
  const transformers = plain
    ? NO_TRANSFORMERS
    : (run.transformers.lookup(target.authority) ?? NO_TRANSFORMERS);
  const stubs = relay === undefined ? stubsIn(injection.stubs, head.headers) : NO_INJECTION.stubs;
  const given = stubs.length === 0 ? credentials : [...credentials, ...credentialsOf(stubs)];
  return {
    ...{ head, framing, options, target, path, host, webSocket, run, record, injection, credentials, stubs },
    gather: gathers(current, injection),
    rewriter: rewriterFor(head, way, injection, transformers, given),
    relay: relay?.view,
  };
}

/** The credential of an MCP server stands before all others of its field. */
function chosenCredentials(
  injection: HostInjection,
  head: RequestHead,
  own: Credential | undefined,
): readonly Credential[] {
  const chosen = choose(injection.credentials, head.headers);
  return own === undefined ? chosen : [...chosen.filter(({ key }) => key !== own.key), own];
}

function credentialsOf(stubs: readonly McpStub[]): readonly Credential[] {
  return stubs.flatMap(({ credential }) => (credential === undefined ? [] : [credential]));
}

/** Notes in the record why a body goes on without its tokens. */
function gathers({ head, framing, record }: Current, injection: HostInjection): boolean {
  if (injection.substitutions.length === 0 || framing.kind === "none") return false;
  record.substitutionSkipped = whyNotGathered(head, framing);
  return record.substitutionSkipped === undefined;
}

function rewriterFor(
  head: RequestHead,
  way: Way,
  { substitutions }: HostInjection,
  transformers: readonly AnyTransformer[],
  credentials: readonly Credential[],
): AnswerRewriter | undefined {
  const relay = way.relay?.view;
  // Nearly every request.
  if (substitutions.length === 0 && transformers.length === 0 && relay === undefined) return undefined;
  const { scheme, display } = way.target;
  // A copy: the head becomes the upstream's, and what is put into it is not for transformers to see.
  const headers = head.headers.clone();
  const request = { method: head.method, scheme, host: display, path: way.path, headers };
  return new AnswerRewriter({ request, transformers, substitutions, credentials, relay });
}

function refuseByPolicy(run: RunContext, way: Way, head: RequestHead): void {
  const { target, path, inTunnel, relay } = way;
  const judge = relay === undefined ? requestVerdict : ruledVerdict;
  const verdict = judge(run, target.authority, head.method, path, head.headers);
  if (verdict.kind === "host-denied") throw policyRefusal(inTunnel, target.display, run.denyStatus);
  if (verdict.kind === "request-denied") throw ruleRefusal(verdict.reason);
}

const NO_TRANSFORMERS: readonly AnyTransformer[] = Object.freeze([]);

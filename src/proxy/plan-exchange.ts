// From a head, its route and its run to an exchange that may start, or to the refusal: network policy, literal
// destinations, credentials, in that order; nothing is fetched or resolved before policy has agreed. wire.md 6 to 8.

import { asksForWebSocket } from "../http1/forwarding.ts";
import type { RequestHead } from "../http1/head.ts";
import { type Credential, choose } from "../inject/credentials.ts";
import { type HostInjection, NO_INJECTION } from "../inject/injection-plan.ts";
import { type McpStub, stubsIn } from "../inject/mcp-stub.ts";
import { ruledVerdict } from "../policy/verdict.ts";
import type { RunContext } from "../run/run-context.ts";
import type { AnyTransformer } from "../transform/body-stage.ts";
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
}

/** The operator named this upstream as a relay or MCP server, which admits its host. */
export interface RelayWay {
  readonly view: RelayView;
  readonly credential: Credential | undefined;
}

/** @throws ProxyError network-policy, request-rule, destination, malformed-request */
export function planExchange(
  current: Current,
  way: Way,
  inTunnel: boolean,
  relay: RelayWay | undefined,
  run: RunContext,
  upstreams: Upstreams,
): ExchangeRequest {
  const { head, framing, options, record } = current;
  const { target, path, host } = way;
  const plan = run.hosts.lookup(target.key, target.authority);
  if (!plan.admitted && relay === undefined) throw policyRefusal(inTunnel, target.display, run.denyStatus);
  if (plan.ruled) refuseByRules(run, way, head);
  const refusal = upstreams.refusal(target);
  if (refusal !== undefined) throw refusal;
  const webSocket = asksForWebSocket(head, options);
  // A body before the switch would be read by one side as WebSocket frames.
  if (webSocket && framing.kind !== "none") {
    throw new ProxyError("malformed-request", "a WebSocket upgrade has no body");
  }
  const { injection, transformers } = plan;
  const credentials = chosenCredentials(injection, head, relay?.credential);
  const stubs = relay === undefined ? stubsIn(injection.stubs, head.headers) : NO_INJECTION.stubs;
  const given = stubs.length === 0 ? credentials : [...credentials, ...credentialsOf(stubs)];
  return {
    head,
    framing,
    options,
    target,
    path,
    host,
    webSocket,
    run,
    record,
    injection,
    credentials,
    stubs,
    gather: gathers(current, injection),
    rewriter: rewriterFor(head, way, relay?.view, injection, transformers, given),
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
  relay: RelayView | undefined,
  { substitutions }: HostInjection,
  transformers: readonly AnyTransformer[],
  credentials: readonly Credential[],
): AnswerRewriter | undefined {
  // Nearly every request.
  if (substitutions.length === 0 && transformers.length === 0 && relay === undefined) return undefined;
  const { scheme, display } = way.target;
  // A copy: the head becomes the upstream's, and what is put into it is not for transformers to see.
  const headers = head.headers.clone();
  const request = { method: head.method, scheme, host: display, path: way.path, headers };
  return new AnswerRewriter({ request, transformers, substitutions, credentials, relay });
}

function refuseByRules(run: RunContext, { target, path }: Way, head: RequestHead): void {
  const verdict = ruledVerdict(run, target.authority, head.method, path, head.headers);
  if (verdict.kind === "request-denied") throw ruleRefusal(verdict.reason);
}

// From a head, its route and its run to an exchange that may start, or to the refusal: network policy, literal
// destinations, credentials, in that order; nothing is fetched or resolved before policy has agreed. wire.md 6 to 8.

import { asksForWebSocket, type ConnectionOptions } from "../http1/forwarding.ts";
import type { Framing } from "../http1/framing.ts";
import type { RequestHead } from "../http1/head.ts";
import { choose } from "../inject/credentials.ts";
import { requestVerdict } from "../policy/verdict.ts";
import type { RunContext } from "../run/run-context.ts";
import { ProxyError } from "../values/errors.ts";
import type { ExchangeRequest } from "./exchange/request-side.ts";
import type { Upstreams, UpstreamTarget } from "./ports.ts";
import type { RequestRecord } from "./record.ts";
import { policyRefusal, ruleRefusal } from "./refusals.ts";
import type { Route } from "./route.ts";

/** A request whose head has been read. */
export interface Current {
  readonly head: RequestHead;
  readonly framing: Framing;
  readonly options: ConnectionOptions;
  readonly record: RequestRecord;
}

/** @throws ProxyError network-policy, request-rule, destination, malformed-request */
export function planExchange(
  current: Current,
  route: Route & { kind: "forward" },
  run: RunContext,
  inTunnel: boolean,
  upstreams: Upstreams,
): ExchangeRequest {
  const { head, framing, options, record } = current;
  const { target, path, host } = route;
  refuseByPolicy(run, target, head, path, inTunnel);
  const refusal = upstreams.refusal(target);
  if (refusal !== undefined) throw refusal;
  const webSocket = asksForWebSocket(head, options);
  // A body before the switch would be read by one side as WebSocket frames.
  if (webSocket && framing.kind !== "none") {
    throw new ProxyError("malformed-request", "a WebSocket upgrade has no body");
  }
  // A host whose tunnels are left alone gets no credential on any other way either.
  const plain = run.passthrough.lookup(target.authority) === true;
  const credentials = plain ? [] : choose(run.credentials.lookup(target.authority), head.headers);
  return { head, framing, options, target, path, host, webSocket, run, credentials, record };
}

function refuseByPolicy(
  run: RunContext,
  target: UpstreamTarget,
  head: RequestHead,
  path: string,
  inTunnel: boolean,
): void {
  const verdict = requestVerdict(run, target.authority, head.method, path, head.headers);
  if (verdict.kind === "host-denied") throw policyRefusal(inTunnel, target.display, run.denyStatus);
  if (verdict.kind === "request-denied") throw ruleRefusal(verdict.reason);
}

// What becomes of a request whose head has been read: who asks, with which run, and then a reply of our own, a tunnel
// or an exchange. Decides only; the session acts. wire.md sections 4 to 6.

import { readProxyToken } from "../policy/client-auth.ts";
import type { RunContext } from "../run/run-context.ts";
import { ProxyError } from "../values/errors.ts";
import type { Current, Decision, DecisionSink } from "./decision.ts";
import { decideLocally, isLocal } from "./local/dispatch-local.ts";
import { planExchange } from "./plan-exchange.ts";
import type { Cancellable, UpstreamTarget } from "./ports.ts";
import { pathOf } from "./record.ts";
import { runRefusal } from "./refusals.ts";
import { route, upstreamTarget } from "./route.ts";
import type { Peer, SessionDeps } from "./session-deps.ts";
import { decideLater } from "./suspend.ts";

/**
 * Decides at once where the run is at hand; where it is awaited, the sink hears of it later.
 * @returns the decision, or what cancels the wait. Throws ProxyError.
 */
export function decide(
  current: Current,
  peer: Peer,
  pinned: UpstreamTarget | undefined,
  deps: SessionDeps,
  sink: DecisionSink,
): Decision | Cancellable {
  if (isLocal(current.head, pinned)) return decideLocally(current, peer, deps, sink);
  if (pinned === undefined) showToken(current, peer, deps);
  const run = deps.runs.lookup(peer.token);
  if (!(run instanceof Promise)) return dispatch(current, peer, run, pinned, deps);
  return decideLater(run, sink, (found) => dispatch(current, peer, found, pinned, deps));
}

/** Outside a tunnel the head shows the token; inside one the CONNECT showed it. @throws ProxyError auth-required */
function showToken({ head }: Current, peer: Peer, deps: SessionDeps): void {
  const { token, user } = readProxyToken(head.headers);
  peer.token = token;
  peer.user = user;
  if (token === undefined && deps.runs.authRequired) {
    throw new ProxyError("auth-required", "Proxy authentication required");
  }
}

/** @throws ProxyError for everything that keeps the request from going on */
function dispatch(
  current: Current,
  peer: Peer,
  run: RunContext | undefined,
  pinned: UpstreamTarget | undefined,
  deps: SessionDeps,
): Decision {
  const { head, record } = current;
  const inTunnel = pinned !== undefined;
  if (run === undefined) throw runRefusal(inTunnel);
  record.runId = run.runId;
  // Only now: what a client that is not let in puts there may be the token in the wrong place.
  record.userId = peer.user;
  const way = route(head, pinned);
  switch (way.kind) {
    case "local":
      // Told apart before: isLocal() knows every target that the route takes for one.
      throw new ProxyError("malformed-request", "invalid request target");
    case "connect":
      record.host = upstreamTarget("https", way.authority).display;
      record.path = "";
      return { kind: "connect", authority: way.authority, run };
    case "forward":
      record.host = way.target.display;
      if (way.path !== head.target) record.path = pathOf(way.path);
      return {
        kind: "exchange",
        request: planExchange(current, way, inTunnel, undefined, run, deps.upstreams),
      };
  }
}

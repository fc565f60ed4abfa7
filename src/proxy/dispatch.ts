// What becomes of a request whose head has been read: who asks, with which run, and then a reply of our own, a tunnel
// or an exchange. Decides only; the session acts. wire.md sections 4 to 6.

import type { RequestHead } from "../http1/head.ts";
import { readProxyToken } from "../policy/client-auth.ts";
import type { RunContext } from "../run/run-context.ts";
import type { Authority } from "../values/authority.ts";
import { ProxyError } from "../values/errors.ts";
import type { ExchangeRequest } from "./exchange/request-side.ts";
import { type Current, planExchange } from "./plan-exchange.ts";
import type { Cancellable, UpstreamTarget } from "./ports.ts";
import { pathOf } from "./record.ts";
import { runRefusal } from "./refusals.ts";
import type { Reply } from "./replies.ts";
import { route, upstreamTarget } from "./route.ts";
import type { Peer, SessionDeps } from "./session-deps.ts";
import { suspend } from "./suspend.ts";

export type Decision =
  | { readonly kind: "reply"; readonly reply: Reply }
  | { readonly kind: "connect"; readonly authority: Authority; readonly run: RunContext }
  | { readonly kind: "exchange"; readonly request: ExchangeRequest };

/** Host shown in the record of a request to the proxy itself. */
const SELF = "moat-proxy";

/** A request to the proxy itself: origin-form on the outer connection, whatever its path. */
function isLocal(head: RequestHead, pinned: UpstreamTarget | undefined): boolean {
  return pinned === undefined && (head.target.startsWith("/") || head.target === "*");
}

/** @throws ProxyError as LocalEndpoints.answer */
function answerLocally(current: Current, deps: SessionDeps): Reply {
  current.record.host = SELF;
  current.record.local = true;
  route(current.head, undefined);
  return deps.local.answer(current.head);
}

/** Who acts on a decision that had to wait. */
export interface DecisionSink {
  /** @param outcome gives the decision, or throws why there is none */
  onDecided(outcome: () => Decision): void;
}

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
  if (isLocal(current.head, pinned)) return { kind: "reply", reply: answerLocally(current, deps) };
  const run = findRun(current, peer, pinned, deps);
  if (!(run instanceof Promise)) return dispatch(current, peer, run, pinned, deps);
  return suspend(
    run,
    (found) => sink.onDecided(() => dispatch(current, peer, found, pinned, deps)),
    (error) =>
      sink.onDecided(() => {
        throw error;
      }),
  );
}

/**
 * The run of whoever asks. Outside a tunnel the head shows the token, inside one the CONNECT showed it; either way it
 * is looked up now. @throws ProxyError auth-required, malformed-request
 */
function findRun(
  current: Current,
  peer: Peer,
  pinned: UpstreamTarget | undefined,
  deps: SessionDeps,
): RunContext | undefined | Promise<RunContext | undefined> {
  if (pinned === undefined) {
    const { token, user } = readProxyToken(current.head.headers);
    peer.token = token;
    peer.user = user;
    if (token === undefined && deps.runs.authRequired) {
      throw new ProxyError("auth-required", "Proxy authentication required");
    }
  }
  return deps.runs.lookup(peer.token);
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
  if (run === undefined) throw runRefusal(pinned !== undefined);
  record.runId = run.runId;
  // Only now: what a client that is not let in puts there may be the token in the wrong place.
  record.userId = peer.user;
  const way = route(head, pinned);
  switch (way.kind) {
    case "local":
      return { kind: "reply", reply: answerLocally(current, deps) };
    case "connect":
      record.host = upstreamTarget("https", way.authority).display;
      record.path = "";
      return { kind: "connect", authority: way.authority, run };
    case "forward":
      record.host = way.target.display;
      if (way.path !== head.target) record.path = pathOf(way.path);
      return {
        kind: "exchange",
        request: planExchange(current, way, run, pinned !== undefined, deps.upstreams),
      };
  }
}

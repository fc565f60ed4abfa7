// Requests to the proxy itself: which endpoint, who may use it, and what it makes of them. A relay's request becomes an
// exchange like any other. wire.md sections 5 and 9 to 11.

import type { RequestHead } from "../../http1/head.ts";
import { readProxyToken } from "../../policy/client-auth.ts";
import { joinPath, type RelayTarget } from "../../run/relay-target.ts";
import type { RunContext } from "../../run/run-context.ts";
import { ProxyError } from "../../values/errors.ts";
import type { Current, Decision, DecisionSink } from "../decision.ts";
import { planExchange } from "../plan-exchange.ts";
import type { Cancellable, UpstreamTarget } from "../ports.ts";
import { hideToken, MAX_PATH } from "../record.ts";
import { runRefusal } from "../refusals.ts";
import { route, upstreamTarget } from "../route.ts";
import type { Peer, SessionDeps } from "../session-deps.ts";
import { decideLater } from "../suspend.ts";
import { decideAws, isAwsPath } from "./aws.ts";
import { parseRelayPath, type RelayPath, refuseDetours, relayKind } from "./relay-path.ts";
import { missingCredential, type RelayKind, RelayView } from "./relay-view.ts";

/** Host shown in the record of a request to the proxy itself. */
const SELF = "moat-proxy";

/** The shape of every token this program makes: 32 bytes in hex. wire.md section 13. */
const OWN_TOKEN = /^[0-9a-f]{64}$/i;

/** A request to the proxy itself: origin-form on the outer connection, whatever its path. */
export function isLocal(head: RequestHead, pinned: UpstreamTarget | undefined): boolean {
  return pinned === undefined && (head.target.startsWith("/") || head.target === "*");
}

/** @throws ProxyError local-host, local-origin, not-found, and what its endpoints throw */
export function decideLocally(
  current: Current,
  peer: Peer,
  deps: SessionDeps,
  sink: DecisionSink,
): Decision | Cancellable {
  const { head, record } = current;
  record.host = SELF;
  record.local = true;
  peer.token = undefined;
  peer.user = undefined;
  route(head, undefined);
  deps.local.admit(head);
  const kind = relayKind(head.target);
  if (kind !== undefined) return decideRelay(kind, current, peer, deps, sink);
  if (isAwsPath(head.target)) return decideAws(current, peer, deps, sink);
  return { kind: "reply", reply: deps.local.answer(head) };
}

function decideRelay(
  kind: RelayKind,
  current: Current,
  peer: Peer,
  deps: SessionDeps,
  sink: DecisionSink,
): Decision | Cancellable {
  const { head, record } = current;
  const shown = readProxyToken(head.headers);
  const withToken = deps.runs.authRequired && shown.token === undefined;
  const path = parseRelayPath(kind, head.target, withToken);
  peer.token = withToken ? path.token : shown.token;
  hideToken(record, peer.token);
  const run = deps.runs.lookup(peer.token);
  const go = (found: RunContext | undefined): Decision => {
    if (found === undefined) throw withToken ? wrongToken() : runRefusal(false);
    record.runId = found.runId;
    if (!withToken) {
      record.userId = shown.user;
      peer.user = shown.user;
    }
    return relay(kind, path, current, peer, found, deps);
  };
  return run instanceof Promise ? decideLater(run, sink, go) : go(run);
}

/** @throws ProxyError not-found, invalid-path, relay-credential, and as planExchange */
function relay(
  kind: RelayKind,
  path: RelayPath,
  current: Current,
  peer: Peer,
  run: RunContext,
  deps: SessionDeps,
): Decision {
  const { name, prefix, sub, query, token } = path;
  const server = kind === "mcp" ? run.mcpServers.get(name) : undefined;
  const to: RelayTarget | undefined = server ?? (kind === "relay" ? deps.local.relays.get(name) : undefined);
  if (to === undefined) throw unknownName(kind, isToken(name, peer) ? "[token]" : name, run);
  const { record } = current;
  record.path = `/${kind}${token === undefined ? "" : "/[token]"}/${name}${sub}`.slice(0, MAX_PATH);
  const stub = server?.stub;
  if (stub !== undefined && stub.credential === undefined) throw missingCredential(stub);
  const announced = deps.local.seal.open(prefix, sub);
  if (announced === undefined) refuseDetours(sub);
  const target = upstreamTarget(to.scheme, to.authority);
  const upstreamPath = announced ?? joinPath(to, sub);
  record.host = target.display;
  const { seal } = deps.local;
  const view = new RelayView({ kind, target: to, prefix, token, path: upstreamPath, seal, stub });
  const way = { target, path: upstreamPath + query, host: target.display };
  const relay = { view, credential: stub?.credential };
  return { kind: "exchange", request: planExchange(current, way, false, relay, run, deps.upstreams) };
}

/** A token in the place of a name, since it has been shown elsewhere or none is due: the message goes to the log too. */
function isToken(name: string, { token }: Peer): boolean {
  return name === token || OWN_TOKEN.test(name);
}

function unknownName(kind: RelayKind, name: string, run: RunContext): ProxyError {
  if (kind === "relay") return new ProxyError("not-found", `MOAT: Unknown relay endpoint '${name}'`);
  const known = [...run.mcpServers.keys()].join(", ") || "none";
  return new ProxyError(
    "not-found",
    `MOAT: MCP server '${name}' not configured. Available servers: ${known}. Check moat.yaml.`,
  );
}

function wrongToken(): ProxyError {
  return new ProxyError("unauthorized", "Invalid token");
}

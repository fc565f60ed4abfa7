// GET /_aws/credentials: the run's handler, or the proxy's, asked in the terms of the web; its answer becomes a reply.
// What a handler throws is told in the log only. wire.md section 11.

import type { RequestHead } from "../../http1/head.ts";
import type { LocalHandler, RunContext } from "../../run/run-context.ts";
import { ProxyError } from "../../values/errors.ts";
import type { Current, Decision, DecisionSink } from "../decision.ts";
import type { Cancellable } from "../ports.ts";
import { hideToken } from "../record.ts";
import type { Reply } from "../replies.ts";
import type { Peer, SessionDeps } from "../session-deps.ts";
import { decideLater } from "../suspend.ts";

const PATH = "/_aws/credentials";
/** Credentials are a kilobyte or two. */
const MAX_REPLY_BYTES = 64 * 1024;
/** Statuses that say nothing here, and whose framing is none. */
const BODYLESS: ReadonlySet<number> = new Set([204, 205, 304]);
const BEARER = /^bearer +/i;
/** Fields of the handler's answer that go on. */
const KEPT = ["WWW-Authenticate", "Cache-Control"];

export function isAwsPath(target: string): boolean {
  return target === PATH || target.startsWith(`${PATH}?`);
}

/** @throws ProxyError unauthorized, not-found, method-not-allowed */
export function decideAws(
  current: Current,
  peer: Peer,
  deps: SessionDeps,
  sink: DecisionSink,
): Decision | Cancellable {
  const { head, record } = current;
  record.proxyType = "aws";
  if (head.method !== "GET" && head.method !== "HEAD") {
    throw new ProxyError("method-not-allowed", "only GET and HEAD are allowed here");
  }
  const { runs } = deps;
  const sent = head.headers.get("authorization");
  if (runs.authRequired && sent === undefined) throw unauthorized("Authorization required");
  peer.token = sent?.replace(BEARER, "").trim();
  hideToken(record, peer.token);
  return decideLater(answerOf(current, runs.lookup(peer.token), deps), sink, (reply) => ({
    kind: "reply",
    reply,
  }));
}

async function answerOf(
  { head, record }: Current,
  lookup: RunContext | undefined | Promise<RunContext | undefined>,
  deps: SessionDeps,
): Promise<Reply> {
  const run = await lookup;
  if (run === undefined) throw unauthorized("Invalid token");
  record.runId = run.runId;
  const handler = run.awsHandler ?? deps.local.awsHandler;
  if (handler === undefined) {
    throw new ProxyError("not-found", "AWS credentials not configured for this run");
  }
  return ask(handler, head);
}

/** @throws ProxyError handler-failed, with what the handler threw or answered wrongly as its cause */
async function ask(handler: LocalHandler, head: RequestHead): Promise<Reply> {
  try {
    const headers = new Headers();
    for (let i = 0; i < head.headers.names.length; i++) {
      headers.append(head.headers.names[i] as string, head.headers.values[i] as string); // parallel arrays
    }
    const request = new Request(`http://moat-proxy${head.target}`, { method: head.method, headers });
    return await replyOf(await handler(request));
  } catch (error) {
    throw new ProxyError("handler-failed", "failed to get credentials", error);
  }
}

/** @param answer of a program in another's hands */
async function replyOf(answer: unknown): Promise<Reply> {
  if (!(answer instanceof Response)) throw new TypeError("it returned something that is no Response");
  if (answer.status < 200 || BODYLESS.has(answer.status)) {
    throw new RangeError(`it answered with the status ${answer.status}`);
  }
  const body = await answer.text();
  if (body.length > MAX_REPLY_BYTES) throw new RangeError("the answer is too large");
  return {
    status: answer.status,
    fields: KEPT.flatMap((name) => {
      const value = answer.headers.get(name);
      return value === null ? [] : [[name, value] as const];
    }),
    contentType: answer.headers.get("content-type") ?? "text/plain; charset=utf-8",
    body,
  };
}

function unauthorized(message: string): ProxyError {
  return new ProxyError("unauthorized", message);
}

// One client connection, outer or inside a tunnel: reads heads, has them dispatched, acts on the decision, and goes on
// to the next request. Decides only what happens next; verdicts are in dispatch.ts, bytes in intake.ts and exchange/.
// wire.md sections 4 to 6 and 14.

import type { BodySink } from "../http1/body-reader.ts";
import type { RequestHead } from "../http1/head.ts";
import type { ProxyError } from "../values/errors.ts";
import { ConnectAttempt, type ConnectOwner, type InnerSession, type InnerTunnel } from "./connect.ts";
import type { Current, Decision, DecisionSink } from "./decision.ts";
import { decide } from "./dispatch.ts";
import { Exchange } from "./exchange/exchange.ts";
import type { ExchangeOwner } from "./exchange/exchange-owner.ts";
import { Farewell } from "./farewell.ts";
import { Intake } from "./intake.ts";
import { asksToPersist, bodyMayCome, MAX_DRAIN_BYTES } from "./persistence.ts";
import type { Cancellable, UpstreamTarget, Wire, WireHandler } from "./ports.ts";
import { readRequest } from "./read-request.ts";
import { Recorder } from "./recorder.ts";
import { asProxyError, headTimeout, runRefusal, runTimeout } from "./refusals.ts";
import { errorReply, type Reply, replyBytes } from "./replies.ts";
import type { Live, Peer, Running, SessionDeps } from "./session-deps.ts";
import { move, type SessionState } from "./session-state.ts";
import { MAX_WAIT_MS } from "./suspend.ts";
import { Tunnel } from "./tunnel.ts";

const NEVER = Number.POSITIVE_INFINITY;

export class ClientSession implements WireHandler, ExchangeOwner, ConnectOwner, DecisionSink, BodySink, Live {
  readonly wire: Wire;
  readonly intake: Intake;
  readonly #deps: SessionDeps;
  readonly #peer: Peer;
  /** Made for the first request that is forwarded: a connection that only opens a tunnel never needs one. */
  #exchange: Exchange | undefined;
  readonly #recorder: Recorder;
  readonly #within: InnerTunnel | undefined;
  /** The tunnel's upstream; undefined on an outer connection. Set by CONNECT to a plain port on the same session. */
  #pinned: UpstreamTarget | undefined;
  #state: SessionState;
  #current: Current | undefined;
  #wait: Cancellable | undefined;
  #ended = false;
  #blocked = false;
  #pumping = false;
  #drained = 0;
  #deadline: number;
  /** Requests read so far. */
  requests = 0;
  running: Running | undefined;

  /** @param tunnel the TLS tunnel this session runs in; its handshake has just begun */
  constructor(deps: SessionDeps, wire: Wire, peer: Peer, tunnel: InnerTunnel | undefined) {
    this.wire = wire;
    this.#deps = deps;
    this.#peer = peer;
    this.#within = tunnel;
    this.#pinned = tunnel?.target;
    this.intake = new Intake(this, deps.limits.head);
    this.#recorder = new Recorder(deps);
    this.#state = tunnel === undefined ? "head" : "securing";
    const { headMs, handshakeMs } = deps.limits;
    this.#deadline = deps.clock.now() + (tunnel === undefined ? headMs : handshakeMs);
    deps.live.add(this);
  }

  onSecured(): void {
    if (this.#state !== "securing") return;
    this.#state = move(this.#state, "head");
    this.#deadline = this.#deps.clock.now() + this.#deps.limits.headMs;
    this.#pump();
  }

  onData(bytes: Uint8Array): void {
    this.intake.push(bytes);
    this.#pump();
  }

  onDrain(): void {
    this.#exchange?.onClientDrain();
    this.#pump();
  }

  onEnd(): void {
    this.#ended = true;
    // A close_notify means the client has gone; a FIN in the clear may be a half-close, its answer is still awaited.
    const tunnelled = this.#pinned?.scheme === "https" || this.#current?.head.method === "CONNECT";
    const gone = tunnelled || !this.intake.bodyDone;
    if (this.#state === "securing" || (this.#state === "busy" && gone)) this.#abandon();
    else this.#pump();
  }

  onClose(): void {
    this.#abandon();
  }

  /** A span of the request body. */
  onBodySpan(bytes: Uint8Array): void {
    if (this.#state === "busy") this.#exchange?.sendBody(bytes);
    else this.#drained += bytes.length;
  }

  clientPersists(): boolean {
    const current = this.#current;
    if (current === undefined || this.#deps.lifecycle.draining || this.#ended) return false;
    return this.bodyMayCome() && asksToPersist(current);
  }

  bodyMayCome(): boolean {
    return bodyMayCome(this.#current, this.intake, this.#exchange?.continued === true);
  }

  onRequestRoom(): void {
    this.#blocked = false;
    this.#pump();
  }

  onAnswered(bodyDone: boolean): void {
    this.#endExchange();
    if (this.#exchange?.closesClient === true) this.#linger();
    else this.#next(bodyDone);
  }

  /** No byte of an answer has been sent: the exchange or the CONNECT ends with a reply of ours. */
  onFailed(error: ProxyError): void {
    if (this.#state !== "busy") return;
    this.#recorder.fail(error);
    this.#reply(errorReply(error, this.#recorder.current?.host ?? ""), error.fatal);
  }

  onAnswerBroken(error: ProxyError): void {
    this.#recorder.fail(error);
    this.#endExchange();
    this.wire.destroy();
    this.#closed();
  }

  onSwitched(upstream: Wire, early: Uint8Array): void {
    this.onHandedOver();
    const owner = { onTunnelClosed: this.onHandoverEnded.bind(this, 101) };
    this.#wait = new Tunnel(owner, this.#deps, this.wire, upstream, this.intake.takeAll(), early);
    if (this.#ended) this.wire.handler.onEnd();
  }

  /** The wire is somebody else's now; `close()` of that one ends this session. */
  onHandedOver(): void {
    this.#state = move(this.#state, "handed-over");
    this.#current = undefined;
    this.#deadline = NEVER;
  }

  /** Cleartext HTTP follows on this wire, all of it for that upstream. */
  onPlainTunnel(target: UpstreamTarget): void {
    this.#pinned = target;
    this.#next(true);
  }

  openInner(wire: Wire, tunnel: InnerTunnel): InnerSession {
    // Each request inside looks the run up for itself.
    this.running = undefined;
    return new ClientSession(this.#deps, wire, { ...this.#peer }, tunnel);
  }

  onHandoverEnded(status: number | undefined, sent: number, received: number, error?: ProxyError): void {
    if (error !== undefined) this.#recorder.fail(error);
    if (status === undefined) this.#recorder.drop();
    else this.#recorder.end(status, sent, received);
    this.#closed();
  }

  /** A decision that had to wait. */
  onDecided(outcome: () => Decision): void {
    this.#wait = undefined;
    this.#deadline = NEVER;
    try {
      this.#act(outcome());
    } catch (error) {
      this.#onThrown(error);
    }
    this.#pump();
  }

  revoke(): void {
    const error = runRefusal(true);
    if (this.#state !== "handed-over") this.#onThrown(error);
    else {
      this.#recorder.fail(error);
      this.#wait?.cancel();
    }
  }

  sweep(now: number): void {
    if (this.#state === "busy" && now >= (this.#exchange?.deadline ?? NEVER)) this.#exchange?.expire();
    if (now < this.#deadline) return;
    if (this.#state === "busy") this.#onThrown(runTimeout());
    else if (this.#state === "head" && this.intake.insideHead) this.#onThrown(headTimeout());
    else if (this.#state === "securing") this.destroy();
    else this.#linger();
  }

  drain(): void {
    if (this.#state === "securing" || (this.#state === "head" && this.intake.idle)) this.#linger();
  }

  destroy(): void {
    if (this.#state === "handed-over") this.#wait?.cancel();
    else this.#abandon();
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    // Each step consumes bytes or changes state; so does a refusal, and what is behind it may be a good request.
    for (let more = true; more; ) {
      try {
        more = this.#step() || this.#flushEndsExchange();
      } catch (error) {
        this.#onThrown(error);
      }
    }
    this.#pumping = false;
    if (!this.intake.empty || this.#blocked) this.wire.pause();
    else if (this.#state !== "handed-over") this.wire.resume();
  }

  // What was read goes on in one write. With the last of a body an early answer may be over.
  #flushEndsExchange(): boolean {
    if (this.#state !== "busy") return false;
    this.#blocked = this.#exchange?.flush() === false;
    return !this.#blocked && this.#current === undefined;
  }

  #step(): boolean {
    switch (this.#state) {
      case "head":
        return this.#readHead();
      case "busy":
        return this.#readBody();
      case "draining":
        return this.#drainBody();
      default:
        return false;
    }
  }

  #readHead(): boolean {
    // A client that does not take its answers gets no further ones.
    if (this.wire.backlog > 0) return false;
    if (this.intake.empty) {
      if (this.#ended) this.#linger();
      return false;
    }
    if (!this.intake.insideHead) this.#deadline = this.#deps.clock.now() + this.#deps.limits.headMs;
    const head = this.intake.readHead();
    if (head === undefined) return false;
    this.#onHead(head);
    return true;
  }

  #readBody(): boolean {
    const intake = this.intake;
    if (this.#exchange?.open !== true || this.#blocked || intake.bodyDone || intake.empty) return false;
    intake.readBody();
    if (intake.bodyDone) this.#exchange.endBody(intake.trailers());
    return true;
  }

  #drainBody(): boolean {
    this.intake.readBody();
    if (this.intake.bodyDone) {
      this.#next(true);
      return true;
    }
    if (this.#drained > MAX_DRAIN_BYTES || this.#ended) this.#linger();
    return false;
  }

  #onHead(head: RequestHead): void {
    this.#state = move(this.#state, "busy");
    this.#deadline = NEVER;
    this.requests++;
    const current = readRequest(head, this.#peer, this.#pinned, this.#recorder);
    this.#current = current;
    this.intake.startBody(current.framing);
    const decision = decide(current, this.#peer, this.#pinned, this.#deps, this);
    if ("kind" in decision) {
      this.#act(decision);
    } else {
      this.#wait = decision;
      this.#deadline = this.#deps.clock.now() + MAX_WAIT_MS;
    }
  }

  #act(decision: Decision): void {
    if (decision.kind === "exchange") {
      const { target, relay } = decision.request;
      const authority = relay === undefined ? target.authority : undefined;
      this.running = { token: this.#peer.token, authority };
      this.#exchange ??= new Exchange(this, this.wire, this.#deps);
      this.#exchange.start(decision.request);
    } else if (decision.kind === "reply") {
      this.#reply(decision.reply);
    } else {
      const { run, authority } = decision;
      const attempt = new ConnectAttempt(this, this.#deps, this.#peer.clientIp, run, authority);
      this.#wait = attempt;
      this.running = { token: this.#peer.token, authority };
      attempt.start();
    }
  }

  // Answers of our own.

  /** Bytes that are no request: there is no head to answer, but the client learns why. */
  #refuseBytes(error: ProxyError): void {
    this.#state = move(this.#state, "busy");
    this.requests++;
    this.#recorder.begin(undefined, this.#peer, this.#pinned === undefined ? "http" : "connect", "");
    this.#recorder.fail(error);
    this.#reply(errorReply(error, ""), true);
  }

  #reply(reply: Reply, fatal = false): void {
    const close = fatal || !this.clientPersists() || this.intake.bodyLeft > MAX_DRAIN_BYTES;
    const bodyless = this.#current?.head.method === "HEAD";
    this.wire.queue(replyBytes(reply, bodyless, close));
    this.wire.flush();
    this.#endRecord(reply.status, bodyless ? 0 : Buffer.byteLength(reply.body));
    if (close) this.#linger();
    else this.#next(this.intake.bodyDone);
  }

  #next(bodyDone: boolean): void {
    this.#blocked = false;
    this.running = undefined;
    this.#wait?.cancel();
    this.#wait = undefined;
    if (bodyDone) {
      this.#current = undefined;
      this.#deadline = this.#deps.clock.now() + this.#deps.limits.idleMs;
      this.#state = move(this.#state, "head");
      if (this.#deps.lifecycle.draining) this.drain();
    } else {
      this.#drained = 0;
      this.#deadline = this.#deps.clock.now() + this.#deps.limits.headMs;
      this.#state = move(this.#state, "draining");
    }
    this.#pump();
  }

  #linger(): void {
    this.#closed();
    new Farewell(this.wire, this.#deps.clock, this.#deps.live, this.#ended);
  }

  /** The client has gone, or is made to go: whatever runs for it stops. */
  #abandon(): void {
    if (this.#state === "closed" || this.#state === "handed-over") return;
    if (this.#state === "busy" && this.#exchange?.active === true) this.#endExchange();
    else if (this.#state === "busy") this.#endRecord(0, 0);
    this.#exchange?.abort();
    this.wire.destroy();
    this.#closed();
  }

  #closed(): void {
    if (this.#state === "closed") return;
    this.#state = move(this.#state, "closed");
    this.#wait?.cancel();
    this.#wait = undefined;
    this.intake.takeAll();
    this.#exchange?.close();
    // A CONNECT to a plain port that no request followed.
    this.#recorder.end(200, 0, 0);
    this.#deps.live.delete(this);
    this.#within?.owner.onInnerClosed(this.requests);
  }

  #endExchange(): void {
    this.#endRecord(this.#exchange?.status ?? 0, this.#exchange?.responseSize ?? 0);
  }

  #endRecord(status: number, responseSize: number): void {
    this.#recorder.end(status, this.intake.bodySize, responseSize);
  }

  // The one catch of the client's direction.
  #onThrown(thrown: unknown): void {
    const error = asProxyError(thrown);
    if (this.#state === "head") {
      this.#refuseBytes(error);
    } else if (this.#state === "draining") {
      this.#linger();
    } else if (this.#state === "busy") {
      if (this.#exchange?.active === true) this.#exchange.fail(error);
      else this.onFailed(error);
    } else {
      this.destroy();
    }
  }
}

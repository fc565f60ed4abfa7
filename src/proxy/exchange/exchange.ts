// One request and its answer, over an upstream connection: secrets ready, connection found or dialled, bytes both
// ways, retried once where that is safe, released at the end. One object per session, reset between requests; proxied
// HTTPS, plain HTTP, relays and MCP servers all run through it. wire.md section 4.

import { forwardTrailers } from "../../http1/forwarding.ts";
import type { HeaderList } from "../../http1/headers.ts";
import { lastChunk, queueSpan } from "../../http1/write-head.ts";
import type { ProxyError } from "../../values/errors.ts";
import { fetchSecrets } from "../fetch-secrets.ts";
import type { Cancellable, Clock, DialHandler, Upstream, Wire, WireHandler } from "../ports.ts";
import { asCredentialFailure, asProxyError, bodyTimeout, upstreamClosed } from "../refusals.ts";
import type { SessionDeps } from "../session-deps.ts";
import { MAX_WAIT_MS, suspend } from "../suspend.ts";
import type { ExchangeOwner } from "./exchange-owner.ts";
import { CONTINUE_HEAD, expectsContinue, Gathering } from "./gathering.ts";
import { Lease } from "./lease.ts";
import { authenticatesConnection } from "./pinning.ts";
import {
  type ExchangeRequest,
  evictRefused,
  injectedNames,
  isRepeatable,
  leaseTerms,
  type Opening,
  opening,
} from "./request-side.ts";
import { ResponseSide } from "./response-side.ts";

/** `gathering`: a small body is kept until it is whole. `open`: the upstream is connected. */
type Phase = "idle" | "gathering" | "waiting" | "open";

const NEVER = Number.POSITIVE_INFINITY;

export class Exchange implements WireHandler, DialHandler {
  readonly #owner: ExchangeOwner;
  readonly #client: Wire;
  readonly #lease: Lease;
  readonly #clock: Clock;
  readonly #responseHeaderMs: number;
  readonly #response: ResponseSide;
  #phase: Phase = "idle";
  #request: ExchangeRequest | undefined;
  #gathering: Gathering | undefined;
  #opening: Opening | undefined;
  #wait: Cancellable | undefined;
  #upstream: Upstream | undefined;
  /** The connection has carried a request before: its server may have closed it without our knowing. */
  #reused = false;
  #acceptedBefore = 0;
  #bodyStarted = false;
  #bodyDone = false;
  #retried = false;
  /** Bytes of the upstream are being read: what comes of them is acted on afterwards. */
  #reading = false;
  /** The upstream said more than it was asked for, or has gone: it serves nobody else. */
  #poisoned = false;
  #stageFailure: ProxyError | undefined;
  /** Clock time at which the upstream has been silent for too long; Infinity once it has answered. */
  deadline = NEVER;

  constructor(owner: ExchangeOwner, client: Wire, { upstreams, clock, limits }: SessionDeps) {
    this.#owner = owner;
    this.#client = client;
    this.#lease = new Lease(upstreams);
    this.#clock = clock;
    this.#responseHeaderMs = limits.responseHeaderMs;
    this.#response = new ResponseSide(client, this, limits.head);
  }

  /** A request is under way. */
  get active(): boolean {
    return this.#phase !== "idle";
  }

  /** Body bytes are taken now. */
  get open(): boolean {
    return this.#phase === "open" || this.#phase === "gathering";
  }

  /** Status sent to the client; 0 before. */
  get status(): number {
    return this.#response.status;
  }

  get responseSize(): number {
    return this.#response.size;
  }

  /** The client has heard 100: it may be sending the body it held back. */
  get continued(): boolean {
    return this.#response.continued;
  }

  get closesClient(): boolean {
    return this.#response.closesClient;
  }

  start(request: ExchangeRequest): void {
    this.#request = request;
    this.#bodyStarted = false;
    this.#bodyDone = request.framing.kind === "none";
    this.#retried = false;
    this.#poisoned = false;
    this.#response.start(request);
    if (!request.gather) this.#proceed(request);
    else this.#gather(request);
  }

  /** Body bytes, framing removed. Call flush() when what is at hand has been given. */
  sendBody(bytes: Uint8Array): void {
    const message = this.#request?.record.message;
    message?.onRequestBody(bytes);
    const wire = this.#upstream?.wire;
    if (this.#phase === "gathering") this.#gathering?.push(bytes);
    else if (wire !== undefined) {
      this.#bodyStarted = true;
      queueSpan(wire, bytes, this.#request?.framing.kind === "chunked", message === undefined);
    }
    this.#extendDeadline();
  }

  endBody(trailers: HeaderList | undefined): void {
    this.#bodyDone = true;
    const request = this.#request;
    if (request === undefined) return;
    this.#extendDeadline();
    // What is gathered had its length announced.
    if (this.#phase === "gathering") this.#proceed(request);
    if (request.framing.kind !== "chunked") return;
    this.#bodyStarted = true;
    if (trailers !== undefined) forwardTrailers(trailers, request.options.nominated, injectedNames(request));
    this.#upstream?.wire.queue(lastChunk(trailers));
  }

  /** Sends what is queued. False: give no more until onRequestRoom. */
  flush(): boolean {
    const wire = this.#upstream?.wire;
    if (this.#phase !== "open" || wire === undefined) return true;
    const room = wire.flush();
    if (room) this.#settle();
    return room;
  }

  /** The client has taken what it was sent. */
  onClientDrain(): void {
    this.#response.resume();
    if (this.#response.hasRoom) this.#upstream?.wire.resume();
  }

  /** The session is over. */
  close(): void {
    this.abort();
    this.#lease.drop();
  }

  /** Gives up: the client has gone, a deadline has passed, or the run was revoked. */
  abort(): void {
    this.#wait?.cancel();
    this.#upstream?.wire.destroy();
    this.#reset();
  }

  /** The deadline has passed. */
  expire(): void {
    if (this.#phase === "open") this.fail(this.#response.lateness());
    else this.fail(this.#phase === "gathering" ? bodyTimeout() : asCredentialFailure(new Error("timed out")));
  }

  onConnected(upstream: Upstream): void {
    this.#wait = undefined;
    this.#attach(upstream);
    this.#owner.onRequestRoom();
    this.flush();
  }

  onDialFailed(error: ProxyError): void {
    this.fail(error);
  }

  onData(bytes: Uint8Array): void {
    const rest = this.#read(bytes);
    if (rest === undefined) return;
    this.#pushOn();
    if (this.#response.switched) this.#switch(rest);
    else {
      this.#poisoned ||= rest.length > 0;
      this.#settle();
    }
  }

  onDrain(): void {
    this.#settle();
    if (this.#phase === "open") this.#owner.onRequestRoom();
  }

  onEnd(): void {
    if (this.#read(undefined) !== undefined) this.onClose();
  }

  // Gone, perhaps without a FIN: then a body that ends with the connection may have been cut, and is not done.
  onClose(): void {
    if (this.#response.upstreamDone) this.#gone();
    else this.#lost();
  }

  clientPersists(): boolean {
    return this.#owner.clientPersists();
  }

  onStageProgress(): void {
    if (this.#reading || this.#phase !== "open") return;
    this.#pushOn();
    this.#settle();
  }

  onStageFailed(error: ProxyError): void {
    if (this.#reading) this.#stageFailure = error;
    else if (this.#phase === "open") this.fail(error);
  }

  /** @param bytes undefined for the upstream's FIN. @returns what was not used; undefined when the exchange has failed */
  #read(bytes: Uint8Array | undefined): Uint8Array | undefined {
    this.#reading = true;
    try {
      const rest = bytes === undefined ? this.#response.end() : this.#response.read(bytes);
      if (this.#stageFailure !== undefined) throw this.#stageFailure;
      return rest;
    } catch (error) {
      this.fail(asProxyError(error));
      return undefined;
    } finally {
      this.#reading = false;
    }
  }

  /** Sends on what has been made of the answer; a full side stops its source. */
  #pushOn(): void {
    const response = this.#response;
    if (response.status !== 0) this.deadline = NEVER;
    else if (response.staged)
      this.deadline = response.stageDeadline(this.#clock.now(), this.deadline, this.#responseHeaderMs);
    const flushed = this.#client.flush();
    if (!flushed) response.pause();
    if (!flushed || !response.hasRoom) this.#upstream?.wire.pause();
    else if (response.staged) this.#upstream?.wire.resume();
  }

  #gather(request: ExchangeRequest): void {
    this.#phase = "gathering";
    this.#gathering = new Gathering(request.framing);
    this.#extendDeadline();
    if (!expectsContinue(request.head)) return;
    this.#client.write(CONTINUE_HEAD);
    this.#response.continued = true;
  }

  #proceed(request: ExchangeRequest): void {
    this.#phase = "waiting";
    const fetching = fetchSecrets(request);
    if (fetching === undefined) {
      this.#connect(request);
      return;
    }
    this.deadline = this.#clock.now() + MAX_WAIT_MS;
    this.#wait = suspend(
      fetching,
      () => {
        this.#connect(request);
        if (this.#phase === "open") this.#owner.onRequestRoom();
      },
      (error) => this.fail(asCredentialFailure(error)),
    );
  }

  #connect(request: ExchangeRequest): void {
    this.deadline = NEVER;
    this.#wait = undefined;
    const terms = leaseTerms(request);
    try {
      const idle = this.#lease.take(terms, this.#retried);
      this.#reused = idle !== undefined;
      if (idle !== undefined) this.#attach(idle);
      else this.#wait = this.#lease.dial(terms, this);
    } catch (error) {
      this.fail(asProxyError(error));
    }
  }

  #attach(upstream: Upstream): void {
    const request = this.#request as ExchangeRequest; // set by start(), cleared only by #reset()
    const { wire } = upstream;
    try {
      this.#opening ??= opening(request, this.#gathering?.whole());
      if (authenticatesConnection(request.head.headers)) this.#lease.pin();
    } catch (error) {
      upstream.wire.destroy();
      this.fail(asProxyError(error));
      return;
    }
    this.#upstream = upstream;
    this.#acceptedBefore = wire.accepted;
    this.#phase = "open";
    wire.handler = this;
    wire.queue(this.#opening.head);
    if (this.#opening.body !== undefined) wire.queue(this.#opening.body);
    this.#extendDeadline();
  }

  // While the client owes a streamed body that no missing 100 holds back, the silence is not the upstream's.
  #extendDeadline(): void {
    if (this.#request === undefined || this.#response.status !== 0 || this.#response.staged) return;
    const held = !this.#bodyStarted && expectsContinue(this.#request.head);
    const owed = this.#phase === "open" && !this.#bodyDone && !held;
    this.deadline = owed ? NEVER : this.#clock.now() + this.#responseHeaderMs;
  }

  // The upstream has gone, its answer complete; a transformer may still be working on it.
  #gone(): void {
    this.#poisoned = true;
    this.#pushOn();
    this.#settle();
  }

  // The upstream closed before its answer was complete.
  #lost(): void {
    const upstream = this.#upstream;
    const request = this.#request;
    if (upstream === undefined || request === undefined) return;
    const unsent = upstream.wire.accepted === this.#acceptedBefore;
    const safe = !this.#response.touched && !this.#bodyStarted && (isRepeatable(request) || unsent);
    upstream.wire.destroy();
    this.#upstream = undefined;
    if (safe && this.#reused && !this.#retried) {
      this.#retried = true;
      this.#phase = "waiting";
      this.#connect(request);
      return;
    }
    this.fail(upstreamClosed());
  }

  // The answer may be complete long before the request is: an upstream that goes on reading gets the rest of it.
  #settle(): void {
    const response = this.#response;
    if (this.#phase !== "open" || !response.complete) return;
    const sent = this.#bodyDone && this.#upstream?.wire.backlog === 0;
    if (
      sent ||
      this.#poisoned ||
      response.endsWithConnection ||
      !response.reusable ||
      !(this.#bodyDone || this.#owner.bodyMayCome())
    )
      this.#finish();
  }

  #finish(): void {
    const upstream = this.#upstream;
    const response = this.#response;
    const bodyDone = this.#bodyDone;
    const reusable = !this.#poisoned && bodyDone && upstream?.wire.backlog === 0 && response.reusable;
    if (response.asksForConnectionAuth) this.#lease.pin();
    if (this.#request !== undefined) evictRefused(this.#request, response.refusal);
    this.#reset();
    if (upstream !== undefined) {
      if (reusable) this.#lease.giveBack(upstream, response.keepAliveMs);
      else upstream.wire.destroy();
    }
    this.#owner.onAnswered(bodyDone);
  }

  #switch(early: Uint8Array): void {
    const wire = this.#upstream?.wire;
    this.#reset();
    if (wire !== undefined) this.#owner.onSwitched(wire, early);
  }

  /** Ends with a reply where none has begun, else with a cut. */
  fail(error: ProxyError): void {
    this.#wait?.cancel();
    const begun = this.#response.status !== 0;
    const told = this.#request?.relay?.explain(error) ?? error;
    this.#upstream?.wire.destroy();
    this.#reset();
    if (begun) this.#owner.onAnswerBroken(told);
    else this.#owner.onFailed(told);
  }

  #reset(): void {
    this.#phase = "idle";
    this.#request = undefined;
    this.#gathering = undefined;
    this.#opening = undefined;
    this.#upstream = undefined;
    this.#wait = undefined;
    this.#stageFailure = undefined;
    this.#response.abort();
    this.deadline = NEVER;
  }
}

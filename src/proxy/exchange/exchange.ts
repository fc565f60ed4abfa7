// One request and its answer, over an upstream connection: credentials ready, connection found or dialled, bytes both
// ways, retried once where that is safe, released at the end. One object per session, reset between requests; proxied
// HTTPS, plain HTTP and whatever comes later all run through it. wire.md section 4.

import { forwardTrailers } from "../../http1/forwarding.ts";
import type { HeaderList } from "../../http1/headers.ts";
import { chunkBytes, lastChunkBytes } from "../../http1/write-head.ts";
import type { Credential } from "../../inject/credentials.ts";
import { ProxyError } from "../../values/errors.ts";
import type { Cancellable, Clock, DialHandler, Upstream, Upstreams, Wire, WireHandler } from "../ports.ts";
import { cleartextRefusal } from "../refusals.ts";
import type { SessionLimits } from "../session-deps.ts";
import { MAX_WAIT_MS, refreshAll, suspend } from "../suspend.ts";
import { authenticatesConnection, PinnedUpstream } from "./pinning.ts";
import {
  type ExchangeRequest,
  evictRefused,
  isRepeatable,
  needsPrivatePeer,
  upstreamHead,
} from "./request-side.ts";
import { ResponseSide } from "./response-side.ts";

/** What the session does for its exchange. */
export interface ExchangeOwner {
  /** May the client's connection carry another request after this answer? */
  clientPersists(): boolean;
  /** Can the rest of the body still come? Not when the client waits for a 100 that it will not get. */
  bodyMayCome(): boolean;
  /** The upstream is connected, or has room again: body bytes may flow. */
  onRequestRoom(): void;
  /** The answer is complete. `bodyDone` false: the client is still sending a body that nobody wants. */
  onAnswered(bodyDone: boolean): void;
  /** No byte of a final answer has been sent: reply with this error. */
  onFailed(error: ProxyError): void;
  /** Part of an answer has been sent and the rest will not come. */
  onAnswerBroken(error: ProxyError): void;
  /** 101: the two wires now belong to a tunnel. `early` came behind the head. */
  onSwitched(upstream: Wire, early: Uint8Array): void;
}

type ExchangeLimits = Pick<SessionLimits, "responseHeaderMs" | "head">;
type Phase = "idle" | "waiting" | "open";

/** Milliseconds: how long a connection may have been idle to get a request that cannot be repeated. */
const FRESH_MS = 2000;
const ANY_AGE = Number.POSITIVE_INFINITY;
const NEVER = Number.POSITIVE_INFINITY;

export class Exchange implements WireHandler, DialHandler {
  readonly #owner: ExchangeOwner;
  readonly #client: Wire;
  readonly #upstreams: Upstreams;
  readonly #clock: Clock;
  readonly #responseHeaderMs: number;
  readonly #response: ResponseSide;
  #phase: Phase = "idle";
  #request: ExchangeRequest | undefined;
  #headBytes: Uint8Array | undefined;
  #wait: Cancellable | undefined;
  #upstream: Upstream | undefined;
  /** Authenticated by NTLM or Negotiate: this session's until it ends. */
  readonly #own = new PinnedUpstream();
  #pinning = false;
  /** The connection has carried a request before: its server may have closed it without our knowing. */
  #reused = false;
  #acceptedBefore = 0;
  #bodyStarted = false;
  #bodyDone = false;
  #retried = false;
  /** Clock time at which the upstream has been silent for too long; Infinity once it has answered. */
  deadline = NEVER;

  constructor(
    owner: ExchangeOwner,
    client: Wire,
    upstreams: Upstreams,
    clock: Clock,
    limits: ExchangeLimits,
  ) {
    this.#owner = owner;
    this.#client = client;
    this.#upstreams = upstreams;
    this.#clock = clock;
    this.#responseHeaderMs = limits.responseHeaderMs;
    this.#response = new ResponseSide(client, owner, limits.head);
  }

  /** A request is under way. */
  get active(): boolean {
    return this.#phase !== "idle";
  }

  /** The upstream takes body bytes now. */
  get open(): boolean {
    return this.#phase === "open";
  }

  /** Status sent to the client; 0 before. */
  get status(): number {
    return this.#response.status;
  }

  get responseSize(): number {
    return this.#response.size;
  }

  /** The upstream said 100: the client may be sending the body it held back. */
  get continued(): boolean {
    return this.#response.continued;
  }

  get closesClient(): boolean {
    return this.#response.closesClient;
  }

  start(request: ExchangeRequest): void {
    this.#request = request;
    this.#headBytes = undefined;
    this.#bodyStarted = false;
    this.#bodyDone = request.framing.kind === "none";
    this.#retried = false;
    this.#phase = "waiting";
    this.#response.start({
      method: request.head.method,
      minor: request.head.minor,
      webSocket: request.webSocket,
    });
    if (request.credentials.every(isAtHand)) this.#connect(request);
    else this.#fetchCredentials(request);
  }

  /** Body bytes, framing removed. Call flush() when what is at hand has been given. */
  sendBody(bytes: Uint8Array): void {
    const wire = this.#upstream?.wire;
    if (wire === undefined) return;
    this.#bodyStarted = true;
    wire.queue(this.#request?.framing.kind === "chunked" ? chunkBytes(bytes) : bytes);
    this.#extendDeadline();
  }

  endBody(trailers: HeaderList | undefined): void {
    this.#bodyDone = true;
    const request = this.#request;
    if (request?.framing.kind !== "chunked") return;
    this.#bodyStarted = true;
    if (trailers !== undefined) forwardTrailers(trailers, request.options.nominated, injectedNames(request));
    this.#upstream?.wire.queue(lastChunkBytes(trailers));
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
    this.#upstream?.wire.resume();
  }

  /** The session is over. */
  close(): void {
    this.abort();
    this.#own.drop();
  }

  /** Gives up: the client has gone, a deadline has passed, or the run was revoked. */
  abort(): void {
    this.#wait?.cancel();
    this.#upstream?.wire.destroy();
    this.#reset();
  }

  /** The deadline has passed. */
  expire(): void {
    const opened = this.#phase === "open";
    this.#wait?.cancel();
    this.#fail(
      opened
        ? new ProxyError("response-timeout", "the upstream did not answer in time")
        : new ProxyError("credential-failed", "credential resolution failed", new Error("timed out")),
    );
  }

  onConnected(upstream: Upstream): void {
    this.#wait = undefined;
    this.#attach(upstream);
    this.#owner.onRequestRoom();
    this.flush();
  }

  onDialFailed(error: ProxyError): void {
    this.#fail(error);
  }

  onData(bytes: Uint8Array): void {
    const response = this.#response;
    let rest: Uint8Array;
    try {
      rest = response.read(bytes);
    } catch (error) {
      this.#fail(asProxyError(error));
      return;
    }
    if (response.status !== 0) this.deadline = NEVER;
    if (!this.#client.flush()) this.#upstream?.wire.pause();
    if (response.switched) this.#switch(rest);
    else if (response.complete && rest.length > 0) this.#finish(true);
    else this.#settle();
  }

  onDrain(): void {
    this.#settle();
    if (this.#phase === "open") this.#owner.onRequestRoom();
  }

  onEnd(): void {
    if (this.#response.end()) {
      this.#client.flush();
      this.#finish(true);
    } else {
      this.#lost();
    }
  }

  // Gone without a FIN: a body that ends with the connection may have been cut.
  onClose(): void {
    if (this.#response.complete) this.#finish(true);
    else this.#lost();
  }

  #fetchCredentials(request: ExchangeRequest): void {
    const missing = request.credentials.filter((credential) => !isAtHand(credential));
    this.deadline = this.#clock.now() + MAX_WAIT_MS;
    this.#wait = suspend(
      refreshAll(missing),
      () => {
        this.#connect(request);
        if (this.#phase === "open") this.#owner.onRequestRoom();
      },
      (error) =>
        this.#fail(
          error instanceof ProxyError
            ? error
            : new ProxyError("credential-failed", "credential resolution failed", error),
        ),
    );
  }

  #connect(request: ExchangeRequest): void {
    this.deadline = NEVER;
    const { run, target } = request;
    const privateOnly = needsPrivatePeer(request);
    const idle = this.#idleUpstream(request, isRepeatable(request));
    this.#reused = idle !== undefined;
    if (idle === undefined) {
      this.#wait = this.#upstreams.dial(run, target, privateOnly, this);
    } else if (privateOnly && !idle.privatePeer) {
      idle.wire.destroy();
      this.#fail(cleartextRefusal());
    } else {
      this.#wait = undefined;
      this.#attach(idle);
    }
  }

  #idleUpstream({ run, target }: ExchangeRequest, repeatable: boolean): Upstream | undefined {
    const own = this.#own.take(run, target);
    this.#pinning = own !== undefined;
    if (own !== undefined || this.#retried) return own;
    return this.#upstreams.take(run, target, repeatable ? ANY_AGE : FRESH_MS);
  }

  #attach(upstream: Upstream): void {
    const request = this.#request as ExchangeRequest; // set by start(), cleared only by #reset()
    const { wire } = upstream;
    try {
      this.#headBytes ??= upstreamHead(request);
      this.#pinning ||= authenticatesConnection(request.head.headers);
    } catch (error) {
      upstream.wire.destroy();
      this.#fail(asProxyError(error));
      return;
    }
    this.#upstream = upstream;
    this.#acceptedBefore = wire.accepted;
    this.#phase = "open";
    wire.handler = this;
    wire.queue(this.#headBytes);
    this.#extendDeadline();
  }

  #extendDeadline(): void {
    if (this.#response.status === 0) this.deadline = this.#clock.now() + this.#responseHeaderMs;
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
      this.deadline = NEVER;
      this.#connect(request);
      return;
    }
    this.#fail(
      new ProxyError("upstream-closed", "the upstream closed the connection without a complete answer"),
    );
  }

  // The answer may be complete long before the request is: an upstream that goes on reading gets the rest of it.
  #settle(): void {
    if (this.#phase !== "open" || !this.#response.complete) return;
    const sent = this.#bodyDone && this.#upstream?.wire.backlog === 0;
    if (
      sent ||
      this.#response.endsWithConnection ||
      !this.#response.upstreamPersists ||
      !(this.#bodyDone || this.#owner.bodyMayCome())
    )
      this.#finish(false);
  }

  #finish(poisoned: boolean): void {
    const upstream = this.#upstream;
    const response = this.#response;
    const bodyDone = this.#bodyDone;
    const sent = bodyDone && upstream?.wire.backlog === 0;
    const reusable = !poisoned && sent && response.upstreamPersists;
    const { keepAliveMs } = response;
    this.#pinning ||= response.asksForConnectionAuth;
    evictRefused(this.#request?.credentials ?? [], response.status);
    this.#reset();
    if (upstream !== undefined) {
      if (!reusable) upstream.wire.destroy();
      else if (this.#pinning) this.#own.keep(upstream);
      else this.#upstreams.release(upstream, keepAliveMs);
    }
    this.#owner.onAnswered(bodyDone);
  }

  #switch(early: Uint8Array): void {
    const wire = this.#upstream?.wire;
    this.#reset();
    if (wire !== undefined) this.#owner.onSwitched(wire, early);
  }

  #fail(error: ProxyError): void {
    const begun = this.#response.status !== 0;
    this.#upstream?.wire.destroy();
    this.#reset();
    if (begun) this.#owner.onAnswerBroken(error);
    else this.#owner.onFailed(error);
  }

  #reset(): void {
    this.#phase = "idle";
    this.#request = undefined;
    this.#headBytes = undefined;
    this.#upstream = undefined;
    this.#wait = undefined;
    this.deadline = NEVER;
  }
}

function isAtHand(credential: Credential): boolean {
  return credential.slot.current() !== undefined;
}

function injectedNames(request: ExchangeRequest): ReadonlySet<string> | undefined {
  if (request.credentials.length === 0) return undefined;
  return new Set(request.credentials.map((credential) => credential.header.toLowerCase()));
}

function asProxyError(error: unknown): ProxyError {
  return error instanceof ProxyError ? error : new ProxyError("internal-error", "internal error", error);
}

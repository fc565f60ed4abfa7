// The answer on its way from upstream bytes to client bytes: heads read, hop-by-hop fields removed, body re-framed for
// what the client speaks, every span passed on as it comes, through a transformer where the host has one. Knows no
// socket but the client's wire. wire.md section 4.

import { BodyReader, type BodySink } from "../../http1/body-reader.ts";
import {
  type ClientConnection,
  type ConnectionOptions,
  connectionOptions,
  forwardResponse,
  forwardTrailers,
} from "../../http1/forwarding.ts";
import { declaredLength, type Framing, isBodyless, responseFraming } from "../../http1/framing.ts";
import type { ResponseHead } from "../../http1/head.ts";
import type { HeadLimits } from "../../http1/limits.ts";
import { ResponseHeadReader } from "../../http1/message-reader.ts";
import { lastChunk, queueSpan, responseHead } from "../../http1/write-head.ts";
import type { BodyStage, StageSink } from "../../transform/body-stage.ts";
import { fitRewrittenBody } from "../../transform/rewritten-head.ts";
import { ProxyError } from "../../values/errors.ts";
import type { Wire } from "../ports.ts";
import { MAX_WAIT_MS } from "../suspend.ts";
import { asksForConnectionAuth } from "./pinning.ts";
import type { ExchangeRequest } from "./request-side.ts";

/** What the answer has to know of its request. */
export type ResponseContext = Pick<ExchangeRequest, "webSocket" | "rewriter"> & {
  readonly head: Pick<ExchangeRequest["head"], "method" | "minor">;
  readonly record: Pick<ExchangeRequest["record"], "message">;
};

export interface ResponseOwner {
  /** Asked once per final head: may the client's connection go on after this answer? */
  clientPersists(): boolean;
  /** A transformer has made something of the answer, or takes more of it. */
  onStageProgress(): void;
  onStageFailed(error: ProxyError): void;
}

const SWITCHING_PROTOCOLS = 101;
const CONTINUE = 100;
const UNAUTHORIZED = 401;
const FORBIDDEN = 403;
/** Interim answers to one request; some servers send progress, none needs more. */
const MAX_INTERIM = 100;
/** `Keep-Alive: timeout=5` (RFC 2068 section 19.7.1.1, still in use). */
const KEEP_ALIVE_TIMEOUT = /(?:^|[,\s])timeout=([0-9]{1,6})(?:$|[,\s])/i;
const NO_OPTIONS: ConnectionOptions = { close: false, keepAlive: false, nominated: undefined };
const NO_CONTEXT: ResponseContext = {
  ...{ head: { method: "", minor: 1 }, webSocket: false, rewriter: undefined },
  record: { message: undefined },
};

export class ResponseSide implements BodySink, StageSink {
  readonly #heads: ResponseHeadReader;
  readonly #body = new BodyReader(this, "bad-response");
  readonly #client: Wire;
  readonly #owner: ResponseOwner;
  #context = NO_CONTEXT;
  #framing: Framing = { kind: "none" };
  #chunked = false;
  #nominated: ReadonlySet<string> | undefined;
  #interim = 0;
  #stage: BodyStage | undefined;
  /** The stage that is being made may speak at once. */
  #staging = false;
  /** The stage has given up: nothing of the answer goes on, least of all as it came. */
  #failed = false;
  /** Bytes that a stage still owes to the length it announced. */
  #owed = 0;
  /** Status of the final head; 0 before it. Interim answers do not count. */
  status = 0;
  /** The same as the upstream sent it. */
  #upstreamStatus = 0;
  /** Body bytes given to the client, without framing. */
  size = 0;
  /** A byte of an answer has been seen: the request may not be repeated. */
  touched = false;
  /** The client has heard 100: it may be sending its body. */
  continued = false;
  /** The upstream switched protocols; what follows is not HTTP. */
  switched = false;
  /** The upstream has said all of its answer. */
  upstreamDone = false;
  /** The client has been given all of it. */
  complete = false;
  /** The stage takes more of the body. */
  hasRoom = true;
  #upstreamPersists = false;
  /** The client's connection ends with this answer. */
  closesClient = false;
  /** The upstream wants its connection authenticated. */
  asksForConnectionAuth = false;
  /** The client knows the end of the body by the end of its connection. */
  endsWithConnection = false;
  /** What the upstream announced in Keep-Alive, milliseconds. */
  keepAliveMs: number | undefined;

  constructor(client: Wire, owner: ResponseOwner, limits?: HeadLimits) {
    this.#heads = new ResponseHeadReader(limits);
    this.#client = client;
    this.#owner = owner;
  }

  start(context: ResponseContext): void {
    this.#context = context;
    this.#heads.reset();
    this.#body.start({ kind: "none" });
    this.#chunked = false;
    this.#stage = undefined;
    this.#staging = false;
    this.#failed = false;
    this.status = 0;
    this.#upstreamStatus = 0;
    this.size = 0;
    this.touched = false;
    this.continued = false;
    this.switched = false;
    this.upstreamDone = false;
    this.complete = false;
    this.hasRoom = true;
    this.#upstreamPersists = false;
    this.closesClient = false;
    this.keepAliveMs = undefined;
    this.asksForConnectionAuth = false;
    this.endsWithConnection = false;
    this.#interim = 0;
  }

  /** The upstream's connection may carry another request. */
  get reusable(): boolean {
    return this.#upstreamPersists && this.upstreamDone;
  }

  /**
   * The upstream's status where it says that a credential is no good; 0 else. A 403 that a transformer has turned into
   * something else was about something else.
   */
  get refusal(): number {
    const status = this.#upstreamStatus;
    return status === UNAUTHORIZED || (status === FORBIDDEN && this.status === FORBIDDEN) ? status : 0;
  }

  /** A transformer works on the answer. */
  get staged(): boolean {
    return this.#stage !== undefined;
  }

  /**
   * Clock time until which a transformer may take to begin its answer: as long as the upstream sends, for it may want
   * the whole body, and then a little, which nothing prolongs.
   * @param deadline as it is  @param silenceMs what an upstream may take
   */
  stageDeadline(now: number, deadline: number, silenceMs: number): number {
    return this.upstreamDone ? Math.min(deadline, now + MAX_WAIT_MS) : now + silenceMs;
  }

  /** What it means that nothing has come for too long. */
  lateness(): ProxyError {
    return this.staged
      ? new ProxyError("transform-failed", "a response transformer did not answer in time")
      : new ProxyError("response-timeout", "the upstream did not answer in time");
  }

  /** Reads until the answer is complete or the bytes are used up; returns what was not used. Throws ProxyError. */
  read(bytes: Uint8Array): Uint8Array {
    let rest = bytes;
    this.touched ||= rest.length > 0;
    while (rest.length > 0 && !this.upstreamDone && !this.switched && !this.#failed) {
      if (this.status === 0 && this.#stage === undefined) {
        rest = skip(rest, this.#heads.read(rest));
        const head = this.#heads.take();
        if (head !== undefined) this.#onHead(head);
      } else {
        rest = skip(rest, this.#body.read(rest));
        if (this.#body.done) this.#endBody();
      }
    }
    return rest;
  }

  /** The upstream sent its FIN: `upstreamDone` then says whether its answer is complete, or missing or cut short. */
  end(): Uint8Array {
    const begun = this.status !== 0 || this.#stage !== undefined;
    if (begun && !this.upstreamDone && this.#body.end()) this.#endBody();
    return EMPTY;
  }

  onBodySpan(bytes: Uint8Array): void {
    // A body that a transformer has replaced is read to its end and dropped.
    if (this.complete || this.#failed) return;
    if (this.#stage === undefined) this.#give(bytes, this.#context.record.message === undefined);
    else if (!this.#stage.write(bytes)) this.hasRoom = false;
  }

  /** The client takes no more for now. */
  pause(): void {
    this.#stage?.pause();
  }

  resume(): void {
    this.#stage?.resume();
  }

  /** Nobody wants the rest of the answer. */
  abort(): void {
    const stage = this.#stage;
    this.#stage = undefined;
    if (!this.complete) stage?.abort();
    // An idle connection keeps nothing of its last request.
    this.#context = NO_CONTEXT;
  }

  // What a transformer says.

  onStageHead(head: ResponseHead): void {
    const bodyless = isBodyless(head.status, this.#context.head.method);
    this.#owed = bodyless ? 0 : (declaredLength(head.headers) ?? Number.POSITIVE_INFINITY);
    this.#sayHead(
      head,
      { ...NO_OPTIONS, nominated: this.#nominated },
      !bodyless && this.#owed === Number.POSITIVE_INFINITY,
    );
    this.#owner.onStageProgress();
  }

  onStageBytes(bytes: Uint8Array): void {
    this.#owed -= bytes.length;
    // Another answer would begin in the middle of what is too much.
    if (this.#owed < 0) {
      this.onStageFailed(transformedWrongly("more"));
      return;
    }
    this.#give(bytes, false);
    this.#owner.onStageProgress();
  }

  onStageRoom(): void {
    this.hasRoom = true;
    this.#owner.onStageProgress();
  }

  onStageEnd(): void {
    if (this.#owed > 0 && this.#owed !== Number.POSITIVE_INFINITY) {
      this.onStageFailed(transformedWrongly("less"));
      return;
    }
    this.#finish();
    this.#owner.onStageProgress();
  }

  onStageFailed(error: ProxyError): void {
    this.#failed = true;
    this.abort();
    this.#owner.onStageFailed(error);
  }

  #onHead(head: ResponseHead): void {
    const options = connectionOptions(head.headers, "bad-response");
    if (head.status === SWITCHING_PROTOCOLS) this.#onSwitch(head, options);
    else if (head.status < 200) this.#onInterim(head, options);
    else this.#onFinal(head, options);
  }

  #onSwitch(head: ResponseHead, options: ConnectionOptions): void {
    // RFC 9110 section 15.2.2: a 101 that was not asked for would hand the connection to a protocol we do not know.
    if (!this.#context.webSocket || head.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      throw new ProxyError("unasked-upgrade", "the upstream switched protocols unasked");
    }
    this.#queueHead(head, options, "upgrade");
    this.#context.record.message?.onResponseHead(head);
    this.status = head.status;
    this.switched = true;
  }

  #onInterim(head: ResponseHead, options: ConnectionOptions): void {
    if (head.status === CONTINUE) this.continued = true;
    if (++this.#interim > MAX_INTERIM) {
      throw new ProxyError("bad-response", "the upstream sent too many interim answers");
    }
    // RFC 9110 section 15.2: never to an HTTP/1.0 client.
    if (this.#context.head.minor === 1) this.#queueHead(head, options, "default");
  }

  #onFinal(head: ResponseHead, options: ConnectionOptions): void {
    const { method } = this.#context.head;
    const { rewriter } = this.#context;
    const framing = responseFraming(head, method);
    this.#framing = framing;
    this.#upstreamStatus = head.status;
    this.#nominated = options.nominated;
    this.#readPersistence(head, options, framing);
    if (head.status === UNAUTHORIZED) this.asksForConnectionAuth = asksForConnectionAuth(head.headers);
    this.#body.start(framing);
    // A transformer's head goes on without what it was told of the upstream's connection.
    if (rewriter !== undefined) head.headers.removeWhere((key) => options.nominated?.has(key) === true);
    this.#staging = rewriter !== undefined;
    this.#stage = rewriter?.begin(head, isBodyless(head.status, method), this);
    this.#staging = false;
    if (this.#stage === undefined) this.#sayHead(head, options, framing.kind === "chunked");
    if (this.#body.done) this.#endBody();
  }

  /** @param unbounded the client cannot be told the length */
  #sayHead(head: ResponseHead, options: ConnectionOptions, unbounded: boolean): void {
    // A body that ends with its connection stays one: a last chunk of ours would vouch for an end that nobody has
    // authenticated, since a cut and an end look alike.
    const staged = this.#staging || this.#stage !== undefined;
    const cut = this.#framing.kind === "close" && (unbounded || !staged);
    this.#chunked = unbounded && !cut && this.#context.head.minor === 1;
    this.endsWithConnection = cut || (unbounded && !this.#chunked);
    this.closesClient = this.endsWithConnection || !this.#owner.clientPersists();
    this.#queueHead(head, options, this.#announcement());
    this.#context.record.message?.onResponseHead(head);
    this.status = head.status;
  }

  #announcement(): ClientConnection {
    if (this.closesClient) return "close";
    return this.#context.head.minor === 0 ? "keep-alive" : "default";
  }

  #readPersistence(head: ResponseHead, options: ConnectionOptions, framing: Framing): void {
    const persistent = head.minor === 1 ? !options.close : options.keepAlive && !options.close;
    this.#upstreamPersists = persistent && framing.kind !== "close";
    const announced = KEEP_ALIVE_TIMEOUT.exec(head.headers.get("keep-alive") ?? "")?.[1];
    if (announced !== undefined) this.keepAliveMs = Number(announced) * 1000;
  }

  #queueHead(head: ResponseHead, options: ConnectionOptions, connection: ClientConnection): void {
    // RFC 9110 section 8.6: these have no content, and a length would make a client wait for it.
    if (head.status < 200 || head.status === 204) head.headers.remove("content-length");
    forwardResponse(head.headers, options, this.#chunked, connection);
    const { rewriter } = this.#context;
    rewriter?.rewriteFields(head.headers);
    const reason = rewriter === undefined ? head.reason : rewriter.shownReason(head.reason);
    this.#client.queue(responseHead(head.status, reason, head.headers));
  }

  /** @param own nobody else uses the bytes: a transformer's may be anyone's */
  #give(bytes: Uint8Array, own: boolean): void {
    this.size += bytes.length;
    this.#context.record.message?.onResponseBody(bytes);
    queueSpan(this.#client, bytes, this.#chunked, own);
  }

  /** The upstream has said all. */
  #endBody(): void {
    this.upstreamDone = true;
    if (this.#failed) return;
    if (this.#stage === undefined) this.#finish();
    else if (!this.complete) this.#stage.end();
  }

  #finish(): void {
    if (this.complete) return;
    this.complete = true;
    if (!this.#chunked) return;
    const own = this.upstreamDone && this.#stage?.replaces !== true;
    const trailers = own ? this.#body.trailers() : undefined;
    if (trailers !== undefined) {
      forwardTrailers(trailers, this.#nominated, undefined);
      if (this.staged) fitRewrittenBody(trailers);
      this.#context.rewriter?.rewriteFields(trailers);
    }
    this.#client.queue(lastChunk(trailers));
  }
}

function transformedWrongly(what: "more" | "less"): ProxyError {
  const cause = new Error(`it gave ${what} bytes than its Content-Length announced`);
  return new ProxyError("transform-failed", "a response transformer failed", cause);
}

function skip(bytes: Uint8Array, count: number): Uint8Array {
  return count === bytes.length ? EMPTY : bytes.subarray(count);
}

const EMPTY = new Uint8Array(0);

// The answer on its way from upstream bytes to client bytes: heads read, hop-by-hop fields removed, body re-framed for
// what the client speaks, every span passed on as it comes. Knows no socket but the client's wire. wire.md section 4.

import { BodyReader, type BodySink } from "../../http1/body-reader.ts";
import {
  type ClientConnection,
  type ConnectionOptions,
  connectionOptions,
  forwardResponse,
  forwardTrailers,
} from "../../http1/forwarding.ts";
import { type Framing, responseFraming } from "../../http1/framing.ts";
import type { ResponseHead } from "../../http1/head.ts";
import type { HeadLimits } from "../../http1/limits.ts";
import { ResponseHeadReader } from "../../http1/message-reader.ts";
import { chunkBytes, lastChunkBytes, responseHeadBytes } from "../../http1/write-head.ts";
import { ProxyError } from "../../values/errors.ts";
import type { Wire } from "../ports.ts";
import { asksForConnectionAuth } from "./pinning.ts";

/** What the answer has to know of its request. */
export interface ResponseContext {
  readonly method: string;
  /** HTTP minor version of the client. */
  readonly minor: 0 | 1;
  readonly webSocket: boolean;
}

export interface ResponseOwner {
  /** Asked once per final head: may the client's connection go on after this answer? */
  clientPersists(): boolean;
}

const SWITCHING_PROTOCOLS = 101;
const CONTINUE = 100;
const UNAUTHORIZED = 401;
/** Interim answers to one request; some servers send progress, none needs more. */
const MAX_INTERIM = 100;
/** `Keep-Alive: timeout=5` (RFC 2068 section 19.7.1.1, still in use). */
const KEEP_ALIVE_TIMEOUT = /(?:^|[,\s])timeout=([0-9]{1,6})(?:$|[,\s])/i;

export class ResponseSide implements BodySink {
  readonly #heads: ResponseHeadReader;
  readonly #body = new BodyReader(this, "bad-response");
  readonly #client: Wire;
  readonly #owner: ResponseOwner;
  #context: ResponseContext = { method: "", minor: 1, webSocket: false };
  #chunked = false;
  #nominated: ReadonlySet<string> | undefined;
  #interim = 0;
  /** Status of the final head; 0 before it. Interim answers do not count. */
  status = 0;
  /** A byte of an answer has been seen: the request may not be repeated. */
  touched = false;
  /** The upstream said 100: the client may be sending its body. */
  continued = false;
  /** The upstream switched protocols; what follows is not HTTP. */
  switched = false;
  complete = false;
  /** The upstream's connection may carry another request. */
  upstreamPersists = false;
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

  get size(): number {
    return this.#body.size;
  }

  start(context: ResponseContext): void {
    this.#context = context;
    this.#heads.reset();
    this.#body.start({ kind: "none" });
    this.#chunked = false;
    this.status = 0;
    this.touched = false;
    this.continued = false;
    this.switched = false;
    this.complete = false;
    this.upstreamPersists = false;
    this.closesClient = false;
    this.keepAliveMs = undefined;
    this.asksForConnectionAuth = false;
    this.endsWithConnection = false;
    this.#interim = 0;
  }

  /** Reads until the answer is complete or the bytes are used up; returns what was not used. Throws ProxyError. */
  read(bytes: Uint8Array): Uint8Array {
    let rest = bytes;
    this.touched ||= rest.length > 0;
    while (rest.length > 0 && !this.complete && !this.switched) {
      if (this.status === 0) {
        rest = skip(rest, this.#heads.read(rest));
        const head = this.#heads.take();
        if (head !== undefined) this.#onHead(head);
      } else {
        rest = skip(rest, this.#body.read(rest));
        if (this.#body.done) this.#finish();
      }
    }
    return rest;
  }

  /** The upstream sent its FIN. True: the answer is complete. False: it is missing or cut short. */
  end(): boolean {
    if (this.status !== 0 && !this.complete && this.#body.end()) this.#finish();
    return this.complete;
  }

  onBodySpan(bytes: Uint8Array): void {
    this.#client.queue(this.#chunked ? chunkBytes(bytes) : bytes);
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
    this.status = head.status;
    this.switched = true;
  }

  #onInterim(head: ResponseHead, options: ConnectionOptions): void {
    if (head.status === CONTINUE) this.continued = true;
    if (++this.#interim > MAX_INTERIM) {
      throw new ProxyError("bad-response", "the upstream sent too many interim answers");
    }
    // RFC 9110 section 15.2: never to an HTTP/1.0 client.
    if (this.#context.minor === 1) this.#queueHead(head, options, "default");
  }

  #onFinal(head: ResponseHead, options: ConnectionOptions): void {
    const framing = responseFraming(head, this.#context.method);
    this.#nominated = options.nominated;
    this.#readPersistence(head, options, framing);
    if (head.status === UNAUTHORIZED) this.asksForConnectionAuth = asksForConnectionAuth(head.headers);
    // A body that ends with its connection stays one: a last chunk of ours would vouch for an end that nobody has
    // authenticated, since a cut and an end look alike.
    this.#chunked = framing.kind === "chunked" && this.#context.minor === 1;
    this.endsWithConnection = framing.kind === "close" || (framing.kind === "chunked" && !this.#chunked);
    this.closesClient = this.endsWithConnection || !this.#owner.clientPersists();
    this.#queueHead(head, options, this.#announcement());
    this.status = head.status;
    this.#body.start(framing);
    if (this.#body.done) this.#finish();
  }

  #announcement(): ClientConnection {
    if (this.closesClient) return "close";
    return this.#context.minor === 0 ? "keep-alive" : "default";
  }

  #readPersistence(head: ResponseHead, options: ConnectionOptions, framing: Framing): void {
    const persistent = head.minor === 1 ? !options.close : options.keepAlive && !options.close;
    this.upstreamPersists = persistent && framing.kind !== "close";
    const announced = KEEP_ALIVE_TIMEOUT.exec(head.headers.get("keep-alive") ?? "")?.[1];
    if (announced !== undefined) this.keepAliveMs = Number(announced) * 1000;
  }

  #queueHead(head: ResponseHead, options: ConnectionOptions, connection: ClientConnection): void {
    // RFC 9110 section 8.6: these have no content, and a length would make a client wait for it.
    if (head.status < 200 || head.status === 204) head.headers.remove("content-length");
    forwardResponse(head.headers, options, this.#chunked, connection);
    this.#client.queue(responseHeadBytes(head.status, head.reason, head.headers));
  }

  #finish(): void {
    this.complete = true;
    if (!this.#chunked) return;
    const trailers = this.#body.trailers();
    if (trailers !== undefined) forwardTrailers(trailers, this.#nominated, undefined);
    this.#client.queue(lastChunkBytes(trailers));
  }
}

function skip(bytes: Uint8Array, count: number): Uint8Array {
  return count === bytes.length ? EMPTY : bytes.subarray(count);
}

const EMPTY = new Uint8Array(0);

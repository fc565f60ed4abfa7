// What a client has sent and nobody has read yet, and the readers of it: one head, then its body, then the next head.
// At most what one or two reads of the socket bring waits here; the session pauses the wire while it does.

import { BodyReader, type BodySink } from "../http1/body-reader.ts";
import type { Framing } from "../http1/framing.ts";
import type { RequestHead } from "../http1/head.ts";
import type { HeaderList } from "../http1/headers.ts";
import type { HeadLimits } from "../http1/limits.ts";
import { RequestHeadReader } from "../http1/message-reader.ts";

const EMPTY = new Uint8Array(0);
const NO_BODY: Framing = { kind: "none" };

export class Intake {
  readonly #heads: RequestHeadReader;
  readonly #body: BodyReader;
  #pending: Uint8Array = EMPTY;

  /** @param sink gets the body spans, framing removed */
  constructor(sink: BodySink, limits?: HeadLimits) {
    this.#heads = new RequestHeadReader(limits);
    this.#body = new BodyReader(sink, "malformed-request");
  }

  push(bytes: Uint8Array): void {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
  }

  get empty(): boolean {
    return this.#pending.length === 0;
  }

  /** Nothing of a next request has arrived. */
  get idle(): boolean {
    return this.empty && !this.#heads.started;
  }

  /** Some bytes of a head have been read, its end has not. */
  get insideHead(): boolean {
    return this.#heads.started;
  }

  get bodyDone(): boolean {
    return this.#body.done;
  }

  /** Body bytes seen of the current request. */
  get bodySize(): number {
    return this.#body.size;
  }

  /** Body bytes that Content-Length still promises. */
  get bodyLeft(): number {
    return this.#body.left;
  }

  /** The next head, if it is complete; its body is yet unknown. Throws ProxyError. */
  readHead(): RequestHead | undefined {
    if (this.empty) return undefined;
    this.#consume(this.#heads.read(this.#pending));
    const head = this.#heads.take();
    if (head !== undefined) this.#body.start(NO_BODY);
    return head;
  }

  startBody(framing: Framing): void {
    this.#body.start(framing);
  }

  /** Gives what is at hand of the body to the sink. Throws ProxyError. */
  readBody(): void {
    if (!this.empty && !this.#body.done) this.#consume(this.#body.read(this.#pending));
  }

  trailers(): HeaderList | undefined {
    return this.#body.trailers();
  }

  /** Hands over what has not been read; the connection is no longer ours to read. */
  takeAll(): Uint8Array {
    const pending = this.#pending;
    this.#pending = EMPTY;
    return pending;
  }

  #consume(count: number): void {
    this.#pending = count === this.#pending.length ? EMPTY : this.#pending.subarray(count);
  }
}

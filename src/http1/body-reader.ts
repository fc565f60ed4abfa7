// A body out of bytes, framing removed, span by span and never gathered. One reader per direction of
// a connection, started anew for each message. RFC 9112 sections 6 and 7.

import { ProxyError } from "../values/errors.ts";
import type { Framing } from "./framing.ts";
import { HeaderList } from "./headers.ts";
import { FRAMING_PER_BODY_BYTE, MAX_CHUNK_OVERHEAD, MAX_FIELDS, MAX_HEAD_BYTES } from "./limits.ts";
import { ChunkedParser, LlhttpError } from "./llhttp.ts";

export interface BodySink {
  /** The bytes are the sink's from then on. */
  onBodySpan(bytes: Uint8Array): void;
}

export class BodyReader {
  readonly #sink: BodySink;
  readonly #blame: "malformed-request" | "bad-response";
  #framing: Framing["kind"] = "none";
  #left = 0;
  #overhead = 0;
  #chunked: ChunkedParser | undefined;
  /** No byte of this message is outstanding. */
  done = true;
  /** Body bytes seen in this message, without framing. */
  size = 0;

  constructor(sink: BodySink, blame: "malformed-request" | "bad-response") {
    this.#sink = sink;
    this.#blame = blame;
  }

  start(framing: Framing): void {
    this.#framing = framing.kind;
    this.done = framing.kind === "none";
    this.size = 0;
    this.#left = framing.kind === "length" ? framing.length : 0;
    if (framing.kind === "chunked") {
      this.#overhead = 0;
      this.#chunked ??= new ChunkedParser(MAX_HEAD_BYTES);
      this.#chunked.start(this);
    }
  }

  /** Bytes that Content-Length still promises; 0 for other framings. */
  get left(): number {
    return this.#left;
  }

  /** Trailer section of a chunked message, once done; undefined when there is none. */
  trailers(): HeaderList | undefined {
    const fields = this.#framing === "chunked" ? this.#chunked?.trailers : undefined;
    if (fields === undefined || fields.length === 0) return undefined;
    const list = new HeaderList();
    for (let i = 0; i < fields.length; i += 2) list.push(fields[i] as string, fields[i + 1] as string);
    return list;
  }

  /** Feeds bytes, returns how many belong to the body. @throws ProxyError with the blame given */
  read(bytes: Uint8Array): number {
    if (this.done) return 0;
    if (this.#framing === "length") return this.#readLength(bytes);
    if (this.#framing === "chunked") return this.#readChunked(bytes);
    const { length } = bytes;
    this.onChunkedSpan(bytes);
    return length;
  }

  /** The peer closed. True: that was the end of the body. False: the body is cut short. */
  end(): boolean {
    if (this.#framing === "close") this.done = true;
    return this.done;
  }

  /** Called by the chunked parser. */
  onChunkedSpan(bytes: Uint8Array): void {
    this.size += bytes.length;
    this.#sink.onBodySpan(bytes);
  }

  #readLength(bytes: Uint8Array): number {
    const used = Math.min(bytes.length, this.#left);
    this.#left -= used;
    if (this.#left === 0) this.done = true;
    this.onChunkedSpan(used === bytes.length ? bytes : bytes.subarray(0, used));
    return used;
  }

  #readChunked(bytes: Uint8Array): number {
    const parser = this.#chunked as ChunkedParser; // start() made it: the framing is chunked
    const before = this.size;
    let used: number;
    try {
      used = parser.execute(bytes);
    } catch (error) {
      throw error instanceof LlhttpError
        ? new ProxyError(this.#blame, "malformed chunked body", error)
        : error;
    }
    const body = this.size - before;
    this.#overhead = Math.max(0, this.#overhead + used - body - body * FRAMING_PER_BODY_BYTE);
    if (this.#overhead > MAX_CHUNK_OVERHEAD || parser.trailers.length > 2 * MAX_FIELDS) {
      throw new ProxyError(this.#blame, "malformed chunked body");
    }
    this.done = parser.complete;
    return used;
  }
}

// Reads one HTTP/1.1 answer after the other from a connection and checks it to the byte. Only what the bench's own
// upstreams send: a length, or chunks. Throws on anything else: a fast wrong answer is a failure.

import { matchesPattern } from "../pattern.ts";

/** What the body has to be: these bytes, or so many of the pattern. */
export type Expected = { readonly body: Buffer } | { readonly pattern: number };

const HEAD_END = "\r\n\r\n";
/** More than any head of the bench, less than a body that came where a head was due. */
const LONGEST_HEAD = 16_384;

export class Answer {
  readonly #expected: Expected;
  readonly #length: number;
  #head: Buffer | undefined;
  #inBody = false;
  #received = 0;
  #chunks: ChunkReader | undefined;
  #complete = false;

  constructor(expected: Expected) {
    this.#expected = expected;
    this.#length = "body" in expected ? expected.body.length : expected.pattern;
  }

  /** Bytes of a body that are known to be right. */
  get length(): number {
    return this.#length;
  }

  /** Takes what came; true when with it the answer is complete, and the next may begin. */
  feed(bytes: Buffer): boolean {
    let rest = bytes;
    if (!this.#inBody) {
      if (this.#head !== undefined) rest = Buffer.concat([this.#head, bytes]);
      const end = rest.indexOf(HEAD_END);
      if (end === -1) {
        if (rest.length > LONGEST_HEAD) throw new Error("no end of a head");
        this.#head = rest;
        return false;
      }
      this.#readHead(rest.toString("latin1", 0, end));
      rest = rest.subarray(end + HEAD_END.length);
    }
    if (this.#chunks === undefined) this.#take(rest);
    else if (rest.length > 0) this.#complete = this.#chunks.feed(rest);
    if (this.#chunks === undefined ? this.#received < this.#length : !this.#complete) return false;
    if (this.#received !== this.#length) throw new Error(`a body of ${this.#received} bytes`);
    this.#head = undefined;
    this.#inBody = false;
    this.#received = 0;
    this.#chunks = undefined;
    this.#complete = false;
    return true;
  }

  #readHead(head: string): void {
    if (!head.startsWith("HTTP/1.1 200")) throw new Error(`answer: ${head.slice(0, 200)}`);
    this.#inBody = true;
    const length = /\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) {
      if (!/\ntransfer-encoding: *chunked/i.test(head)) throw new Error(`no framing: ${head}`);
      this.#chunks = new ChunkReader((bytes) => this.#take(bytes));
    } else if (Number(length) !== this.#length) throw new Error(`Content-Length: ${length}`);
  }

  #take(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const at = this.#received;
    this.#received += bytes.length;
    if (this.#received > this.#length) throw new Error("more body than was asked for");
    const right =
      "body" in this.#expected
        ? bytes.equals(this.#expected.body.subarray(at, this.#received))
        : matchesPattern(bytes, at);
    if (!right) throw new Error(`wrong bytes at ${at} of the body`);
  }
}

/** The chunked coding, without extensions and trailers. */
export class ChunkReader {
  readonly #onBytes: (bytes: Buffer) => void;
  #left = 0;
  #line = "";
  #state: "size" | "data" | "end-of-data" | "last" = "size";

  constructor(onBytes: (bytes: Buffer) => void) {
    this.#onBytes = onBytes;
  }

  /** True when the last chunk has come. */
  feed(bytes: Buffer): boolean {
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === "data") {
        const part = bytes.subarray(at, at + this.#left);
        this.#onBytes(part);
        at += part.length;
        this.#left -= part.length;
        if (this.#left === 0) this.#state = "end-of-data";
        continue;
      }
      const end = bytes.indexOf(10, at);
      this.#line += bytes.toString("latin1", at, end === -1 ? bytes.length : end);
      if (end === -1) return false;
      at = end + 1;
      if (this.#endLine()) return true;
    }
    return false;
  }

  #endLine(): boolean {
    const line = this.#line.replace(/\r$/, "");
    this.#line = "";
    if (this.#state === "size") {
      if (!/^[0-9a-f]+$/i.test(line)) throw new Error(`chunk size: ${line}`);
      this.#left = Number.parseInt(line, 16);
      this.#state = this.#left === 0 ? "last" : "data";
      return false;
    }
    if (line !== "") throw new Error(`after a chunk: ${line}`);
    if (this.#state === "last") return true;
    this.#state = "size";
    return false;
  }
}

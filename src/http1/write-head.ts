// Heads and chunk framing as latin1 text. Refuses control characters and anything beyond latin1 in what it writes, whoever
// put it there: the last line of defence against response splitting and header injection. RFC 9112 sections 3 to 7.

import { ProxyError } from "../values/errors.ts";
import type { HeaderList } from "./headers.ts";

/** RFC 9110 section 5.6.2: what a method and a field name are made of. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** A request target: visible ASCII (RFC 9112 section 3.2). */
const TARGET = /^[!-~]+$/;
/** A field value or reason phrase: latin1 without controls, tab allowed (RFC 9110 section 5.5). */
const TEXT = /^[\t -~\x80-\xff]*$/;
const CHUNK_END = "\r\n";
const LAST_CHUNK = "0\r\n\r\n";

/** Latin1 text: every character is one byte. */
export function requestHead(method: string, target: string, headers: HeaderList): string {
  if (!TOKEN.test(method) || !TARGET.test(target)) throw unsafe();
  return section(`${method} ${target} HTTP/1.1\r\n`, headers);
}

/** Latin1 text: every character is one byte. */
export function responseHead(status: number, reason: string, headers: HeaderList): string {
  if (!TEXT.test(reason)) throw unsafe();
  return section(`HTTP/1.1 ${status} ${reason}\r\n`, headers);
}

/** What takes the pieces of a body; they leave together. */
export interface PieceQueue {
  queue(data: Uint8Array | string): void;
  give(bytes: Uint8Array): void;
}

/**
 * A span of a body, as a chunk of its own if `chunked`. Nothing for an empty span: that would end a chunked body.
 * @param given nobody else uses the bytes
 */
export function queueSpan(to: PieceQueue, span: Uint8Array, chunked: boolean, given: boolean): void {
  if (span.length === 0) return;
  if (chunked) to.queue(`${span.length.toString(16)}\r\n`);
  if (given) to.give(span);
  else to.queue(span);
  if (chunked) to.queue(CHUNK_END);
}

/** The end of a chunked body, with its trailer section if there is one; latin1 text. */
export function lastChunk(trailers: HeaderList | undefined): string {
  if (trailers === undefined || trailers.size === 0) return LAST_CHUNK;
  return section("0\r\n", trailers);
}

/** The pieces of the head that is being written: joined once, they cost no memory but the text itself. */
const PIECES: string[] = [];

function section(start: string, { names, values }: HeaderList): string {
  let count = 0;
  PIECES[count++] = start;
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string; // the index is within both
    const value = values[i] as string;
    if (!TOKEN.test(name) || !TEXT.test(value)) {
      PIECES.fill("");
      throw unsafe();
    }
    PIECES[count++] = name;
    PIECES[count++] = ": ";
    PIECES[count++] = value;
    PIECES[count++] = "\r\n";
  }
  PIECES[count++] = "\r\n";
  PIECES.length = count;
  const text = PIECES.join("");
  // A credential is not kept for longer than its request.
  PIECES.fill("");
  return text;
}

function unsafe(): ProxyError {
  return new ProxyError("internal-error", "refused to write an unsafe head");
}

// Heads and chunk framing as bytes. Refuses control characters and anything beyond latin1 in what it writes, whoever
// put it there: the last line of defence against response splitting and header injection. RFC 9112 sections 3 to 7.

import { STATUS_CODES } from "node:http";
import { ProxyError } from "../values/errors.ts";
import type { HeaderList } from "./headers.ts";

/** RFC 9110 section 5.6.2: what a method and a field name are made of. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** A request target: visible ASCII (RFC 9112 section 3.2). */
const TARGET = /^[!-~]+$/;
/** A field value or reason phrase: latin1 without controls, tab allowed (RFC 9110 section 5.5). */
const TEXT = /^[\t -~\x80-\xff]*$/;
const EMPTY = new Uint8Array(0);
const CRLF = Buffer.from("\r\n", "latin1");
const LAST_CHUNK = Buffer.from("0\r\n\r\n", "latin1");

export function requestHeadBytes(method: string, target: string, headers: HeaderList): Buffer {
  if (!TOKEN.test(method) || !TARGET.test(target)) throw unsafe();
  return encode(`${method} ${target} HTTP/1.1\r\n`, headers);
}

export function responseHeadBytes(status: number, reason: string, headers: HeaderList): Buffer {
  if (!TEXT.test(reason)) throw unsafe();
  return encode(`HTTP/1.1 ${status} ${reason}\r\n`, headers);
}

/** The registered reason phrase, or an empty one. */
export function reasonPhrase(status: number): string {
  return STATUS_CODES[status] ?? "";
}

/** One chunk around `span`; a copy, so that it leaves in one write. Nothing for an empty span: that would end the body. */
export function chunkBytes(span: Uint8Array): Uint8Array {
  if (span.length === 0) return EMPTY;
  const size = `${span.length.toString(16)}\r\n`;
  const out = Buffer.allocUnsafe(size.length + span.length + 2);
  out.write(size, 0, "latin1");
  out.set(span, size.length);
  out.set(CRLF, size.length + span.length);
  return out;
}

/** The end of a chunked body, with its trailer section if there is one. */
export function lastChunkBytes(trailers: HeaderList | undefined): Uint8Array {
  if (trailers === undefined || trailers.size === 0) return LAST_CHUNK;
  return encode("0\r\n", trailers);
}

function encode(start: string, headers: HeaderList): Buffer {
  const { names, values } = headers;
  let text = start;
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    const value = values[i] as string;
    if (!TOKEN.test(name) || !TEXT.test(value)) throw unsafe();
    text += `${name}: ${value}\r\n`;
  }
  return Buffer.from(`${text}\r\n`, "latin1");
}

function unsafe(): ProxyError {
  return new ProxyError("internal-error", "refused to write an unsafe head");
}

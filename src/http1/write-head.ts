// Heads and chunk framing as bytes. Refuses CR, LF, NUL and anything beyond latin1 in what it writes, whoever put it
// there: the last line of defence against response splitting and header injection. RFC 9112 sections 3 to 7.

import { STATUS_CODES } from "node:http";
import { ProxyError } from "../values/errors.ts";
import type { HeaderList } from "./headers.ts";

// biome's noControlCharactersInRegex is off in biome.json: refusing control characters is this file's job.
const UNSAFE = /[\0\r\n\u0100-\uffff]/;
const CRLF = Buffer.from("\r\n", "latin1");
const LAST_CHUNK = Buffer.from("0\r\n\r\n", "latin1");

export function requestHeadBytes(method: string, target: string, headers: HeaderList): Buffer {
  return encode(`${method} ${target} HTTP/1.1\r\n`, headers);
}

export function responseHeadBytes(status: number, reason: string, headers: HeaderList): Buffer {
  return encode(`HTTP/1.1 ${status} ${checked(reason)}\r\n`, headers);
}

/** The registered reason phrase, or an empty one. */
export function reasonPhrase(status: number): string {
  return STATUS_CODES[status] ?? "";
}

/** One chunk around `span`; a copy, so that it leaves in one write. */
export function chunkBytes(span: Uint8Array): Uint8Array {
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
    const value = values[i] as string;
    if (UNSAFE.test(value)) throw unsafe();
    text += `${names[i]}: ${value}\r\n`;
  }
  return Buffer.from(`${text}\r\n`, "latin1");
}

function checked(text: string): string {
  if (UNSAFE.test(text)) throw unsafe();
  return text;
}

function unsafe(): ProxyError {
  return new ProxyError("internal-error", "refused to write an unsafe header value");
}

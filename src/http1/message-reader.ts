// Heads out of bytes: request and response variants, any split, limits enforced, what llhttp lets through and we
// do not refused. Stops exactly behind the head; the body is body-reader.ts. No clock, no I/O. RFC 9112 sections 2-5.

import { ProxyError } from "../values/errors.ts";
import type { RequestHead, ResponseHead } from "./head.ts";
import { HeaderList } from "./headers.ts";
import { DEFAULT_HEAD_LIMITS, type HeadLimits } from "./limits.ts";
import { HeadParser, LlhttpError, type RawHead } from "./llhttp.ts";

const CR = 0x0d;
const LF = 0x0a;
/** `HTTP/1.1` and the carriage return behind it. */
const PROTOCOL_LENGTH = 9;
const PROTOCOL = "HTTP/";
/** RFC 9112 section 4: reason-phrase, tab and latin1 without controls. */
const REASON = /^[\t -~\x80-\xff]*$/;

/** Reads request heads of one client connection. */
export class RequestHeadReader {
  readonly #limits: HeadLimits;
  readonly #parser: HeadParser;
  readonly #line = new RequestLineGuard();
  #fed = 0;
  #head: RequestHead | undefined;

  constructor(limits: HeadLimits = DEFAULT_HEAD_LIMITS) {
    this.#limits = limits;
    this.#parser = new HeadParser("request", limits.maxHeadBytes);
  }

  /** True between the first byte of a head and its end. */
  get started(): boolean {
    return this.#fed > 0;
  }

  /**
   * Feeds bytes, returns how many belong to the head. `take()` gives the head once it is complete.
   * @throws ProxyError malformed-request, head-too-large, unsupported-version
   */
  read(bytes: Uint8Array): number {
    this.#line.feed(bytes);
    let used: number;
    try {
      used = this.#parser.execute(bytes);
    } catch (error) {
      throw requestError(error);
    }
    this.#fed += used;
    if (this.#fed > this.#limits.maxHeadBytes) throw tooLarge();
    const raw = this.#parser.take();
    if (raw === undefined) return used;
    if (raw.fields.length > 2 * this.#limits.maxHeadFields) throw tooLarge();
    if (!this.#line.matches(raw)) throw new ProxyError("malformed-request", "malformed request line");
    this.#line.reset();
    this.#fed = 0;
    // RFC 9112 section 2.5: a major version we do not speak; HTTP/0.9 has no fields and no framing to trust.
    if (raw.major !== 1 || raw.minor > 1) {
      throw new ProxyError("unsupported-version", "HTTP version not supported");
    }
    this.#head = {
      method: raw.method,
      target: raw.url,
      minor: raw.minor === 0 ? 0 : 1,
      headers: headerList(raw),
    };
    return used;
  }

  take(): RequestHead | undefined {
    const head = this.#head;
    this.#head = undefined;
    return head;
  }
}

/** Reads response heads of one upstream connection. */
export class ResponseHeadReader {
  readonly #limits: HeadLimits;
  readonly #parser: HeadParser;
  readonly #line = new StatusLineGuard();
  #fed = 0;
  #head: ResponseHead | undefined;

  constructor(limits: HeadLimits = DEFAULT_HEAD_LIMITS) {
    this.#limits = limits;
    this.#parser = new HeadParser("response", limits.maxHeadBytes);
  }

  /** True between the first byte of a head and its end. */
  get started(): boolean {
    return this.#fed > 0;
  }

  /** Like RequestHeadReader.read. @throws ProxyError bad-response */
  read(bytes: Uint8Array): number {
    if (!this.#line.feed(bytes)) throw badResponse();
    let used: number;
    try {
      used = this.#parser.execute(bytes);
    } catch (error) {
      if (error instanceof LlhttpError) throw badResponse(error);
      throw error;
    }
    this.#fed += used;
    if (this.#fed > this.#limits.maxHeadBytes) throw badResponse();
    const raw = this.#parser.take();
    if (raw === undefined) return used;
    this.#fed = 0;
    this.#line.reset();
    if (!REASON.test(raw.reason)) throw badResponse();
    if (raw.major !== 1 || raw.minor > 1 || raw.status < 100 || raw.status > 999) throw badResponse();
    if (raw.fields.length > 2 * this.#limits.maxHeadFields) throw badResponse();
    this.#head = {
      status: raw.status,
      reason: raw.reason,
      minor: raw.minor === 0 ? 0 : 1,
      headers: headerList(raw),
    };
    return used;
  }

  take(): ResponseHead | undefined {
    const head = this.#head;
    this.#head = undefined;
    return head;
  }

  /** Forgets a half-read or malformed head: its connection is gone, the next one starts afresh. */
  reset(): void {
    this.#fed = 0;
    this.#line.reset();
    this.#parser.reset();
  }
}

// llhttp reads "GET / RTSP/1.0" and "SOURCE / ICE/1.0" as HTTP, takes several spaces for one, and does not say so.
// The line itself is therefore held against what was read from it: its length and its last nine characters.
class RequestLineGuard {
  /** The last characters of a line that comes in pieces. */
  #tail = "";
  /** The line ends in a protocol that begins with HTTP/. */
  #http = false;
  #length = 0;
  #ended = false;
  /** The CR of an empty line has come, its LF has not. */
  #half = false;
  #foreign = false;

  feed(bytes: Uint8Array): void {
    if (this.#ended) return;
    let start = 0;
    if (this.#length === 0) {
      // RFC 9112 section 2.2: empty lines before the request line are ignored; half of one is not an empty line.
      while (start < bytes.length && bytes[start] === (this.#half ? LF : CR)) {
        this.#half = !this.#half;
        start++;
      }
      if (start < bytes.length && this.#half) this.#foreign = true;
    }
    const end = bytes.indexOf(LF, start);
    const stop = end < 0 ? bytes.length : end;
    const from = Math.max(start, stop - PROTOCOL_LENGTH);
    this.#ended = end >= 0;
    // Nearly always the line comes whole.
    if (this.#ended && this.#length === 0) {
      this.#http = isProtocol(bytes, from);
    } else {
      this.#tail = (this.#tail + latin1(bytes, from, stop)).slice(-PROTOCOL_LENGTH);
      this.#http = this.#tail.startsWith(PROTOCOL);
    }
    this.#length += stop - start;
  }

  /** RFC 9112 section 3: method SP request-target SP HTTP-version CRLF, and nothing more. */
  matches(raw: RawHead): boolean {
    const expected = raw.method.length + 1 + raw.url.length + 1 + PROTOCOL_LENGTH;
    return !this.#foreign && this.#length === expected && this.#http;
  }

  reset(): void {
    this.#tail = "";
    this.#length = 0;
    this.#ended = false;
    this.#half = false;
    this.#foreign = false;
  }
}

// The same for answers: an empty line before the status line, and any protocol but HTTP, is not an answer.
class StatusLineGuard {
  #seen = 0;

  /** False as soon as the bytes cannot be an HTTP status line. */
  feed(bytes: Uint8Array): boolean {
    for (let i = 0; i < bytes.length && this.#seen < PROTOCOL.length; i++, this.#seen++) {
      if (bytes[i] !== PROTOCOL.charCodeAt(this.#seen)) return false;
    }
    return true;
  }

  reset(): void {
    this.#seen = 0;
  }
}

function isProtocol(bytes: Uint8Array, from: number): boolean {
  for (let i = 0; i < PROTOCOL.length; i++) {
    if (bytes[from + i] !== PROTOCOL.charCodeAt(i)) return false;
  }
  return true;
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) text += String.fromCharCode(bytes[i] as number);
  return text;
}

function headerList(raw: RawHead): HeaderList {
  const { fields } = raw;
  const list = new HeaderList();
  for (let i = 0; i < fields.length; i += 2) list.push(fields[i] as string, fields[i + 1] as string);
  return list;
}

function requestError(error: unknown): unknown {
  if (!(error instanceof LlhttpError)) return error;
  if (error.code === "HPE_HEADER_OVERFLOW") return tooLarge();
  if (error.code === "HPE_INVALID_VERSION" || error.code === "HPE_PAUSED_H2_UPGRADE") {
    return new ProxyError("unsupported-version", "HTTP version not supported", error);
  }
  return new ProxyError("malformed-request", "malformed request", error);
}

function tooLarge(): ProxyError {
  return new ProxyError("head-too-large", "request header fields too large");
}

function badResponse(cause?: unknown): ProxyError {
  return new ProxyError("bad-response", "the upstream's answer is malformed", cause);
}

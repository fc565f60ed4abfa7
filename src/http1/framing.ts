// How long a body is: decided once, by a pure function, for requests and for responses. Whatever two readers could
// read in two ways is refused here. RFC 9112 section 6.3.

import { ProxyError } from "../values/errors.ts";
import type { RequestHead, ResponseHead } from "./head.ts";
import type { HeaderList } from "./headers.ts";

export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" }
  /** Responses only: the body ends with the connection. */
  | { readonly kind: "close" };

const NONE: Framing = { kind: "none" };
const CHUNKED: Framing = { kind: "chunked" };
const CLOSE: Framing = { kind: "close" };
const DIGITS = /^[0-9]{1,16}$/;

/** @throws ProxyError malformed-request, unsupported-coding */
export function requestFraming(head: RequestHead): Framing {
  const { headers } = head;
  const codings = headers.count("transfer-encoding");
  const lengths = headers.count("content-length");
  if (codings > 0) {
    // RFC 9112 section 6.1: a request with both ought to be handled as an error; section 6.1 also distrusts HTTP/1.0.
    if (lengths > 0 || codings > 1 || head.minor === 0) throw malformed("ambiguous message framing");
    if (head.method === "CONNECT") throw connectWithBody();
    if (headers.get("transfer-encoding")?.toLowerCase() === "chunked") return CHUNKED;
    throw new ProxyError("unsupported-coding", "transfer coding not supported");
  }
  const length = contentLength(headers, lengths);
  if (length === undefined) return NONE;
  if (Number.isNaN(length)) throw malformed("invalid Content-Length");
  if (head.method === "CONNECT" && length > 0) throw connectWithBody();
  return length === 0 ? NONE : { kind: "length", length };
}

/** @param method of the request this answers. @throws ProxyError bad-response */
export function responseFraming(head: ResponseHead, method: string): Framing {
  const { headers, status } = head;
  const codings = headers.count("transfer-encoding");
  const lengths = headers.count("content-length");
  if (codings > 0 && (lengths > 0 || codings > 1 || head.minor === 0)) throw badResponse();
  const length = contentLength(headers, lengths);
  if (Number.isNaN(length)) throw badResponse();
  if (isBodyless(status, method)) return NONE;
  if (codings > 0) {
    if (headers.get("transfer-encoding")?.toLowerCase() === "chunked") return CHUNKED;
    throw badResponse();
  }
  if (length === undefined) return CLOSE;
  return length === 0 ? NONE : { kind: "length", length };
}

/** RFC 9112 section 6.3: an answer that has no body whatever its fields say. @param method of the request */
export function isBodyless(status: number, method: string): boolean {
  return method === "HEAD" || status < 200 || status === 204 || status === 304;
}

/** The one valid Content-Length of a head that we made or checked ourselves; undefined when there is none. */
export function declaredLength(headers: HeaderList): number | undefined {
  const length = contentLength(headers, headers.count("content-length"));
  return Number.isNaN(length) ? undefined : length;
}

/** Undefined: no field. NaN: a field that is no single decimal number, or more than one. */
function contentLength(headers: HeaderList, count: number): number | undefined {
  if (count === 0) return undefined;
  const text = headers.get("content-length") ?? "";
  if (count > 1 || !DIGITS.test(text)) return Number.NaN;
  const length = Number(text);
  return Number.isSafeInteger(length) ? length : Number.NaN;
}

// RFC 9110 section 9.3.6: its content has no meaning, and what follows the head is the tunnel's.
function connectWithBody(): ProxyError {
  return malformed("CONNECT has no body");
}

function malformed(message: string): ProxyError {
  return new ProxyError("malformed-request", message);
}

function badResponse(): ProxyError {
  return new ProxyError("bad-response", "the upstream's answer is malformed");
}

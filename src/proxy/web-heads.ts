// Heads in the terms of the web and back: what a transformer of the embedding program gets as Request and Response, and
// the head that its answer becomes. Pure; no body is read here. wire.md section 6 (response transformers), WHATWG Fetch.

import { connectionOptions, forwardResponse } from "../http1/forwarding.ts";
import type { ResponseHead } from "../http1/head.ts";
import { HeaderList } from "../http1/headers.ts";
import { reasonPhrase } from "../http1/reason-phrase.ts";
import { responseHead } from "../http1/write-head.ts";
import type { TransformContext, TransformRequest } from "../transform/body-stage.ts";

/** Statuses that Response makes without a body only. */
const NULL_BODY_STATUS: ReadonlySet<number> = new Set([204, 205, 304]);
/** What frames the message or belongs to a connection: the proxy's own business, whatever a transformer sets. */
const FRAMING: ReadonlySet<string> = new Set(["connection", "content-length", "transfer-encoding"]);
const SET_COOKIE = "set-cookie";

/** The client's request without its body. The client's proxy credentials are the proxy's business only. */
export function webRequest(request: TransformRequest): Request {
  const { method, scheme, host, path } = request;
  const headers = webHeaders(request.headers, (key) => key.startsWith("proxy-"));
  // RFC 9112 section 3.2.4: the target of OPTIONS may be "*", which no URL can say.
  return new Request(`${scheme}://${host}${path.startsWith("/") ? path : "/"}`, { method, headers });
}

/** Whether the answer can be shown as a Response at all; a program cannot make one of the others either. */
export function fitsResponse({ status, headers }: ResponseHead, context: TransformContext): boolean {
  if (status < 200 || status > 599) return false;
  return context.bodyless || !NULL_BODY_STATUS.has(status) || headers.get("content-length") === "0";
}

export function webResponse(head: ResponseHead, body: ReadableStream<Uint8Array> | null): Response {
  const { status, reason } = head;
  return new Response(NULL_BODY_STATUS.has(status) ? null : body, {
    status,
    statusText: reason,
    headers: webHeaders(head.headers),
  });
}

/** True when the answer of a transformer goes out without a body, whether it has one or not. */
export function sentWithoutBody(answer: Response, context: TransformContext): boolean {
  return context.bodyless || answer.body === null || NULL_BODY_STATUS.has(answer.status);
}

/** The head of an answer that a transformer made. @throws Error when it cannot be sent */
export function answerHead(answer: Response, context: TransformContext): ResponseHead {
  const { status } = answer;
  // 101 can be made with Response, and Response.error() has 0.
  if (status < 200 || status > 599) throw new RangeError(`an answer cannot have the status ${status}`);
  const headers = new HeaderList();
  for (const [name, value] of answer.headers) headers.push(name, value);
  forwardResponse(headers, connectionOptions(headers, "bad-response"), false, "default");
  headers.remove("content-length");
  // RFC 9110 section 8.6: an answer to HEAD, 204 and 304 have none; elsewhere a client would wait for the end.
  const lengthless = context.request.method === "HEAD" || status === 204 || status === 304;
  if (!lengthless && sentWithoutBody(answer, context)) headers.push("Content-Length", "0");
  return writable({ status, reason: answer.statusText || reasonPhrase(status), minor: 1, headers });
}

/**
 * The upstream's head with what a transformer has changed in the headers of the response it was given. Fields that are
 * as they were keep name, order and multiplicity; the length stays, because the body is the same.
 * @throws Error when it cannot be sent
 */
export function changedHead(head: ResponseHead, after: Headers): ResponseHead {
  const before = webHeaders(head.headers);
  const headers = head.headers.clone();
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    if (FRAMING.has(key)) continue;
    const values = valuesOf(after, key);
    if (isSame(valuesOf(before, key), values)) continue;
    const name = headers.names[headers.keys.indexOf(key)] ?? key;
    if (values.length === 1) headers.set(name, values[0] ?? "");
    else {
      headers.remove(key);
      for (const value of values) headers.push(name, value);
    }
  }
  return writable({ ...head, headers });
}

function webHeaders(list: HeaderList, leaveOut?: (key: string) => boolean): Headers {
  const headers = new Headers();
  for (let i = 0; i < list.size; i++) {
    if (leaveOut?.(list.keys[i] as string) === true) continue;
    headers.append(list.names[i] as string, list.values[i] as string);
  }
  return headers;
}

function valuesOf(headers: Headers, key: string): readonly string[] {
  if (key === SET_COOKIE) return headers.getSetCookie();
  const value = headers.get(key);
  return value === null ? [] : [value];
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** What would be refused when it is written is refused now, while there can still be another answer. */
function writable(head: ResponseHead): ResponseHead {
  responseHead(head.status, head.reason, head.headers);
  return head;
}

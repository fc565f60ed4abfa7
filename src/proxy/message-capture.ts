// Both messages of one exchange for a logger of the embedding program: heads, and the beginning of text bodies. It only
// looks: nothing waits for it, nothing is changed by it, and what it keeps is bounded. Pure. wire.md section 12.

import type { ResponseHead } from "../http1/head.ts";
import type { HeaderList } from "../http1/headers.ts";
import { type Hidden, Needles } from "../transform/needles.ts";

/** Bytes of each body that are kept, as in the reference. */
export const MAX_BODY_SIZE = 8 * 1024;
/** Kept beyond that, so that a secret on the edge is still seen whole and hidden. */
const MARGIN = 16 * 1024;

const TEXT =
  /^(?:text\/|application\/(?:[\w.+-]*\+)?(?:json|xml|javascript|graphql|x-www-form-urlencoded|x-ndjson|ndjson|yaml)\b)/i;

export class MessageCapture {
  /** Request target as the client sent it. */
  readonly target: string;
  /** Of what the request's tunnel carries. */
  scheme: "http" | "https" = "https";
  /** As the client sent them. */
  readonly requestHeaders: HeaderList;
  /** As the client got them; undefined before. */
  responseHeaders: HeaderList | undefined;
  readonly #request: Prefix;
  #response = new Prefix(false);
  readonly #secrets: Hidden[] = [];
  /** Made of the secrets when it is first asked for: every request has some, not every one is looked at. */
  #needles: Needles | undefined;

  constructor(target: string, requestHeaders: HeaderList) {
    this.target = target;
    this.requestHeaders = requestHeaders.clone();
    this.#request = new Prefix(isText(requestHeaders));
  }

  onRequestBody(bytes: Uint8Array): void {
    this.#request.push(bytes);
  }

  /** The head as the client gets it. */
  onResponseHead(head: ResponseHead): void {
    this.responseHeaders = head.headers.clone();
    this.#response = new Prefix(isText(head.headers));
  }

  onResponseBody(bytes: Uint8Array): void {
    this.#response.push(bytes);
  }

  /** What must not be seen in what was captured, besides what was hidden before. */
  hide(secrets: readonly Hidden[]): void {
    this.#secrets.push(...secrets);
    this.#needles = undefined;
  }

  get requestBody(): Uint8Array | undefined {
    return this.#request.shown(this.#hidden);
  }

  get responseBody(): Uint8Array | undefined {
    return this.#response.shown(this.#hidden);
  }

  /** A field value without what must not be seen. */
  shownValue(value: string): string {
    return this.#hidden?.replaceIn(value) ?? value;
  }

  get #hidden(): Needles | undefined {
    this.#needles ??= Needles.of(this.#secrets);
    return this.#needles;
  }
}

/** The beginning of a body. */
class Prefix {
  readonly #wanted: boolean;
  readonly #spans: Uint8Array[] = [];
  #size = 0;

  constructor(wanted: boolean) {
    this.#wanted = wanted;
  }

  push(bytes: Uint8Array): void {
    const room = MAX_BODY_SIZE + MARGIN - this.#size;
    if (!this.#wanted || room <= 0) return;
    // A copy: the buffer behind a span may be large, and would stay for its sake.
    this.#spans.push(Buffer.from(bytes.subarray(0, room)));
    this.#size += Math.min(room, bytes.length);
  }

  /** Undefined for a body that is no text, or none. */
  shown(hidden: Needles | undefined): Uint8Array | undefined {
    if (this.#size === 0) return undefined;
    const whole = Buffer.concat(this.#spans);
    const clean =
      hidden === undefined ? whole : Buffer.from(hidden.replaceIn(whole.toString("latin1")), "latin1");
    return clean.subarray(0, MAX_BODY_SIZE);
  }
}

/** Text that is not encoded: the only bodies that a log can show. */
function isText(headers: HeaderList): boolean {
  const coding = headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  return TEXT.test(headers.get("content-type") ?? "") && (coding === "" || coding === "identity");
}

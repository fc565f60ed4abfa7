// Opens and closes the one record of a request. Every path of a session goes through here exactly once, and what is
// not closed here is not logged. wire.md section 12.

import type { RequestHead } from "../http1/head.ts";
import type { ProxyError } from "../values/errors.ts";
import { MessageCapture } from "./message-capture.ts";
import type { Clock, RecordSink, RequestIds } from "./ports.ts";
import { type ProxyType, pathOf, queryOf, type RecordDetail, type RequestRecord } from "./record.ts";
import type { Peer } from "./session-deps.ts";

/** RFC 9562 or not: what a client may choose without being able to forge a log line. wire.md section 12. */
const CLIENT_REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;
const NO_NAMES: readonly string[] = Object.freeze([]);

export interface RecorderDeps {
  readonly records: RecordSink;
  readonly clock: Clock;
  readonly ids: RequestIds;
  /** May be swapped by a reload; read anew for each record. */
  readonly detail: RecordDetail;
}

export class Recorder {
  readonly #deps: RecorderDeps;
  #open: RequestRecord | undefined;
  #startedAt = 0;

  constructor(deps: RecorderDeps) {
    this.#deps = deps;
  }

  /** The record under way, if any. */
  get current(): RequestRecord | undefined {
    return this.#open;
  }

  /** @param head undefined when the bytes were no request */
  begin(head: RequestHead | undefined, peer: Peer, proxyType: ProxyType, host: string): RequestRecord {
    this.#startedAt = this.#deps.clock.now();
    const sent = head?.headers.get("x-request-id");
    const record: RequestRecord = {
      requestId: sent !== undefined && CLIENT_REQUEST_ID.test(sent) ? sent : this.#deps.ids.next(),
      method: head?.method ?? "",
      host,
      path: head === undefined ? "" : pathOf(head.target),
      status: 0,
      durationMs: 0,
      proxyType,
      runId: undefined,
      userId: undefined,
      clientIp: peer.clientIp,
      injectedHeaders: NO_NAMES,
      grants: NO_NAMES,
      denied: false,
      denyReason: undefined,
      requestSize: 0,
      responseSize: 0,
      error: undefined,
      query: head !== undefined && this.#deps.detail.query ? queryOf(head.target) : undefined,
      local: false,
      captured: head === undefined ? undefined : capture(head, this.#deps.detail.captureHeaders),
      substitutionSkipped: undefined,
      message:
        head === undefined || this.#deps.detail.messages !== true
          ? undefined
          : new MessageCapture(head.target, head.headers),
    };
    this.#open = record;
    return record;
  }

  /**
   * Notes why the request did not go through; end() still has to be called. What a client did wrong is a denial, not
   * an error: a sandbox could otherwise fill the operator's error log at will.
   */
  fail(error: ProxyError): void {
    const record = this.#open;
    if (record === undefined) return;
    record.denied = error.blame === "policy" || error.blame === "client";
    if (error.blame === "policy") record.denyReason = denyReason(error);
    else if (error.blame === "client") record.denyReason = `${error.code}: ${describe(error)}`;
    else record.error = describe(error);
  }

  /** Leaves the request unrecorded: requests it made possible have records of their own. */
  drop(): void {
    this.#open = undefined;
  }

  /** Writes the record. @param status sent to the client, 0 when none was */
  end(status: number, requestSize: number, responseSize: number): void {
    const record = this.#open;
    if (record === undefined) return;
    this.#open = undefined;
    record.status = status;
    record.requestSize = requestSize;
    record.responseSize = responseSize;
    record.durationMs = this.#deps.clock.now() - this.#startedAt;
    this.#deps.records.write(record);
  }
}

// The code is what tooling switches on; for a rule the log also says which.
function denyReason(error: ProxyError): string {
  const { cause } = error;
  return cause instanceof Error ? `${error.code}: ${cause.message}` : error.code;
}

// The reply shows the message alone; the log also gets what lies behind it. Causes are made without secrets.
function describe(error: ProxyError): string {
  const { cause } = error;
  return cause instanceof Error ? `${error.message}: ${cause.message}` : error.message;
}

function capture(
  head: RequestHead,
  names: readonly string[],
): readonly (readonly [string, string])[] | undefined {
  if (names.length === 0) return undefined;
  const found: [string, string][] = [];
  for (const name of names) {
    const value = head.headers.joined(name);
    if (value !== undefined) found.push([name, value]);
  }
  return found.length === 0 ? undefined : found;
}

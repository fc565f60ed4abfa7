// The receiving end of an answer that is being made, for tests: keeps what comes, and notes every breach of the order
// that the contract of transformers promises.

import type { ResponseHead } from "../../src/http1/head.ts";
import { HeaderList } from "../../src/http1/headers.ts";
import { responseHead } from "../../src/http1/write-head.ts";
import type { StageSink, TransformContext, TransformRequest } from "../../src/transform/body-stage.ts";
import type { ProxyError } from "../../src/values/errors.ts";
import { within } from "./byte-stream.ts";

type Fields = readonly (readonly [string, string])[];

export function answered(status: number, fields: Fields = [], reason = "OK"): ResponseHead {
  const headers = new HeaderList();
  for (const [name, value] of fields) headers.push(name, value);
  return { status, reason, minor: 1, headers };
}

export function asked(over: Partial<TransformRequest> = {}, bodyless = false): TransformContext {
  const headers = new HeaderList();
  headers.push("Host", "a.example");
  const request = {
    method: "GET",
    scheme: "https",
    host: "a.example",
    path: "/p?q",
    headers,
    ...over,
  } as const;
  return { request, bodyless, needles: undefined };
}

export class AnswerSink implements StageSink {
  head: ResponseHead | undefined;
  error: ProxyError | undefined;
  /** How often there was room again. */
  rooms = 0;
  size = 0;
  ended = false;
  /** Set by a test that has called abort(): nothing may come after it. */
  aborted = false;
  /** Sentences of the contract that were broken. */
  readonly breaches: string[] = [];
  /** Called with every span; unless a test sets it, all of it is kept. */
  onSpan: (bytes: Uint8Array) => void = (bytes) => this.#spans.push(bytes);
  onRoom: () => void = () => undefined;
  onHead: () => void = () => undefined;
  readonly #spans: Uint8Array[] = [];
  readonly #over = Promise.withResolvers<void>();
  #waiting: { readonly ready: () => boolean; readonly resolve: () => void }[] = [];

  get text(): string {
    return Buffer.concat(this.#spans).toString("latin1");
  }

  get spans(): string[] {
    return this.#spans.map((span) => Buffer.from(span).toString("latin1"));
  }

  /** The head as it would be written, line by line. */
  get lines(): string[] {
    if (this.head === undefined) return [];
    const { status, reason, headers } = this.head;
    return responseHead(status, reason, headers).trimEnd().split("\r\n");
  }

  /** The message for the client and, behind it, what goes to the log. */
  get failure(): string | undefined {
    if (this.error === undefined) return undefined;
    const { code, message, cause } = this.error;
    return `${code}: ${message} (${cause instanceof Error ? cause.message : String(cause)})`;
  }

  /** Resolves at the end or the failure. */
  over(ms?: number): Promise<void> {
    return within(this.#over.promise, "end of the answer", ms);
  }

  /** Resolves once that is so; looked at after every call. */
  until(ready: () => boolean, what: string): Promise<void> {
    if (ready()) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ ready, resolve });
    return within(promise, what);
  }

  onStageHead(head: ResponseHead): void {
    this.#called("head");
    if (this.head !== undefined) this.breaches.push("a second head");
    this.head = head;
    this.onHead();
    this.#look();
  }

  onStageBytes(bytes: Uint8Array): void {
    this.#called("bytes");
    if (this.head === undefined) this.breaches.push("bytes before the head");
    if (bytes.byteLength === 0) this.breaches.push("an empty span");
    this.size += bytes.byteLength;
    this.onSpan(bytes);
    this.#look();
  }

  onStageRoom(): void {
    this.#called("room");
    this.rooms++;
    this.onRoom();
    this.#look();
  }

  onStageEnd(): void {
    this.#called("end");
    if (this.head === undefined) this.breaches.push("an end before the head");
    this.ended = true;
    this.#over.resolve();
    this.#look();
  }

  onStageFailed(error: ProxyError): void {
    this.#called("failed");
    this.error = error;
    this.#over.resolve();
    this.#look();
  }

  #called(what: string): void {
    if (this.ended) this.breaches.push(`${what} after the end`);
    if (this.error !== undefined) this.breaches.push(`${what} after the failure`);
    if (this.aborted) this.breaches.push(`${what} after abort()`);
  }

  #look(): void {
    for (const { ready, resolve } of this.#waiting) if (ready()) resolve();
    this.#waiting = this.#waiting.filter(({ ready }) => !ready());
  }
}

// A sink for stages that writes down what it is given and holds the stage to the contract of body-stage.ts: the head
// once and first, nothing after the end, after a failure or after abort(). A breach throws where it happens and is kept.
import { expect } from "bun:test";
import type { ResponseHead } from "../../src/http1/head.ts";
import { HeaderList } from "../../src/http1/headers.ts";
import type { BodyStage, StageSink, TransformContext } from "../../src/transform/body-stage.ts";
import { ProxyError } from "../../src/values/errors.ts";

export class RecordingSink implements StageSink {
  head: ResponseHead | undefined;
  readonly chunks: Uint8Array[] = [];
  /** Bytes of the body so far. */
  size = 0;
  rooms = 0;
  ended = false;
  error: ProxyError | undefined;
  readonly breaches: string[] = [];
  /** Set by a test that stops the stage. */
  aborted = false;
  /** Called within onStageBytes, for tests of what a sink does to its stage from there. */
  onBytes: (() => void) | undefined;
  /** Bodies of a decoder come without a head. */
  readonly headless: boolean;
  #changed = Promise.withResolvers<void>();

  constructor(options: { headless?: boolean } = {}) {
    this.headless = options.headless ?? false;
  }

  onStageHead(head: ResponseHead): void {
    this.#check("head");
    if (this.head !== undefined) this.#breach("a second head");
    this.head = head;
    this.#wake();
  }

  onStageBytes(bytes: Uint8Array): void {
    this.#check("bytes");
    if (!this.headless && this.head === undefined) this.#breach("bytes before the head");
    if (bytes.length === 0) this.#breach("empty bytes");
    this.chunks.push(bytes);
    this.size += bytes.length;
    this.onBytes?.();
    this.#wake();
  }

  onStageRoom(): void {
    this.#check("room");
    this.rooms++;
    this.#wake();
  }

  onStageEnd(): void {
    this.#check("end");
    if (!this.headless && this.head === undefined) this.#breach("the end before the head");
    this.ended = true;
    this.#wake();
  }

  onStageFailed(error: ProxyError): void {
    this.#check("failure");
    this.error = error;
    this.#wake();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get text(): string {
    return this.bytes.toString("latin1");
  }

  /** Resolves once `reached` holds; looked at after every call. */
  async until(reached: () => boolean): Promise<void> {
    while (!reached()) {
      if (this.ended || this.error !== undefined) {
        throw new Error(`it is over: ${this.error?.message ?? "ended"} after ${this.size} bytes`);
      }
      await this.#changed.promise;
    }
  }

  /** Ended or failed. */
  over(): Promise<void> {
    return this.until(() => this.ended || this.error !== undefined);
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }

  #check(what: string): void {
    if (this.ended) this.#breach(`${what} after the end`);
    if (this.error !== undefined) this.#breach(`${what} after the failure`);
    if (this.aborted) this.#breach(`${what} after abort()`);
  }

  #breach(what: string): never {
    this.breaches.push(what);
    throw new Error(what);
  }
}

/** Writes every piece as room allows, ends, and waits until the stage is done. */
export async function feed(
  stage: BodyStage,
  sink: RecordingSink,
  pieces: Iterable<Uint8Array>,
): Promise<void> {
  for (const piece of pieces) {
    const rooms = sink.rooms;
    if (!stage.write(piece)) await sink.until(() => sink.rooms > rooms || sink.error !== undefined);
    if (sink.error !== undefined) break;
  }
  if (sink.error === undefined) stage.end();
  await sink.over();
  expect(sink.breaches).toEqual([]);
}

/** A head of these fields. */
export function responseHead(status: number, fields: Readonly<Record<string, string>>): ResponseHead {
  const headers = new HeaderList();
  for (const [name, value] of Object.entries(fields)) headers.push(name, value);
  return { status, reason: "", minor: 1, headers };
}

/** The fields of a head as `Name: value`, in order. */
export function fieldsOf(head: ResponseHead | undefined): string[] {
  return head === undefined ? [] : head.headers.names.map((name, i) => `${name}: ${head.headers.values[i]}`);
}

export function transformContext(given: Partial<TransformContext> & { method?: string; path?: string }) {
  const { method = "GET", path = "/", bodyless = method === "HEAD", needles } = given;
  const request = {
    method,
    scheme: "https" as const,
    host: "api.example.test",
    path,
    headers: new HeaderList(),
  };
  return { request, bodyless, needles } satisfies TransformContext;
}

/** The error that `run` throws; fails when it throws none or another kind. */
export function thrownBy(run: () => unknown): ProxyError {
  try {
    run();
  } catch (error) {
    if (error instanceof ProxyError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

// What stages have in common whose work is done within the call: the head given out first and at once, backpressure,
// silence after the end. The rest is theirs. Buffers nothing.

import type { ResponseHead } from "../http1/head.ts";
import type { ProxyError } from "../values/errors.ts";
import type { BodyStage, StageSink } from "./body-stage.ts";

export abstract class ImmediateStage implements BodyStage {
  readonly #sink: StageSink;
  #head: ResponseHead | undefined;
  #live = true;
  #paused = false;
  /** write() has returned false. */
  #full = false;

  constructor(head: ResponseHead, sink: StageSink) {
    this.#head = head;
    this.#sink = sink;
    // Not now: whoever called begin() does not hold the stage yet. Not with the first byte either: of a stream of events
    // the head may come long before, and clients wait for it.
    queueMicrotask(() => this.#giveHead());
  }

  /** Rewrites some bytes and gives out, now or with later ones, what has become of them. */
  protected abstract take(bytes: Uint8Array): void;

  /** Gives out what is left. */
  protected abstract finish(): void;

  protected give(bytes: Uint8Array): void {
    if (this.#live) this.#sink.onStageBytes(bytes);
  }

  protected fail(error: ProxyError): void {
    if (!this.#live) return;
    this.#live = false;
    this.#sink.onStageFailed(error);
  }

  write(bytes: Uint8Array): boolean {
    this.#giveHead();
    if (this.#live && bytes.length > 0) this.take(bytes);
    if (!this.#live || !this.#paused) return true;
    this.#full = true;
    return false;
  }

  end(): void {
    this.#giveHead();
    if (this.#live) this.finish();
    if (!this.#live) return;
    this.#live = false;
    this.#sink.onStageEnd();
  }

  abort(): void {
    this.#live = false;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    if (!this.#live || !this.#full) return;
    this.#full = false;
    this.#sink.onStageRoom();
  }

  #giveHead(): void {
    const head = this.#head;
    this.#head = undefined;
    if (head !== undefined && this.#live) this.#sink.onStageHead(head);
  }
}

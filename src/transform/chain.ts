// Two stages one behind the other, seen as one: bytes of the first go through the second, backpressure comes back the
// other way, and one failing ends both. Decides nothing about bytes.

import type { ProxyError } from "../values/errors.ts";
import type { BodyStage, StageSink } from "./body-stage.ts";

/** A sink for bytes alone: what stands in front of a stage has no head to give. */
export type ByteSink = Omit<StageSink, "onStageHead">;

/**
 * @param front makes the stage that gets the bytes first
 * @param back makes the one that gives out the head and what becomes of them
 */
export function chained(
  front: (sink: ByteSink) => BodyStage,
  back: (sink: StageSink) => BodyStage,
  sink: StageSink,
): BodyStage {
  return new Chain(front, back, sink);
}

class Chain implements BodyStage, ByteSink {
  readonly #front: BodyStage;
  readonly #back: BodyStage;
  readonly #sink: StageSink;

  constructor(front: (sink: ByteSink) => BodyStage, back: (sink: StageSink) => BodyStage, sink: StageSink) {
    this.#sink = sink;
    this.#front = front(this);
    this.#back = back({
      onStageHead: (head) => sink.onStageHead(head),
      onStageBytes: (bytes) => sink.onStageBytes(bytes),
      onStageRoom: () => this.#front.resume(),
      onStageEnd: () => {
        // What the front still has is not wanted.
        this.#front.abort();
        sink.onStageEnd();
      },
      onStageFailed: (error) => {
        this.#front.abort();
        sink.onStageFailed(error);
      },
    });
  }

  write(bytes: Uint8Array): boolean {
    return this.#front.write(bytes);
  }

  end(): void {
    this.#front.end();
  }

  abort(): void {
    this.#front.abort();
    this.#back.abort();
  }

  pause(): void {
    this.#back.pause();
  }

  resume(): void {
    this.#back.resume();
  }

  /** From the front, as what follows. */
  onStageBytes(bytes: Uint8Array): void {
    if (!this.#back.write(bytes)) this.#front.pause();
  }

  onStageRoom(): void {
    this.#sink.onStageRoom();
  }

  onStageEnd(): void {
    this.#back.end();
  }

  onStageFailed(error: ProxyError): void {
    this.#back.abort();
    this.#sink.onStageFailed(error);
  }
}

// A transformer behind a stage that makes another answer of the upstream's: it is asked about the head that the stage
// gives out, and rewrites what follows. Decides nothing about bytes; backpressure passes both ways.

import type { ResponseHead } from "../http1/head.ts";
import type { ProxyError } from "../values/errors.ts";
import type { BodyStage, StageSink, TransformContext, Transformer } from "./body-stage.ts";

/**
 * @param front makes the stage in front, given where its answer goes; undefined: it leaves the answer alone
 * @param last asked about the answer as the front makes it
 * @returns undefined when the front leaves the answer alone
 */
export function followed(
  front: (sink: StageSink) => BodyStage | undefined,
  last: Transformer,
  context: TransformContext,
  sink: StageSink,
): BodyStage | undefined {
  const follow = new Follow(last, context, sink);
  const stage = front(follow.input);
  return stage === undefined ? undefined : follow.behind(stage);
}

class Follow implements BodyStage {
  /** Where the front gives its answer. */
  readonly input: StageSink;
  readonly #last: Transformer;
  readonly #context: TransformContext;
  readonly #sink: StageSink;
  #front: BodyStage | undefined;
  /** Undefined before the head, and when the last leaves the answer alone. */
  #back: BodyStage | undefined;
  #paused = false;

  constructor(last: Transformer, context: TransformContext, sink: StageSink) {
    this.#last = last;
    this.#context = context;
    this.#sink = sink;
    this.input = {
      onStageHead: (head) => this.#onHead(head),
      onStageBytes: (bytes) => this.#onBytes(bytes),
      onStageRoom: () => sink.onStageRoom(),
      onStageEnd: () => (this.#back === undefined ? sink.onStageEnd() : this.#back.end()),
      onStageFailed: (error) => this.#onFailed(error),
    };
  }

  behind(front: BodyStage): this {
    this.#front = front;
    return this;
  }

  write(bytes: Uint8Array): boolean {
    return this.#front?.write(bytes) ?? true;
  }

  end(): void {
    this.#front?.end();
  }

  abort(): void {
    this.#front?.abort();
    this.#back?.abort();
  }

  pause(): void {
    this.#paused = true;
    (this.#back ?? this.#front)?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#back?.resume();
    // Also one that was paused before there was a back.
    this.#front?.resume();
  }

  #onHead(head: ResponseHead): void {
    const sink = this.#sink;
    this.#back = this.#last.begin(
      this.#context,
      { ...head, headers: head.headers.clone() },
      {
        onStageHead: (changed) => sink.onStageHead(changed),
        onStageBytes: (bytes) => sink.onStageBytes(bytes),
        onStageRoom: () => this.#front?.resume(),
        onStageEnd: () => {
          // What the front still has is not wanted.
          this.#front?.abort();
          sink.onStageEnd();
        },
        onStageFailed: (error) => {
          this.#front?.abort();
          sink.onStageFailed(error);
        },
      },
    );
    if (this.#back === undefined) {
      sink.onStageHead(head);
      return;
    }
    if (this.#paused) this.#back.pause();
  }

  #onBytes(bytes: Uint8Array): void {
    if (this.#back === undefined) this.#sink.onStageBytes(bytes);
    else if (!this.#back.write(bytes)) this.#front?.pause();
  }

  #onFailed(error: ProxyError): void {
    this.#back?.abort();
    this.#sink.onStageFailed(error);
  }
}

// A stage, and behind it another one that decides by the head which the first gives out: what a transformer has made of an
// answer still has to be mapped for a relay. Decides nothing about bytes. wire.md sections 6 and 9.

import type { ResponseHead } from "../../http1/head.ts";
import type { BodyStage, StageSink } from "../../transform/body-stage.ts";
import type { ProxyError } from "../../values/errors.ts";

/** Undefined leaves the answer as it is. */
type Begin = (sink: StageSink) => BodyStage | undefined;
type BeginBehind = (head: ResponseHead, sink: StageSink) => BodyStage | undefined;

/**
 * The first stage with the second one behind it, or the one of them that there is.
 * @param head as the upstream sent it
 * @throws ProxyError as the first does
 */
export function followed(
  first: Begin,
  second: BeginBehind,
  head: ResponseHead,
  sink: StageSink,
): BodyStage | undefined {
  const pair = new Pair(second, sink);
  const front = first(pair);
  if (front === undefined) return second(head, sink);
  pair.front = front;
  return pair;
}

/** To the first stage the sink, to the rest of the proxy a stage. */
class Pair implements BodyStage, StageSink {
  readonly #second: BeginBehind;
  readonly #sink: StageSink;
  /** Set before anything is called: a stage says nothing while it begins. */
  front: BodyStage | undefined;
  #back: BodyStage | undefined;
  #paused = false;
  #over = false;

  constructor(second: BeginBehind, sink: StageSink) {
    this.#second = second;
    this.#sink = sink;
  }

  get replaces(): boolean {
    return this.front?.replaces === true;
  }

  write(bytes: Uint8Array): boolean {
    return this.front?.write(bytes) ?? true;
  }

  end(): void {
    this.front?.end();
  }

  abort(): void {
    this.#over = true;
    this.front?.abort();
    this.#back?.abort();
  }

  pause(): void {
    this.#paused = true;
    (this.#back ?? this.front)?.pause();
  }

  resume(): void {
    this.#paused = false;
    (this.#back ?? this.front)?.resume();
  }

  // What the first stage says.

  onStageHead(head: ResponseHead): void {
    if (this.#over) return;
    this.#back = this.#second(head, {
      onStageHead: (changed) => this.#sink.onStageHead(changed),
      onStageBytes: (bytes) => this.#sink.onStageBytes(bytes),
      // Room of the second is the first one's to know, not the upstream's.
      onStageRoom: () => this.front?.resume(),
      onStageEnd: () => {
        this.#over = true;
        this.front?.abort();
        this.#sink.onStageEnd();
      },
      onStageFailed: (error) => {
        this.#over = true;
        this.front?.abort();
        this.#sink.onStageFailed(error);
      },
    });
    if (this.#back === undefined) this.#sink.onStageHead(head);
    else if (this.#paused) {
      // From here on the second one keeps the pace, and the first hears of it from that one.
      this.#back.pause();
      this.front?.resume();
    }
  }

  onStageBytes(bytes: Uint8Array): void {
    if (this.#over) return;
    if (this.#back === undefined) this.#sink.onStageBytes(bytes);
    else if (!this.#back.write(bytes)) this.front?.pause();
  }

  onStageRoom(): void {
    if (!this.#over) this.#sink.onStageRoom();
  }

  onStageEnd(): void {
    if (this.#over) return;
    if (this.#back !== undefined) {
      this.#back.end();
      return;
    }
    this.#over = true;
    this.#sink.onStageEnd();
  }

  onStageFailed(error: ProxyError): void {
    if (this.#over) return;
    this.#over = true;
    this.#back?.abort();
    this.#sink.onStageFailed(error);
  }
}

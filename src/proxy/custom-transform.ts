// Runs a chain of transformers whose first is a function of the embedding program, and makes the answer of the first
// that answers. Trusts none of them: whatever they throw, leave behind or return too late ends here, and the sink is
// called as the contract says. Loaded only for a host with such a transformer. wire.md section 6.

import type { ResponseHead } from "../http1/head.ts";
import type {
  BodyStage,
  ResponseTransformer,
  StageSink,
  TransformContext,
  Transformer,
} from "../transform/body-stage.ts";
import { ProxyError } from "../values/errors.ts";
import { BodyPump, BodySource, ofNoInterest, type PumpReceiver, type SourceOwner } from "./body-bridge.ts";
import {
  answerHead,
  changedHead,
  fitsResponse,
  sentWithoutBody,
  webRequest,
  webResponse,
} from "./web-heads.ts";

/**
 * Begins the answer. Nothing of the sink is called before this has returned.
 * @param chain asked in order; the first that answers wins
 * @param head its own; the chain gets copies
 */
export function beginCustom(
  chain: readonly (Transformer | ResponseTransformer)[],
  context: TransformContext,
  head: ResponseHead,
  sink: StageSink,
): BodyStage {
  const stage = new CustomStage(context, head, sink);
  void stage.decide(chain);
  return stage;
}

interface Answer {
  readonly head: ResponseHead;
  readonly body: ReadableStream<Uint8Array> | null;
  /** The body is the upstream's, so that it cannot have failed. */
  readonly ours: boolean;
}

/** Also the sink of the built-in stage that wins the chain, if one does. */
class CustomStage implements BodyStage, StageSink, SourceOwner, PumpReceiver {
  readonly #context: TransformContext;
  readonly #head: ResponseHead;
  readonly #sink: StageSink;
  readonly #source: BodySource | undefined;
  /** What the next transformer is shown, or the client gets: the source, or what clone() has left of it. */
  #body: ReadableStream<Uint8Array> | null;
  #pump: BodyPump | undefined;
  #inner: BodyStage | undefined;
  /** Decided, and not given out yet. */
  #heldHead: ResponseHead | undefined;
  #paused = false;
  replaces = false;
  /** The sink hears nothing any more. */
  #over = false;
  /** No transformer had anything to say. */
  untouched = false;

  constructor(context: TransformContext, head: ResponseHead, sink: StageSink) {
    this.#context = context;
    this.#head = head;
    this.#sink = sink;
    this.#source = context.bodyless ? undefined : new BodySource(this);
    this.#body = this.#source?.stream ?? null;
  }

  async decide(chain: readonly (Transformer | ResponseTransformer)[]): Promise<void> {
    // The owner has no stage yet.
    await undefined;
    for (const transformer of chain) {
      if (this.#over) return;
      if (typeof transformer !== "function") {
        if (this.#guarded(() => this.#begin(transformer))) return;
        continue;
      }
      const answer = await this.#ask(transformer);
      if (answer === undefined) continue;
      this.#guarded(() => this.#send(answer));
      return;
    }
    this.untouched = true;
    this.#guarded(() => this.#send({ head: copyOf(this.#head), body: this.#body, ours: true }));
  }

  write(bytes: Uint8Array): boolean {
    return this.#over || this.#source === undefined ? true : this.#source.push(bytes);
  }

  end(): void {
    if (!this.#over) this.#source?.close();
  }

  abort(): void {
    if (this.#over) return;
    this.#close(new Error("the answer was given up"));
    this.#inner?.abort();
  }

  pause(): void {
    if (this.#over) return;
    this.#paused = true;
    if (this.#inner === undefined) this.#pump?.pause();
    else this.#inner.pause();
  }

  resume(): void {
    if (this.#over) return;
    this.#paused = false;
    if (this.#inner === undefined) this.#pump?.resume();
    else this.#inner.resume();
  }

  onSourceRoom(): void {
    if (!this.#over) this.#sink.onStageRoom();
  }

  onPumpBytes(bytes: Uint8Array): void {
    this.#guarded(() => {
      if (this.#inner === undefined) {
        this.#giveHead();
        this.onStageBytes(bytes);
      } else if (!this.#inner.write(bytes)) this.#pump?.pause();
    });
  }

  onPumpEnd(): void {
    this.#guarded(() => {
      if (this.#inner === undefined) {
        this.#giveHead();
        this.onStageEnd();
      } else this.#inner.end();
    });
  }

  onPumpFailed(error: unknown): void {
    this.#failTransformer(error);
  }

  onStageHead(head: ResponseHead): void {
    if (!this.#over) this.#sink.onStageHead(head);
  }

  onStageBytes(bytes: Uint8Array): void {
    if (!this.#over) this.#sink.onStageBytes(bytes);
  }

  /** The built-in stage has room, not this one. */
  onStageRoom(): void {
    this.#pump?.resume();
  }

  onStageEnd(): void {
    if (this.#over) return;
    this.#close(new Error("the answer has been sent"));
    this.#sink.onStageEnd();
  }

  onStageFailed(error: ProxyError): void {
    // It knows that it is over.
    this.#inner = undefined;
    this.#fail(error);
  }

  /** Undefined: it leaves the answer to the next one, or all is over. Never rejects. */
  async #ask(transformer: ResponseTransformer): Promise<Answer | undefined> {
    if (!fitsResponse(this.#head, this.#context)) return undefined;
    try {
      const given = webResponse(this.#head, this.#body);
      const answer: unknown = await transformer(webRequest(this.#context.request), given);
      if (this.#over) discard(answer);
      else if (answer !== undefined) return this.#answerOf(answer, given);
      else
        this.#body = bodyOf(given, "it read the body and returned undefined; response.clone() is for that");
    } catch (error) {
      this.#failTransformer(error);
    }
    return undefined;
  }

  /** @throws Error when it is none that can be sent */
  #answerOf(answer: unknown, given: Response): Answer {
    if (!(answer instanceof Response)) throw new TypeError("it returned something that is no Response");
    const body = bodyOf(answer, "the body of its answer has been read or is locked");
    if (answer === given) return { head: changedHead(this.#head, given.headers), body, ours: true };
    const head = answerHead(answer, this.#context);
    if (!sentWithoutBody(answer, this.#context)) return { head, body, ours: false };
    discard(answer);
    return { head, body: null, ours: false };
  }

  /** True: the chain ends here, with an answer or without. */
  #begin(transformer: Transformer): boolean {
    const inner = transformer.begin(this.#context, copyOf(this.#head), this);
    if (inner === undefined) return this.#over;
    if (this.#over) {
      inner.abort();
      return true;
    }
    this.#inner = inner;
    if (this.#paused) inner.pause();
    if (this.#body === null) inner.end();
    else this.#pumpFrom(this.#body)?.resume();
    return true;
  }

  #send({ head, body, ours }: Answer): void {
    this.#heldHead = head;
    this.replaces = !ours;
    if (body === null) {
      this.onPumpEnd();
      return;
    }
    const pump = this.#pumpFrom(body);
    if (pump === undefined) return;
    // A stream of a transformer may have failed already, and then there can be an error reply instead of a head and a
    // cut: its head waits for what the stream says at once, and no longer.
    if (ours) this.#giveHead();
    else setImmediate(() => this.#guarded(() => this.#giveHead()));
    if (!this.#paused) pump.resume();
  }

  /** Undefined, and all is over, when a function has taken the body after it had answered. */
  #pumpFrom(body: ReadableStream<Uint8Array>): BodyPump | undefined {
    try {
      this.#pump = new BodyPump(body, this);
    } catch (error) {
      this.#failTransformer(error);
    }
    return this.#pump;
  }

  #giveHead(): void {
    const head = this.#heldHead;
    this.#heldHead = undefined;
    if (head !== undefined) this.#sink.onStageHead(head);
  }

  /**
   * Calls parts of the proxy where no caller of ours could catch what they throw. True when all is over, or when what
   * was called says so.
   */
  #guarded(call: () => unknown): boolean {
    if (this.#over) return true;
    try {
      return call() === true || this.#over;
    } catch (error) {
      const known = error instanceof ProxyError;
      this.#fail(known ? error : new ProxyError("internal-error", "internal error", error));
      return true;
    }
  }

  #failTransformer(cause: unknown): void {
    this.#fail(new ProxyError("transform-failed", "a response transformer failed", cause));
  }

  #fail(error: ProxyError): void {
    if (this.#over) return;
    this.#close(new Error("the answer could not be made"));
    this.#inner?.abort();
    this.#sink.onStageFailed(error);
  }

  /** Whoever still reads the upstream's body is told, and so is the stream that was being sent. */
  #close(reason: Error): void {
    this.#over = true;
    this.#heldHead = undefined;
    this.#source?.fail(reason);
    this.#pump?.cancel(reason);
  }
}

function copyOf(head: ResponseHead): ResponseHead {
  return { ...head, headers: head.headers.clone() };
}

/** @throws TypeError with the text given when somebody has read from it, or is about to */
function bodyOf(response: Response, used: string): ReadableStream<Uint8Array> | null {
  const { body } = response;
  if (response.bodyUsed || body?.locked === true) throw new TypeError(used);
  return body;
}

/** Lets go what holds the body of an answer that is not sent. */
function discard(answer: unknown): void {
  if (!(answer instanceof Response) || answer.bodyUsed || answer.body?.locked === true) return;
  answer.body?.cancel(new Error("the answer is not sent")).catch(ofNoInterest);
}

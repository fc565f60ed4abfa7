// The only door to ReadableStream: bytes pushed in come out of one, and one is read into calls. Both keep backpressure
// and hold little; neither knows what the bytes are. Loaded only for a host with a transformer. WHATWG Streams.

/** Bytes that wait for a slow consumer: one read of a socket, as the wires have it. */
const MAX_WAITING = 64 * 1024;
/** What a span costs besides its bytes: a body that comes byte by byte must not fill memory with objects. */
const SPAN_COST = 256;
/** Bytes given out in one call: a program may enqueue a whole body as one chunk, and its receiver may copy it. */
const MAX_SPAN = 64 * 1024;

export interface SourceOwner {
  /** After push() has returned false: there is room again, or nobody reads any more. */
  onSourceRoom(): void;
}

/** A body that the proxy has, as a stream for those who think in streams. */
export class BodySource {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #owner: SourceOwner;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #full = false;

  constructor(owner: SourceOwner) {
    this.#owner = owner;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        // Called when the consumer has made room, and never before.
        pull: () => this.#onRoom(),
        cancel: () => {
          this.#controller = undefined;
          this.#onRoom();
        },
      },
      { highWaterMark: MAX_WAITING, size: (bytes) => (bytes?.byteLength ?? 0) + SPAN_COST },
    );
  }

  /** Closed, failed, or given up by its consumer: what is pushed now is dropped. */
  get done(): boolean {
    return this.#controller === undefined;
  }

  /** False: no more before onSourceRoom. The bytes are copied, so the buffer stays the caller's. */
  push(bytes: Uint8Array): boolean {
    const controller = this.#controller;
    if (controller === undefined) return true;
    if (bytes.byteLength === 0) return !this.#full;
    // A copy in a buffer of its own: the consumer may change or transfer it, and may not see what lies beside the span.
    controller.enqueue(new Uint8Array(bytes));
    this.#full = (controller.desiredSize ?? 1) <= 0;
    return !this.#full;
  }

  /** The body is complete; what waits can still be read. */
  close(): void {
    const controller = this.#controller;
    this.#controller = undefined;
    controller?.close();
  }

  /** The body ends here without being complete: reads fail, what waits is dropped. */
  fail(error: Error): void {
    const controller = this.#controller;
    this.#controller = undefined;
    controller?.error(error);
  }

  #onRoom(): void {
    if (!this.#full) return;
    this.#full = false;
    this.#owner.onSourceRoom();
  }
}

/** Where a pump delivers. Exactly one of the last two ends it, unless it was cancelled. */
export interface PumpReceiver {
  /** Never empty, at most 64 KiB; may be kept. */
  onPumpBytes(bytes: Uint8Array): void;
  onPumpEnd(): void;
  /** The stream failed, gave something that is no bytes, or the receiver threw. */
  onPumpFailed(error: unknown): void;
}

/** What is used of a reader; of what a foreign stream gives out nothing is known. */
interface ChunkReader {
  read(): Promise<{ readonly done: boolean; readonly value?: unknown }>;
  cancel(reason: Error): Promise<void>;
}

/** Reads a stream into a receiver, one chunk ahead at most. Begins paused: resume() starts it. */
export class BodyPump {
  readonly #reader: ChunkReader;
  readonly #receiver: PumpReceiver;
  #rest: Uint8Array | undefined;
  #paused = true;
  #reading = false;
  #giving = false;
  #over = false;

  /** @throws TypeError when the stream is locked */
  constructor(stream: ReadableStream<unknown>, receiver: PumpReceiver) {
    this.#reader = stream.getReader();
    this.#receiver = receiver;
  }

  /** Nothing more is delivered before resume(), but for the end. */
  pause(): void {
    this.#paused = true;
  }

  /** May deliver at once what has been read ahead. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#go();
  }

  /** Nobody wants the rest: the stream is told why, the receiver hears nothing more. */
  cancel(reason: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#rest = undefined;
    this.#reader.cancel(reason).catch(ofNoInterest);
  }

  #go(): void {
    this.#give();
    if (this.#over || this.#paused || this.#reading || this.#rest !== undefined) return;
    this.#reading = true;
    this.#reader.read().then(
      ({ done, value }) => this.#onRead(done, value),
      (error: unknown) => {
        if (!this.#over) this.#fail(error);
      },
    );
  }

  #onRead(done: boolean, value: unknown): void {
    this.#reading = false;
    if (this.#over) return;
    try {
      if (done) {
        this.#over = true;
        this.#receiver.onPumpEnd();
        return;
      }
      if (!(value instanceof Uint8Array)) throw new TypeError("a chunk of the body is no Uint8Array");
      if (value.byteLength > 0) this.#rest = value;
      this.#go();
    } catch (error) {
      this.cancel(new Error("the body could not be passed on"));
      this.#fail(error);
    }
  }

  #give(): void {
    // A receiver that pauses and resumes within one call must not be called out of order.
    if (this.#giving) return;
    this.#giving = true;
    try {
      while (this.#rest !== undefined && !this.#paused && !this.#over) {
        const rest: Uint8Array = this.#rest;
        this.#rest = rest.byteLength > MAX_SPAN ? rest.subarray(MAX_SPAN) : undefined;
        this.#receiver.onPumpBytes(rest.byteLength > MAX_SPAN ? rest.subarray(0, MAX_SPAN) : rest);
      }
    } finally {
      this.#giving = false;
    }
  }

  #fail(error: unknown): void {
    this.#over = true;
    this.#receiver.onPumpFailed(error);
  }
}

/** How a stream takes its cancellation: nobody listens to it any more, and it must not end as an unhandled rejection. */
export function ofNoInterest(): undefined {
  return undefined;
}

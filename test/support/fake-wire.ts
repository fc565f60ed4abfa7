// A scripted connection for the machines of src/proxy: the test is the peer. It says bytes, sends a FIN, disappears,
// and decides how many bytes it takes; what it took and how the connection ended can be read off. Behaves like the
// Wire over a Bun socket: short writes wait, a paused wire keeps what arrives, a given-up wire calls nobody.

import type { Wire, WireHandler } from "../../src/proxy/ports.ts";

/** How our side of the connection stands: `fin` has been sent and reading goes on; `closed` in order; `destroyed` cut. */
export type WireState = "open" | "fin" | "closed" | "destroyed" | "gone";

const SILENT: WireHandler = { onData: ignore, onDrain: ignore, onEnd: ignore, onClose: ignore };

/** Events run one after the other, never inside each other, as an event loop would. */
export class EventLoop {
  readonly #events: (() => void)[] = [];
  #running = false;
  #scheduled = false;

  /** Runs the event and all it causes, unless an event is running: then afterwards. */
  run(event: () => void): void {
    this.#events.push(event);
    if (!this.#running) this.#drain();
  }

  /** For what is caused outside an event, such as by a promise: runs soon. */
  post(event: () => void): void {
    this.#events.push(event);
    if (this.#running || this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#running) this.#drain();
    });
  }

  #drain(): void {
    this.#running = true;
    try {
      for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift()) event();
    } finally {
      this.#running = false;
    }
  }
}

export class FakeWire implements Wire {
  readonly name: string;
  handler: WireHandler = SILENT;
  backlog = 0;
  accepted = 0;
  paused = false;
  state: WireState = "open";
  /** What each flush that moved bytes moved: the writes as the peer would see them. */
  readonly writes: string[] = [];
  /** Breaches of the contract of Wire by its user. */
  readonly breaches: string[] = [];
  readonly #loop: EventLoop;
  #queue: Uint8Array[] = [];
  #given: ArrayBuffer[] = [];
  #room = Number.POSITIVE_INFINITY;
  #ending = false;
  #inbox: (Uint8Array | "fin")[] = [];
  #heard = "";
  #onGone: () => void = ignore;

  constructor(loop: EventLoop, name = "wire") {
    this.#loop = loop;
    this.name = name;
  }

  get closed(): boolean {
    return this.state === "closed" || this.state === "destroyed" || this.state === "gone";
  }

  // What the peer does.

  /** Bytes arrive, latin1. They wait while the wire is paused. */
  says(...pieces: readonly (string | Uint8Array)[]): this {
    for (const piece of pieces) {
      this.#inbox.push(typeof piece === "string" ? ownBytes(piece) : piece);
    }
    this.#loop.run(() => this.#deliver());
    return this;
  }

  /** The same, one byte after the other. */
  saysByteByByte(text: string): this {
    return this.says(...text);
  }

  /** The peer's FIN arrives, behind what it has said. */
  fin(): this {
    this.#inbox.push("fin");
    this.#loop.run(() => this.#deliver());
    return this;
  }

  /** The peer is gone, now, whatever it has said before. */
  reset(): void {
    this.#loop.run(() => {
      if (this.closed) return;
      const { handler } = this;
      this.#giveUp("gone");
      handler.onClose();
      this.#onGone();
    });
  }

  /** The peer takes so many more bytes and then none. */
  acceptUpTo(bytes: number): this {
    this.#room = bytes;
    return this;
  }

  /** The peer takes so many of the bytes that wait; onDrain only when some waited and that was all. */
  takes(bytes: number): void {
    this.#room = bytes;
    this.#loop.run(() => this.#drained());
  }

  /** The peer takes all there is and all that comes. */
  drain(): void {
    this.takes(Number.POSITIVE_INFINITY);
  }

  /** What the peer got since this was last asked, latin1. */
  heard(): string {
    const heard = this.#heard;
    this.#heard = "";
    return heard;
  }

  /** Bytes said that nobody has read. */
  get unread(): number {
    return this.#inbox.reduce((sum, item) => sum + (item === "fin" ? 0 : item.length), 0);
  }

  /** Tells when the connection is over, whoever ended it. */
  whenGone(act: () => void): void {
    this.#onGone = act;
  }

  // Wire.

  queue(data: Uint8Array | string): void {
    const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
    if (bytes.length === 0) return;
    if (this.#ending)
      this.breaches.push(`${this.name}: ${bytes.length} bytes queued behind the FIN are lost`);
    if (this.closed || this.#ending) return;
    this.#queue.push(bytes);
    this.backlog += bytes.length;
  }

  give(bytes: Uint8Array): void {
    const { buffer } = bytes;
    if (bytes.length === buffer.byteLength && buffer instanceof ArrayBuffer) this.#given.push(buffer);
    this.queue(bytes);
  }

  flush(): boolean {
    if (this.closed || this.backlog === 0) return true;
    const all = Buffer.concat(this.#queue);
    const taken = all.subarray(0, Math.min(this.#room, all.length));
    this.#room -= taken.length;
    this.accepted += taken.length;
    this.backlog = all.length - taken.length;
    this.#queue = this.backlog === 0 ? [] : [all.subarray(taken.length)];
    if (taken.length > 0) {
      this.writes.push(taken.toString("latin1"));
      this.#heard += taken.toString("latin1");
    }
    if (this.backlog === 0) {
      // Whoever looks at them again sees nothing.
      for (const buffer of this.#given.splice(0)) buffer.transfer(0);
    }
    this.#sendFin();
    return this.backlog === 0;
  }

  write(data: Uint8Array | string): boolean {
    this.queue(data);
    return this.flush();
  }

  pause(): void {
    if (!this.closed) this.paused = true;
  }

  resume(): void {
    if (!this.paused || this.closed) return;
    this.paused = false;
    this.#loop.post(() => this.#deliver());
  }

  end(): void {
    if (this.closed || this.#ending) return;
    this.flush();
    this.#ending = true;
    this.#sendFin();
  }

  close(): void {
    if (this.closed) return;
    if (this.backlog > 0) this.breaches.push(`${this.name}: closed with ${this.backlog} bytes to flush`);
    this.#giveUp("closed");
    this.#onGone();
  }

  destroy(): void {
    if (this.closed) return;
    this.#giveUp("destroyed");
    this.#onGone();
  }

  #deliver(): void {
    while (!this.paused && !this.closed) {
      const item = this.#inbox.shift();
      if (item === undefined) return;
      if (item === "fin") this.handler.onEnd();
      else this.handler.onData(item);
    }
  }

  #drained(): void {
    if (this.backlog > 0 && this.flush() && !this.closed) this.handler.onDrain();
  }

  #sendFin(): void {
    if (this.#ending && this.backlog === 0 && this.state === "open") this.state = "fin";
  }

  #giveUp(state: WireState): void {
    this.state = state;
    this.handler = SILENT;
    this.#queue = [];
    this.backlog = 0;
  }
}

/** Memory of its own, as what a socket reads has. */
function ownBytes(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(text.length);
  bytes.write(text, "latin1");
  return bytes;
}

function ignore(): void {
  // Nobody is interested.
}

// The end of a client connection after its last answer: flush, FIN, and a little patience. What still comes is dropped,
// because closing with unread bytes makes the kernel send a reset, which can destroy the answer on its way.
// RFC 9112 section 9.6.

import type { Clock, Wire, WireHandler } from "./ports.ts";
import type { Live } from "./session-deps.ts";

/** Milliseconds for the peer to close after our FIN. */
const LINGER_MS = 2_000;
/** Milliseconds a slow reader may take between two reads of what it is owed. */
const STALL_MS = 120_000;

export class Farewell implements WireHandler, Live {
  readonly #wire: Wire;
  readonly #clock: Clock;
  readonly #live: Set<Live>;
  #deadline = 0;
  #peerEnded: boolean;

  /** Takes over the wire. @param peerEnded its FIN has been seen */
  constructor(wire: Wire, clock: Clock, live: Set<Live>, peerEnded: boolean) {
    this.#wire = wire;
    this.#clock = clock;
    this.#live = live;
    this.#peerEnded = peerEnded;
    live.add(this);
    wire.handler = this;
    wire.end();
    wire.resume();
    this.#settle();
  }

  onData(): void {
    // Too late to matter.
  }

  onDrain(): void {
    this.#settle();
  }

  onEnd(): void {
    this.#peerEnded = true;
    this.#settle();
  }

  onClose(): void {
    this.#live.delete(this);
  }

  sweep(now: number): void {
    if (now < this.#deadline) return;
    // Aborting would take back what the kernel still has to deliver; only who does not read at all is cut.
    if (this.#wire.backlog === 0) this.#wire.close();
    else this.#wire.destroy();
    this.#live.delete(this);
  }

  drain(): void {
    // It is closing already.
  }

  destroy(): void {
    this.#wire.destroy();
    this.#live.delete(this);
  }

  #settle(): void {
    const flushed = this.#wire.backlog === 0;
    this.#deadline = this.#clock.now() + (flushed ? LINGER_MS : STALL_MS);
    if (!flushed || !this.#peerEnded) return;
    this.#wire.close();
    this.#live.delete(this);
  }
}

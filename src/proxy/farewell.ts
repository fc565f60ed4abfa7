// The end of a client connection after its last answer: flush, FIN, and a little patience. What still comes is dropped,
// because closing with unread bytes makes the kernel send a reset, which can destroy the answer on its way.
// RFC 9112 section 9.6.

import type { Clock, Wire, WireHandler } from "./ports.ts";
import type { Live, SessionDeps } from "./session-deps.ts";

/** Milliseconds for the peer to close after our FIN. */
const LINGER_MS = 2_000;
/** Milliseconds without progress after which a slow client is given up. */
const STALL_MS = 120_000;
/** The same for one side of a tunnel whose other side has gone: nobody waits for it, and no cap counts it. */
const ORPHAN_STALL_MS = 10_000;

export class Farewell implements WireHandler, Live {
  readonly #wire: Wire;
  readonly #clock: Clock;
  readonly #live: Set<Live>;
  readonly #stallMs: number;
  #deadline = 0;
  #accepted = 0;
  #peerEnded: boolean;

  /** For one side of a tunnel whose other side has gone. */
  static ofOrphan(wire: Wire, { clock, live }: Pick<SessionDeps, "clock" | "live">): void {
    new Farewell(wire, clock, live, false, ORPHAN_STALL_MS);
  }

  /** Takes over the wire. @param peerEnded its FIN has been seen */
  constructor(wire: Wire, clock: Clock, live: Set<Live>, peerEnded: boolean, stallMs = STALL_MS) {
    this.#stallMs = stallMs;
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
    if (this.#wire.accepted !== this.#accepted) this.#settle();
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
    this.#accepted = this.#wire.accepted;
    this.#deadline = this.#clock.now() + (flushed ? LINGER_MS : this.#stallMs);
    if (!flushed || !this.#peerEnded) return;
    this.#wire.close();
    this.#live.delete(this);
  }
}

// The first moments of a connection from a balancer: nothing is served before its PROXY protocol header has said who
// the client is. Whatever else comes, or nothing in time, ends the connection without a word. wire.md section 2.

import type { Wire, WireHandler } from "../proxy/ports.ts";
import type { Live, SessionDeps } from "../proxy/session-deps.ts";
import { ProxyProtocolReader } from "./proxy-protocol.ts";
import { SILENT } from "./wire.ts";

export interface ClientOutcome {
  /** @param clientIp undefined: the balancer speaks for itself. @param early what came behind the header */
  onClientKnown(clientIp: string | undefined, early: Uint8Array): void;
}

export class ClientAnnouncement implements WireHandler, Live {
  readonly #wire: Wire;
  readonly #live: Set<Live>;
  readonly #deadline: number;
  readonly #outcome: ClientOutcome;
  readonly #reader = new ProxyProtocolReader();

  /** Takes over the wire until the outcome. */
  constructor(wire: Wire, { clock, live, limits }: SessionDeps, outcome: ClientOutcome) {
    this.#wire = wire;
    this.#live = live;
    this.#deadline = clock.now() + limits.headMs;
    this.#outcome = outcome;
    live.add(this);
    wire.handler = this;
  }

  onData(bytes: Uint8Array): void {
    const used = this.#reader.read(bytes);
    if (used < 0) {
      this.#close();
      return;
    }
    const header = this.#reader.take();
    if (header === undefined) return;
    this.#live.delete(this);
    this.#wire.handler = SILENT;
    this.#outcome.onClientKnown(header.clientIp, bytes.subarray(used));
  }

  onDrain(): void {
    // Nothing is written.
  }

  onEnd(): void {
    this.#close();
  }

  onClose(): void {
    this.#live.delete(this);
  }

  sweep(now: number): void {
    if (now >= this.#deadline) this.#close();
  }

  drain(): void {
    this.#close();
  }

  destroy(): void {
    this.#live.delete(this);
    this.#wire.destroy();
  }

  #close(): void {
    this.#live.delete(this);
    this.#wire.close();
  }
}

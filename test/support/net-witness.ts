// Witnesses for tests over real sockets: owners of wires and handshakes that write down what they are told, and let a
// test wait for it. They never sleep: a wait ends with its event or fails.
import type { Socket } from "bun";
import type { SecureHandler, WireHandler } from "../../src/proxy/ports.ts";
import { within } from "./byte-stream.ts";
import { connect } from "./client.ts";

/** Waits for conditions that are looked at again whenever `changed` is called. */
export class Watch {
  #waiting: { holds: () => boolean; done: () => void }[] = [];

  changed(): void {
    for (const entry of [...this.#waiting]) {
      if (!entry.holds()) continue;
      this.#waiting = this.#waiting.filter((other) => other !== entry);
      entry.done();
    }
  }

  until(what: string, holds: () => boolean, ms?: number): Promise<void> {
    if (holds()) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ holds, done: resolve });
    return within(promise, what, ms);
  }
}

/** A wire's owner that writes down what it is told. */
export class Witness extends Watch implements WireHandler {
  /**
   * In order, with `data` once for any number of pieces in a row. A drain is left out: sockets tell of room nobody
   * asked for, which does no harm.
   */
  readonly events: ("data" | "end" | "close")[] = [];
  drains = 0;
  readonly pieces: Uint8Array[] = [];
  count = 0;
  /** Called within onData. */
  onPiece: (() => void) | undefined;
  /** Called within onEnd. */
  onEnded: (() => void) | undefined;

  get text(): string {
    return Buffer.concat(this.pieces).toString("latin1");
  }

  happened(event: Witness["events"][number]): number {
    return this.events.filter((other) => other === event).length;
  }

  untilEvent(event: Witness["events"][number], times = 1): Promise<void> {
    return this.until(`${event} (seen: ${this.events})`, () => this.happened(event) >= times);
  }

  /** The peer has ended its side, or the connection is gone. */
  untilOver(): Promise<void> {
    return this.until("end or close", () => this.happened("end") + this.happened("close") > 0);
  }

  onData(bytes: Uint8Array): void {
    this.count += bytes.length;
    this.pieces.push(bytes);
    this.onPiece?.();
    if (this.events.at(-1) !== "data") this.events.push("data");
    this.changed();
  }

  onDrain(): void {
    this.drains++;
    this.changed();
  }

  onEnd(): void {
    this.events.push("end");
    this.onEnded?.();
    this.changed();
  }

  onClose(): void {
    this.events.push("close");
    this.changed();
  }
}

/** What a handshake said, and the plaintext wire behind it. */
export class SecureWitness extends Watch implements SecureHandler {
  readonly outcomes: ("secured" | "not-tls" | "failed")[] = [];

  onSecured(): void {
    this.outcomes.push("secured");
    this.changed();
  }

  onHandshakeFailed(reason: "not-tls" | "failed"): void {
    this.outcomes.push(reason);
    this.changed();
  }

  untilOutcome(): Promise<void> {
    return this.until("outcome of the handshake", () => this.outcomes.length > 0);
  }
}

/**
 * Lets everything happen that is under way on loopback: messages go to and fro on a connection of their own. What was
 * sent before the first has arrived before the last.
 */
export async function settle(rounds = 4): Promise<void> {
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket: Socket, bytes) => void socket.write(bytes) },
  });
  const stream = await connect("127.0.0.1", server.port, true);
  for (let round = 0; round < rounds; round++) {
    void stream.write("x");
    await stream.readBytes(1);
  }
  stream.destroy();
  server.stop(true);
}

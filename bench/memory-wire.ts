// A wire without a socket, for measuring what is done between two of them. It copies what it is given, as a socket's wire
// does, and forgets it.

import { SILENT } from "../src/net/wire.ts";
import type { Wire, WireHandler } from "../src/proxy/ports.ts";

/** Takes everything at once, as a socket with room does. */
export class MemoryWire implements Wire {
  static readonly #taken = Buffer.allocUnsafeSlow(64 * 1024);
  handler: WireHandler = SILENT;
  accepted = 0;
  backlog = 0;
  closed = false;
  readonly #queue: (Uint8Array | string)[] = [];

  queue(data: Uint8Array | string): void {
    this.#queue.push(data);
    this.backlog += data.length;
  }

  give(bytes: Uint8Array): void {
    this.queue(bytes);
  }

  flush(): boolean {
    let at = 0;
    for (const piece of this.#queue) {
      if (typeof piece === "string") MemoryWire.#taken.write(piece, at, "latin1");
      else MemoryWire.#taken.set(piece, at);
      at += piece.length;
    }
    this.#queue.length = 0;
    this.accepted += at;
    this.backlog = 0;
    return true;
  }

  write(data: Uint8Array | string): boolean {
    this.queue(data);
    return this.flush();
  }

  pause(): void {
    // Whoever feeds it stops by itself.
  }

  resume(): void {
    // The same.
  }

  end(): void {
    this.closed = true;
  }

  close(): void {
    this.closed = true;
  }

  destroy(): void {
    this.closed = true;
  }
}

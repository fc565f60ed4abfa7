// A Wire over a Bun socket, plain or TLS: short writes kept and continued on drain, pause and resume without repeats,
// close exactly once. The handlers are module constants; a connection's state is the one object in socket.data.

import type { Socket, SocketHandler } from "bun";
import type { Wire, WireHandler } from "../proxy/ports.ts";

/** Nobody listens: before a handler is set and after the connection has been given up. */
export const SILENT: WireHandler = { onData: ignore, onDrain: ignore, onEnd: ignore, onClose: ignore };

/**
 * Queued pieces are joined here to one write: one TLS record, one segment, no buffer of its own. A socket takes what it is
 * given before write returns, so that all wires share it. What is larger goes by itself: copying more costs more.
 */
const SCRATCH = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * From this size on, memory of bytes that have left is returned by hand, and not when it is next collected: a streamed
 * body of any length then takes what waits of it and no more. Of less, there is little to win.
 */
const MIN_RETURNED = 16 * 1024;

export type WireSocket = Socket<SocketWire>;

export class SocketWire implements Wire {
  handler: WireHandler = SILENT;
  /** Set by whoever opened the socket. */
  socket: WireSocket | undefined;
  /** The socket has become the transport of a TLS session: its bytes are ciphertext and not for the handler. */
  carriesTls: RawHandler | undefined;
  closed = false;
  accepted = 0;
  backlog = 0;
  #queue: (Uint8Array | string)[] = [];
  /** Memory of queued bytes that nobody else uses. */
  #given: ArrayBuffer[] = [];
  #paused = false;
  #ending = false;
  #shut = false;
  #unwritable = false;

  queue(data: Uint8Array | string): void {
    if (this.#dropping || data.length === 0) return;
    this.#queue.push(data);
    this.backlog += data.length;
  }

  give(bytes: Uint8Array): void {
    if (this.#dropping) return;
    const { buffer } = bytes;
    const whole = bytes.length === buffer.byteLength && buffer instanceof ArrayBuffer;
    if (whole && bytes.length >= MIN_RETURNED) this.#given.push(buffer);
    this.queue(bytes);
  }

  flush(): boolean {
    const { socket } = this;
    if (this.backlog === 0 || this.closed || socket === undefined) return true;
    while (this.#queue.length > 0) {
      const { bytes, pieces, size } = groupOf(this.#queue);
      const written = bytes === undefined ? socket.write(SCRATCH, 0, size) : socket.write(bytes);
      if (written < 0) {
        this.#stopWriting(socket);
        return true;
      }
      this.accepted += written;
      this.backlog -= written;
      if (written < size) {
        // What the socket did not take is kept apart from the scratch, which others use next.
        const rest = bytes?.subarray(written) ?? Buffer.from(SCRATCH.subarray(written, size));
        this.#queue.splice(0, pieces, rest);
        return false;
      }
      if (pieces === this.#queue.length) this.#queue.length = 0;
      else this.#queue.splice(0, pieces);
    }
    if (this.#given.length > 0) this.#returnMemory();
    this.#shutWhenFlushed();
    return true;
  }

  write(data: Uint8Array | string): boolean {
    this.queue(data);
    return this.flush();
  }

  pause(): void {
    if (this.#paused || this.closed || this.#unwritable) return;
    this.#paused = true;
    this.socket?.pause();
  }

  resume(): void {
    if (!this.#paused || this.closed) return;
    this.#paused = false;
    this.socket?.resume();
  }

  end(): void {
    if (this.closed || this.#ending) return;
    this.flush();
    this.#ending = true;
    this.#shutWhenFlushed();
  }

  close(): void {
    this.#giveUp()?.end();
  }

  destroy(): void {
    this.#giveUp()?.terminate();
  }

  /** Called by the socket handlers. */
  onSocketDrain(): void {
    if (this.flush() && !this.closed) this.handler.onDrain();
  }

  onSocketClose(): void {
    if (this.closed) return;
    const { handler } = this;
    this.#giveUp();
    handler.onClose();
  }

  /** What is written goes nowhere. */
  get #dropping(): boolean {
    return this.closed || this.#ending || this.#unwritable;
  }

  #returnMemory(): void {
    for (const buffer of this.#given) buffer.transfer(0);
    this.#given.length = 0;
  }

  #shutWhenFlushed(): void {
    if (!this.#ending || this.#shut || this.backlog > 0) return;
    this.#shut = true;
    this.socket?.shutdown();
  }

  // The peer is gone for writing. What it sent before may still be read, and reading is how its end will be noticed.
  #stopWriting(socket: WireSocket): void {
    this.#unwritable = true;
    this.#queue = [];
    this.#given = [];
    this.backlog = 0;
    this.#paused = false;
    socket.resume();
  }

  #giveUp(): WireSocket | undefined {
    if (this.closed) return undefined;
    this.closed = true;
    this.handler = SILENT;
    this.#queue = [];
    this.#given = [];
    this.backlog = 0;
    const { socket } = this;
    this.socket = undefined;
    return socket;
  }
}

/** The pieces at the head of a queue that leave in one write. */
interface Group {
  /** The one piece itself; undefined: the pieces have been put into the scratch. */
  bytes: Uint8Array | undefined;
  /** How many pieces, and bytes in all. */
  pieces: number;
  size: number;
}

/** One object for all: it is taken apart before the next one is made. */
const GROUP: Group = { bytes: undefined, pieces: 0, size: 0 };

function groupOf(queue: readonly (Uint8Array | string)[]): Group {
  const first = queue[0] as Uint8Array | string; // asked for a queue that is not empty
  GROUP.pieces = 1;
  GROUP.size = first.length;
  const next = queue[1];
  const alone = next === undefined || first.length + next.length > SCRATCH.length;
  if (alone && (typeof first !== "string" || first.length > SCRATCH.length)) {
    GROUP.bytes = typeof first === "string" ? Buffer.from(first, "latin1") : first;
    return GROUP;
  }
  GROUP.bytes = undefined;
  GROUP.pieces = 0;
  GROUP.size = 0;
  for (const piece of queue) {
    if (GROUP.size + piece.length > SCRATCH.length) break;
    if (typeof piece === "string") SCRATCH.write(piece, GROUP.size, "latin1");
    else SCRATCH.set(piece, GROUP.size);
    GROUP.size += piece.length;
    GROUP.pieces++;
  }
  return GROUP;
}

/** Sees the ciphertext of a socket that carries TLS, and its end. */
export interface RawHandler {
  onRawData(bytes: Uint8Array): void;
}

/** What every established socket does; opening and handshakes are the listener's and the dialler's. */
export const wireEvents = {
  data(socket: WireSocket, bytes: Buffer): void {
    const wire = socket.data;
    if (wire.carriesTls !== undefined) wire.carriesTls.onRawData(bytes);
    else wire.handler.onData(bytes);
  },
  drain(socket: WireSocket): void {
    if (socket.data.carriesTls === undefined) socket.data.onSocketDrain();
  },
  end(socket: WireSocket): void {
    if (socket.data.carriesTls === undefined) socket.data.handler.onEnd();
  },
  close(socket: WireSocket): void {
    socket.data.onSocketClose();
  },
  error(socket: WireSocket, error: Error): void {
    // The runtime brings here what a handler of ours has thrown, and then closes nothing: it goes to whoever reports
    // bugs for the process, and the connection ends.
    if (!("code" in error)) queueMicrotask(() => rethrow(error));
    socket.data.onSocketClose();
    socket.terminate();
  },
} satisfies SocketHandler<SocketWire>;

function rethrow(error: Error): never {
  throw error;
}

function ignore(): void {
  // Nobody is interested.
}

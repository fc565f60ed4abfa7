// A Wire over a Bun socket, plain or TLS: short writes kept and continued on drain, pause and resume without repeats,
// close exactly once. The handlers are module constants; a connection's state is the one object in socket.data.

import type { Socket, SocketHandler } from "bun";
import type { Wire, WireHandler } from "../proxy/ports.ts";

/** Nobody listens: before a handler is set and after the connection has been given up. */
export const SILENT: WireHandler = { onData: ignore, onDrain: ignore, onEnd: ignore, onClose: ignore };

/** Queued pieces up to this many bytes are joined to one write: one TLS record, one segment. Copying more costs more. */
const MAX_JOIN_BYTES = 64 * 1024;

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
  #queue: Uint8Array[] = [];
  #paused = false;
  #ending = false;
  #shut = false;
  #unwritable = false;

  queue(bytes: Uint8Array): void {
    if (this.closed || this.#ending || this.#unwritable || bytes.length === 0) return;
    this.#queue.push(bytes);
    this.backlog += bytes.length;
  }

  flush(): boolean {
    const { socket } = this;
    if (this.backlog === 0 || this.closed || socket === undefined) return true;
    if (this.#queue.length > 1) this.#join();
    while (this.#queue.length > 0) {
      const first = this.#queue[0] as Uint8Array; // the queue is not empty
      const written = socket.write(first);
      if (written < 0) {
        this.#stopWriting(socket);
        return true;
      }
      this.accepted += written;
      this.backlog -= written;
      if (written < first.length) {
        this.#queue[0] = first.subarray(written);
        return false;
      }
      this.#queue.shift();
    }
    this.#shutWhenFlushed();
    return true;
  }

  write(bytes: Uint8Array): boolean {
    this.queue(bytes);
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

  #shutWhenFlushed(): void {
    if (!this.#ending || this.#shut || this.backlog > 0) return;
    this.#shut = true;
    this.socket?.shutdown();
  }

  // The peer is gone for writing. What it sent before may still be read, and reading is how its end will be noticed.
  #stopWriting(socket: WireSocket): void {
    this.#unwritable = true;
    this.#queue = [];
    this.backlog = 0;
    this.#paused = false;
    socket.resume();
  }

  #giveUp(): WireSocket | undefined {
    if (this.closed) return undefined;
    this.closed = true;
    this.handler = SILENT;
    this.#queue = [];
    this.backlog = 0;
    const { socket } = this;
    this.socket = undefined;
    return socket;
  }

  #join(): void {
    if (this.backlog <= MAX_JOIN_BYTES) {
      this.#queue = [Buffer.concat(this.#queue, this.backlog)];
      return;
    }
    const joined: Uint8Array[] = [];
    let group: Uint8Array[] = [];
    let size = 0;
    for (const piece of this.#queue) {
      if (size + piece.length > MAX_JOIN_BYTES && group.length > 0) {
        joined.push(Buffer.concat(group, size));
        group = [];
        size = 0;
      }
      group.push(piece);
      size += piece.length;
    }
    joined.push(group.length === 1 ? (group[0] as Uint8Array) : Buffer.concat(group, size));
    this.#queue = joined;
  }
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

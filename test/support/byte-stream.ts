// One end of a raw TCP or TLS connection, for tests: keeps every byte received, lets a test await the next ones.
// Used for clients and for scripted upstreams alike. It knows nothing of HTTP (see http-message.ts) and
// never sleeps: a wait ends with its event, or fails after a deadline and shows what had arrived.
import type { Socket } from "bun";

/** How long a wait may last before the test fails. */
export const WAIT_MS = 4_000;

/** What a stream tells its waiters when the bytes asked for can no longer come. */
export class StreamEnded extends Error {
  constructor(what: string, got: Buffer) {
    super(
      `stream ended while waiting for ${what}; unread: ${JSON.stringify(got.toString("latin1").slice(0, 600))}`,
    );
  }
}

interface Pending {
  check: () => boolean;
  fail: (why: Error) => void;
  what: string;
}

/** A promise that fails with `what` when it has not settled after `ms`. */
export function within<T>(promise: Promise<T>, what: string, ms: number = WAIT_MS): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no ${what} after ${ms} ms`)), ms);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export class ByteStream {
  /** Set by the one that made the socket. */
  socket: Socket<ByteStream> | undefined;
  /** True after the peer sent its end (FIN or close_notify), or the connection closed. */
  ended = false;
  closed = false;
  /** The TLS handshake succeeded (servers), or succeeded and verified (clients). */
  secured = false;
  error: Error | undefined;
  /** Takes bytes instead of the buffer when set: for bulk data that must not be kept. */
  sink: ((chunk: Buffer) => void) | undefined;
  /** Raw sockets under a TLS layer still see ciphertext: it is dropped. */
  muted = false;
  bytesIn = 0;
  /** Bytes that the kernel has taken. */
  bytesOut = 0;

  readonly #chunks: Buffer[] = [];
  #unread: Buffer = Buffer.alloc(0);
  #outgoing: Buffer[] = [];
  #finish = false;
  #pending: Pending[] = [];
  #idle: (() => void)[] = [];
  readonly #ending = Promise.withResolvers<void>();
  readonly #closing = Promise.withResolvers<void>();
  readonly #handshake = Promise.withResolvers<void>();

  constructor() {
    this.#handshake.promise.catch(() => undefined);
  }

  /** Settles when the TLS handshake is over; rejects when it failed. */
  get handshake(): Promise<void> {
    return this.#handshake.promise;
  }

  /** Everything received so far, read or not. */
  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get text(): string {
    return this.received.toString("latin1");
  }

  /** What has arrived and was not read yet. */
  get unread(): Buffer {
    return this.#unread;
  }

  /** Queues bytes (strings as latin1). Resolves when the kernel has taken them all, or the connection is gone. */
  write(data: string | Uint8Array): Promise<void> {
    this.#outgoing.push(typeof data === "string" ? Buffer.from(data, "latin1") : Buffer.from(data));
    this.flush();
    return this.drained();
  }

  drained(): Promise<void> {
    if (this.#outgoing.length === 0 || this.closed) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Sends our end once everything queued has left (half-close). */
  end(): void {
    this.#finish = true;
    this.flush();
  }

  /** Closes at once; queued bytes are lost. */
  destroy(): void {
    this.socket?.terminate();
  }

  pause(): void {
    this.socket?.pause();
  }

  resume(): void {
    this.socket?.resume();
  }

  /** Resolves when the connection is closed on both sides. */
  whenClosed(ms: number = WAIT_MS): Promise<void> {
    return within(this.#closing.promise, "close of the connection", ms);
  }

  /** Reads up to and including `marker`. */
  async readUntil(marker: string): Promise<string> {
    const needle = Buffer.from(marker, "latin1");
    let at = -1;
    await this.#wait(JSON.stringify(marker), () => {
      at = this.#unread.indexOf(needle);
      return at >= 0;
    });
    return this.#take(at + needle.length).toString("latin1");
  }

  async readBytes(count: number): Promise<Buffer> {
    await this.#wait(`${count} bytes`, () => this.#unread.length >= count);
    return this.#take(count);
  }

  /** Reads whatever comes until the peer's end. */
  async readToEnd(ms: number = WAIT_MS): Promise<Buffer> {
    await this.#wait("the end", () => this.ended, ms);
    return this.#take(this.#unread.length);
  }

  /** Waits until `count` bytes in all have come in, without reading them. */
  async untilReceived(count: number): Promise<void> {
    await this.#wait(`${count} bytes in all`, () => this.bytesIn >= count);
  }

  /** Takes all that is unread now. */
  takeUnread(): Buffer {
    return this.#take(this.#unread.length);
  }

  /** Resolves at the peer's end, however long it takes. */
  whenEnded(): Promise<void> {
    return this.#ending.promise;
  }

  /** Waits for any unread byte; false when the end came first. */
  async untilReadable(ms: number = WAIT_MS): Promise<boolean> {
    await this.#wait("a byte or the end", () => this.#unread.length > 0 || this.ended, ms);
    return this.#unread.length > 0;
  }

  flush(): void {
    const socket = this.socket;
    while (socket !== undefined && !this.closed && this.#outgoing.length > 0) {
      const head = this.#outgoing[0] as Buffer;
      const taken = head.length === 0 ? 0 : Math.max(0, socket.write(head));
      this.bytesOut += taken;
      if (taken < head.length) {
        this.#outgoing[0] = head.subarray(taken);
        return;
      }
      this.#outgoing.shift();
    }
    if (this.#outgoing.length === 0 || this.closed) {
      if (this.#finish && !this.closed && socket !== undefined) {
        this.#finish = false;
        socket.shutdown();
      }
      for (const wake of this.#idle.splice(0)) wake();
    }
  }

  onData(chunk: Buffer): void {
    if (this.muted) return;
    this.bytesIn += chunk.length;
    if (this.sink !== undefined) {
      this.sink(chunk);
    } else {
      const copy = Buffer.from(chunk);
      this.#chunks.push(copy);
      this.#unread = this.#unread.length === 0 ? copy : Buffer.concat([this.#unread, copy]);
    }
    this.#settle();
  }

  onEnd(): void {
    this.ended = true;
    this.#ending.resolve();
    this.#settle();
  }

  onHandshake(ok: boolean, error: Error | undefined): void {
    this.secured = ok;
    if (ok) this.#handshake.resolve();
    else this.#handshake.reject(error ?? new Error("TLS handshake failed"));
  }

  onClose(): void {
    this.closed = true;
    this.ended = true;
    this.#ending.resolve();
    this.#handshake.reject(new Error("closed before the TLS handshake was over"));
    this.flush();
    this.#settle();
    this.#closing.resolve();
  }

  #take(count: number): Buffer {
    const taken = this.#unread.subarray(0, count);
    this.#unread = this.#unread.subarray(count);
    return taken;
  }

  #settle(): void {
    for (const waiting of [...this.#pending]) {
      if (waiting.check()) continue;
      if (this.ended) waiting.fail(new StreamEnded(waiting.what, this.#unread));
    }
  }

  #wait(what: string, ready: () => boolean, ms: number = WAIT_MS): Promise<void> {
    if (ready()) return Promise.resolve();
    if (this.ended) return Promise.reject(new StreamEnded(what, this.#unread));
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer);
        this.#pending = this.#pending.filter((other) => other !== entry);
      };
      const entry: Pending = {
        what,
        check: () => {
          if (!ready()) return false;
          leave();
          resolve();
          return true;
        },
        fail: (why) => {
          leave();
          reject(why);
        },
      };
      const timer = setTimeout(() => {
        const got = JSON.stringify(this.#unread.toString("latin1").slice(0, 600));
        entry.fail(new Error(`no ${what} after ${ms} ms; unread: ${got}`));
      }, ms);
      this.#pending.push(entry);
    });
  }
}

/** Handlers for Bun.listen, Bun.connect and upgradeTLS whose `data` is a ByteStream. */
export const streamHandlers = {
  open(socket: Socket<ByteStream>): void {
    socket.data.socket = socket;
  },
  data(socket: Socket<ByteStream>, chunk: Buffer): void {
    socket.data.onData(chunk);
  },
  drain(socket: Socket<ByteStream>): void {
    socket.data.flush();
  },
  end(socket: Socket<ByteStream>): void {
    socket.data.onEnd();
  },
  close(socket: Socket<ByteStream>): void {
    socket.data.onClose();
  },
  error(socket: Socket<ByteStream>, error: Error): void {
    socket.data.error = error;
  },
};

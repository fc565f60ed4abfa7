// Server-side TLS for a client that sent its ClientHello behind the CONNECT head, before our 200. The runtime cannot
// start TLS on a socket with bytes it has read already, so these few connections go through node:tls over a stream
// that begins with those bytes. Slower than accept-tls.ts, and loaded by nobody else. bun-facts.md.

import { Duplex } from "node:stream";
import { TLSSocket, type TLSSocketOptions } from "node:tls";
import type { SecureHandler, Wire, WireHandler } from "../proxy/ports.ts";
import type { Leaf } from "../x509/leaf.ts";
import { SILENT } from "./wire.ts";

/** First byte of a TLS record that holds a handshake message (RFC 8446 section 5.1). */
export const TLS_HANDSHAKE_RECORD = 0x16;

/** @param early what came behind the CONNECT head */
export function acceptEarlyTls(transport: Wire, leaf: Leaf, early: Uint8Array, handler: SecureHandler): Wire {
  const ciphertext = new WireStream(transport);
  const options: TLSSocketOptions = {
    isServer: true,
    key: leaf.keyPem,
    cert: leaf.certPem,
    ALPNProtocols: ["http/1.1"],
  };
  // TLSSocket takes any Duplex; its typings name net.Socket only.
  const tls = new TLSSocket(ciphertext as unknown as ConstructorParameters<typeof TLSSocket>[0], options);
  const wire = new StreamWire(
    tls,
    ciphertext,
    handler,
    early[0] === TLS_HANDSHAKE_RECORD ? "failed" : "not-tls",
  );
  ciphertext.push(early);
  return wire;
}

/** A wire as the stream that node:tls wants to stand on. */
class WireStream extends Duplex implements WireHandler {
  readonly #wire: Wire;
  #written: (() => void) | undefined;
  #waiting: (() => void)[] = [];

  constructor(wire: Wire) {
    super({ allowHalfOpen: true });
    this.#wire = wire;
    wire.handler = this;
  }

  onData(bytes: Uint8Array): void {
    if (!this.push(bytes)) this.#wire.pause();
  }

  onDrain(): void {
    const written = this.#written;
    this.#written = undefined;
    written?.();
    setImmediate(() => this.#settle());
  }

  /** Calls back once the transport has taken all that was written so far. */
  whenTaken(taken: () => void): void {
    this.#waiting.push(taken);
    this.#settle();
  }

  #settle(): void {
    if (this.#written !== undefined || this.writableLength > 0) return;
    for (const taken of this.#waiting.splice(0)) taken();
  }

  onEnd(): void {
    this.push(null);
  }

  onClose(): void {
    this.destroy();
  }

  override _read(): void {
    this.#wire.resume();
  }

  override _write(bytes: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    if (this.#wire.write(bytes)) done();
    else this.#written = done;
  }

  override _final(done: () => void): void {
    this.#wire.end();
    done();
  }

  override _destroy(_error: Error | null, done: (error: Error | null) => void): void {
    this.#wire.destroy();
    done(null);
  }
}

/** The plaintext side as a Wire. */
class StreamWire implements Wire {
  handler: WireHandler = SILENT;
  closed = false;
  accepted = 0;
  readonly #tls: TLSSocket;
  readonly #ciphertext: WireStream;
  #queue: Uint8Array[] = [];
  #queued = 0;
  /** Given to the stream, not yet taken by the transport. */
  #unsent = 0;
  #ending = false;

  /** @param failure what a handshake that does not complete means */
  constructor(tls: TLSSocket, ciphertext: WireStream, secure: SecureHandler, failure: "failed" | "not-tls") {
    this.#tls = tls;
    this.#ciphertext = ciphertext;
    let secured = false;
    tls.on("secure", () => {
      secured = true;
      secure.onSecured();
    });
    tls.on("data", (bytes: Buffer) => this.handler.onData(bytes));
    tls.on("end", () => this.handler.onEnd());
    // Without a listener an error would be thrown; what it means is told by close.
    tls.on("error", () => tls.destroy());
    tls.on("close", () => {
      if (this.closed) return;
      if (!secured) secure.onHandshakeFailed(failure);
      const { handler } = this;
      this.#giveUp();
      handler.onClose();
    });
  }

  get backlog(): number {
    return this.#queued + this.#unsent;
  }

  queue(data: Uint8Array | string): void {
    if (this.closed || this.#ending || data.length === 0) return;
    this.#queue.push(typeof data === "string" ? Buffer.from(data, "latin1") : data);
    this.#queued += data.length;
  }

  give(bytes: Uint8Array): void {
    this.queue(bytes);
  }

  flush(): boolean {
    if (!this.closed && this.#queued > 0) {
      const bytes = Buffer.concat(this.#queue, this.#queued);
      this.#queue = [];
      this.#queued = 0;
      this.#unsent += bytes.length;
      this.#tls.write(bytes, () => this.#ciphertext.whenTaken(() => this.#onSent(bytes.length)));
    }
    return this.closed || this.#unsent === 0;
  }

  write(data: Uint8Array | string): boolean {
    this.queue(data);
    return this.flush();
  }

  pause(): void {
    this.#tls.pause();
  }

  resume(): void {
    this.#tls.resume();
  }

  end(): void {
    if (this.closed || this.#ending) return;
    this.flush();
    this.#ending = true;
    this.#tls.end();
  }

  close(): void {
    if (this.closed) return;
    this.#giveUp();
    this.#tls.end(() => this.#tls.destroy());
  }

  destroy(): void {
    if (this.closed) return;
    this.#giveUp();
    this.#tls.destroy();
  }

  #onSent(count: number): void {
    if (this.closed) return;
    this.accepted += count;
    this.#unsent -= count;
    if (this.backlog === 0) this.handler.onDrain();
  }

  #giveUp(): void {
    this.closed = true;
    this.handler = SILENT;
    this.#queue = [];
    this.#queued = 0;
    this.#unsent = 0;
  }
}

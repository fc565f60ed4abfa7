// Two wires spliced: bytes pass as they come, a full side pauses the other, half-close travels through. What an opaque
// CONNECT and a 101 become. No inactivity limit. wire.md section 4.

import { Farewell } from "./farewell.ts";
import type { Cancellable, Wire, WireHandler } from "./ports.ts";
import type { SessionDeps } from "./session-deps.ts";

export interface TunnelOwner {
  /** Both directions have ended, or one side broke; both wires are gone. Bytes from and to the client. */
  onTunnelClosed(sent: number, received: number): void;
}

export type TunnelDeps = Pick<SessionDeps, "clock" | "live" | "lifecycle">;

export class Tunnel implements Cancellable {
  readonly #owner: TunnelOwner;
  readonly #deps: TunnelDeps;
  readonly #client: Wire;
  readonly #upstream: Wire;
  readonly #up: Direction;
  readonly #down: Direction;
  #closed = false;

  /** Takes over both wires; `fromClient` and `fromUpstream` arrived before. */
  constructor(
    owner: TunnelOwner,
    deps: TunnelDeps,
    client: Wire,
    upstream: Wire,
    fromClient: Uint8Array,
    fromUpstream: Uint8Array,
  ) {
    this.#owner = owner;
    this.#deps = deps;
    deps.lifecycle.tunnels++;
    this.#client = client;
    this.#upstream = upstream;
    this.#up = new Direction(client, upstream, this);
    this.#down = new Direction(upstream, client, this);
    client.handler = new Side(this.#up, this.#down);
    upstream.handler = new Side(this.#down, this.#up);
    client.resume();
    upstream.resume();
    if (fromUpstream.length > 0) this.#down.onData(fromUpstream);
    if (fromClient.length > 0) this.#up.onData(fromClient);
  }

  /** Ends both sides at once: revocation, shutdown. */
  cancel(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.destroy();
    this.#upstream.destroy();
    this.#over();
  }

  /** Called whenever a direction has ended or a wire has been flushed: closes once nothing is owed to anyone. */
  settle(): void {
    if (this.#closed || !this.#up.ended || !this.#down.ended) return;
    if (this.#client.backlog > 0 || this.#upstream.backlog > 0) return;
    this.#closed = true;
    this.#client.close();
    this.#upstream.close();
    this.#over();
  }

  /** A wire is gone. What it said before its FIN is still delivered, with patience; a break is passed on as one. */
  onGone(wire: Wire): void {
    if (this.#closed) return;
    this.#closed = true;
    const clientGone = wire === this.#client;
    const other = clientGone ? this.#upstream : this.#client;
    const ended = clientGone ? this.#up.ended : this.#down.ended;
    // An upstream's last words are owed to the client even if it broke off; a client that broke off is owed nothing.
    if (other.backlog > 0 && (ended || !clientGone)) Farewell.ofOrphan(other, this.#deps);
    else if (ended && other.backlog === 0) other.close();
    else other.destroy();
    this.#over();
  }

  #over(): void {
    this.#deps.lifecycle.tunnels--;
    this.#owner.onTunnelClosed(this.#up.bytes, this.#down.bytes);
  }
}

class Direction {
  readonly #from: Wire;
  readonly #to: Wire;
  readonly #tunnel: Tunnel;
  bytes = 0;
  ended = false;

  constructor(from: Wire, to: Wire, tunnel: Tunnel) {
    this.#from = from;
    this.#to = to;
    this.#tunnel = tunnel;
  }

  onData(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    this.#to.give(bytes);
    if (!this.#to.flush()) this.#from.pause();
  }

  onRoom(): void {
    this.#from.resume();
    this.#tunnel.settle();
  }

  /** The source has said its last byte. */
  onEnd(): void {
    if (!this.ended) {
      this.ended = true;
      this.#to.end();
    }
    this.#tunnel.settle();
  }

  onGone(): void {
    this.#tunnel.onGone(this.#from);
  }
}

/** One wire's view: what it reads goes `out`, what it has room for comes `in`. */
class Side implements WireHandler {
  readonly #out: Direction;
  readonly #in: Direction;

  constructor(out: Direction, into: Direction) {
    this.#out = out;
    this.#in = into;
  }

  onData(bytes: Uint8Array): void {
    this.#out.onData(bytes);
  }

  onDrain(): void {
    this.#in.onRoom();
  }

  onEnd(): void {
    this.#out.onEnd();
  }

  onClose(): void {
    this.#out.onGone();
  }
}

// A new connection for each request: handshakes, tunnels and, with many hosts, leaf certificates.

import { type Contestant, type Load, manyHost } from "../plan.ts";
import { Client } from "./client.ts";
import type { Opening } from "./connection.ts";
import { type Prepared, prepare } from "./exchange.ts";
import { Side } from "./side.ts";

/** Client addresses to come from: the proxy lets each have 50 new hosts a second, and each has ports of its own. */
const SOURCES = 25;

interface Place {
  readonly opening: Opening;
  readonly prepared: Prepared;
}

export class ConnectSide extends Side {
  readonly #connections: number;
  readonly #places: readonly Place[];
  readonly #since = new Map<Client, number>();
  readonly #hosts: readonly Place[];
  #opened = 0;
  #current: readonly Place[];

  constructor(
    contestant: Contestant,
    load: Extract<Load, { kind: "connects" }>,
    upstreams: readonly number[],
    ca: string,
  ) {
    super(contestant, upstreams);
    const { route } = contestant;
    this.#connections = load.connections;
    const placeOf = (host: string): Place => ({
      opening: { route, host, ca, resume: load.resume },
      prepared: prepare(load.exchange, route, host),
    });
    const many = Array.from({ length: load.hosts }, (_, i) => manyHost(i));
    this.#hosts = (load.hosts === 1 ? ["localhost"] : many).map(placeOf);
    this.#places = load.cold ? [placeOf("localhost")] : this.#hosts;
    this.#current = this.#places;
  }

  /** The warm-up is over: from here on it is the hosts. */
  override begin(operations: number): void {
    super.begin(operations);
    if (this.#opened > 0) this.#current = this.#hosts;
  }

  protected override get settled(): boolean {
    return this.#since.size === 0;
  }

  protected override get bytesEach(): number {
    return this.#places[0]?.prepared.bytes ?? 0;
  }

  protected override go(): void {
    for (let i = 0; i < this.#connections; i++) this.#open();
  }

  override onIdle(client: Client): void {
    client.ask(this.#since.get(client) ?? Number.NaN);
  }

  protected override onDone(client: Client): void {
    this.#since.delete(client);
    client.close();
    this.#open();
  }

  #open(): void {
    if (!this.take()) return;
    const place = this.#current[this.#opened++ % this.#current.length];
    if (place === undefined) throw new Error("no host");
    const from = `127.0.0.${10 + (this.#opened % SOURCES)}`;
    const now = performance.now();
    this.#since.set(new Client({ ...place.opening, from }, place.prepared, this), now);
  }
}

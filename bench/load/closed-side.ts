// Kept-alive connections, each with one request after the other: what the target costs, and the most it can do. The
// latencies are those of a full load.

import { type Contestant, runToken } from "../plan.ts";
import { Client } from "./client.ts";
import { type Prepared, prepare } from "./exchange.ts";
import { Side } from "./side.ts";

export class ClosedSide extends Side {
  readonly #idle: Client[] = [];
  readonly #connections: number;
  readonly #prepared: Prepared;

  constructor(contestant: Contestant, upstreams: readonly number[], ca: string) {
    super(contestant, upstreams);
    const { load, route } = contestant;
    this.#connections = load.connections;
    this.#prepared = prepare(load.exchange, route, "localhost");
    const opening = { route, host: "localhost", ca, resume: false };
    for (let i = 0; i < this.#connections; i++) {
      // Of many runs, as many as there are connections are asked for, spread over all.
      const { runs } = route;
      const token = runs === undefined ? {} : { token: runToken(Math.floor((i * runs) / this.#connections)) };
      new Client({ ...opening, ...token }, this.#prepared, this);
    }
  }

  protected override get settled(): boolean {
    return this.#idle.length === this.#connections;
  }

  protected override get bytesEach(): number {
    return this.#prepared.bytes;
  }

  protected override go(): void {
    for (const client of this.#idle.splice(0)) this.#next(client);
  }

  override onIdle(client: Client): void {
    this.#idle.push(client);
    this.checkQuiet();
  }

  protected override onDone(client: Client): void {
    this.#next(client);
  }

  #next(client: Client): void {
    if (this.take()) client.ask(performance.now());
    else this.#idle.push(client);
  }
}

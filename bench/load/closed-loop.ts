// Kept-alive connections, each with one request after the other. Says what the target costs and the most it can do;
// its latencies are those of a full load.

import type { Measured, Plan } from "../plan.ts";
import { Client, type Driver } from "./client.ts";
import type { Opening } from "./connection.ts";
import type { Prepared } from "./exchange.ts";
import { Budget, Meter } from "./meter.ts";

export function closedLoop(
  plan: Plan,
  connections: number,
  opening: Opening,
  prepared: Prepared,
): Promise<Measured> {
  return new Promise((resolve, reject) => {
    new ClosedLoop(plan, connections, prepared, resolve, (why) => reject(new Error(why))).open(opening);
  });
}

class ClosedLoop implements Driver {
  readonly #plan: Plan;
  readonly #connections: number;
  readonly #prepared: Prepared;
  readonly #resolve: (measured: Measured) => void;
  readonly #fail: (why: string) => void;
  readonly #meter: Meter;
  #idle: Client[] = [];
  #warm = false;
  #budget: Budget | undefined;

  constructor(
    plan: Plan,
    connections: number,
    prepared: Prepared,
    resolve: (measured: Measured) => void,
    fail: (why: string) => void,
  ) {
    this.#plan = plan;
    this.#connections = connections;
    this.#prepared = prepared;
    this.#resolve = resolve;
    this.#fail = fail;
    this.#meter = new Meter(plan);
  }

  open(opening: Opening): void {
    for (let i = 0; i < this.#connections; i++) new Client(opening, this.#prepared, this);
  }

  onFailed(why: string): void {
    this.#fail(why);
  }

  onIdle(client: Client): void {
    this.#idle.push(client);
    if (this.#idle.length === this.#connections) this.#next();
  }

  onAnswered(client: Client, since: number): void {
    const now = performance.now();
    this.#meter.latencies.add(now - since);
    if (this.#budget?.take() === true) client.ask(now);
    else this.onIdle(client);
  }

  // All are idle: the warm-up begins, or the measured time, or it is over.
  #next(): void {
    if (this.#budget !== undefined && this.#warm) {
      const { count } = this.#meter.latencies;
      this.#resolve(this.#meter.result(count, this.#prepared.bytes));
      return;
    }
    this.#warm = this.#budget !== undefined || this.#plan.warmUp.operations === 0;
    this.#meter.start();
    this.#budget = new Budget(this.#warm ? this.#plan.measure : this.#plan.warmUp);
    const clients = this.#idle;
    this.#idle = [];
    for (const client of clients) {
      if (this.#budget.take()) client.ask(performance.now());
      else this.#idle.push(client);
    }
    if (this.#idle.length === this.#connections) this.#next();
  }
}

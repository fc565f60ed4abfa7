// A fixed rate: requests are due at fixed times whatever the answers take, wait for a free connection when there is
// none, and their latency counts from when they were due. So a target that stalls is charged for all that had to
// wait (no coordinated omission).

import type { AlonePlan, Measured } from "../plan.ts";
import { Client, type Driver } from "./client.ts";
import type { Opening } from "./connection.ts";
import type { Prepared } from "./exchange.ts";
import { Latencies } from "./latencies.ts";
import { Meter } from "./meter.ts";

/** Requests that are due together leave together; this is how late the last of them can be. */
const TICK_MS = 1;
/** What has not been answered by then never will be in time. */
const GRACE_MS = 10_000;

export function openLoop(
  plan: AlonePlan,
  load: { readonly connections: number; readonly perSecond: number },
  opening: Opening,
  prepared: Prepared,
): Promise<Measured> {
  return new Promise((resolve, reject) => {
    new OpenLoop(plan, load, prepared, resolve, (why) => reject(new Error(why))).open(opening);
  });
}

class OpenLoop implements Driver {
  readonly #plan: AlonePlan;
  readonly #load: { readonly connections: number; readonly perSecond: number };
  readonly #prepared: Prepared;
  readonly #resolve: (measured: Measured) => void;
  readonly #fail: (why: string) => void;
  readonly #meter: Meter;
  readonly #late = new Latencies();
  readonly #idle: Client[] = [];
  #start = 0;
  #total = 0;
  #sent = 0;
  #answered = 0;
  #warm = false;

  constructor(
    plan: AlonePlan,
    load: { readonly connections: number; readonly perSecond: number },
    prepared: Prepared,
    resolve: (measured: Measured) => void,
    fail: (why: string) => void,
  ) {
    this.#plan = plan;
    this.#load = load;
    this.#prepared = prepared;
    this.#resolve = resolve;
    this.#fail = fail;
    this.#meter = new Meter(plan);
  }

  open(opening: Opening): void {
    for (let i = 0; i < this.#load.connections; i++) new Client(opening, this.#prepared, this);
  }

  onFailed(why: string): void {
    this.#fail(why);
  }

  onIdle(client: Client): void {
    this.#idle.push(client);
    if (this.#idle.length === this.#load.connections && this.#start === 0) this.#begin();
  }

  onAnswered(client: Client, since: number): void {
    this.#meter.latencies.add(performance.now() - since);
    this.#answered++;
    this.#idle.push(client);
    if (this.#answered === this.#total) this.#end();
    // What is overdue does not wait for the next tick as well.
    else if (this.#sent < this.#due(performance.now())) this.#send(this.#due(performance.now()));
  }

  #begin(): void {
    const { seconds, operations } = this.#warm ? this.#plan.measure : this.#plan.warmUp;
    this.#total = Math.max(1, Math.min(operations, Math.floor(seconds * this.#load.perSecond)));
    this.#sent = 0;
    this.#answered = 0;
    this.#late.clear();
    this.#meter.start();
    this.#start = performance.now();
    this.#tick();
  }

  #tick(): void {
    const now = performance.now();
    this.#send(this.#due(now));
    if (now > this.#dueAt(this.#total) + GRACE_MS) {
      this.#fail(`${this.#total - this.#answered} of ${this.#total} requests are not answered in time`);
    } else if (this.#answered < this.#total) setTimeout(() => this.#tick(), TICK_MS);
  }

  #dueAt(index: number): number {
    return this.#start + (index / this.#load.perSecond) * 1000;
  }

  #due(now: number): number {
    return Math.min(this.#total, Math.floor(((now - this.#start) / 1000) * this.#load.perSecond) + 1);
  }

  #send(due: number): void {
    while (this.#sent < due) {
      const client = this.#idle.pop();
      if (client === undefined) return;
      const at = this.#dueAt(this.#sent++);
      this.#late.add(performance.now() - at);
      client.ask(at);
    }
  }

  #end(): void {
    if (this.#warm) {
      const [late = Number.NaN] = this.#late.quantiles(0.99);
      this.#resolve({ ...this.#meter.result(this.#total, this.#prepared.bytes), late });
      return;
    }
    this.#warm = true;
    // The tick of the warm-up sees that it is over; this begins the next on a stack of its own.
    setTimeout(() => this.#begin(), 2 * TICK_MS);
  }
}

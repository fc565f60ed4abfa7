// Tunnels that have served one request and then do nothing. What one costs is the slope of memory between a fifth
// of them and all: what the program takes once, for the first, does not count.

import type { AlonePlan, Measured } from "../plan.ts";
import { residentKib } from "../processes.ts";
import { Client, type Driver } from "./client.ts";
import type { Opening } from "./connection.ts";
import type { Prepared } from "./exchange.ts";
import { Meter } from "./meter.ts";

const OPENING_AT_ONCE = 32;
/** For a garbage collector to return what opening took. */
const SETTLE_MS = 3_000;
const KIB = 1024;

export function idle(
  plan: AlonePlan,
  count: number,
  opening: Opening,
  prepared: Prepared,
): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const fail = (why: unknown): void => reject(new Error(String(why)));
    const run = async (): Promise<Measured> => {
      const meter = new Meter(plan);
      const crowd = new Crowd(opening, prepared, meter, fail);
      const first = Math.floor(count / 5);
      await crowd.grow(first);
      await Bun.sleep(SETTLE_MS);
      const before = residentKib(plan.target);
      meter.start();
      await crowd.grow(count - first);
      await Bun.sleep(SETTLE_MS);
      const after = residentKib(plan.target);
      const bytesEach = ((after - before) * KIB) / (count - first);
      return { ...meter.result(count - first, prepared.bytes), bytesEach };
    };
    run().then(resolve, fail);
  });
}

class Crowd implements Driver {
  readonly #opening: Opening;
  readonly #prepared: Prepared;
  readonly #meter: Meter;
  readonly #fail: (why: string) => void;
  #toOpen = 0;
  #pending = 0;
  #done: () => void = () => undefined;

  constructor(opening: Opening, prepared: Prepared, meter: Meter, fail: (why: string) => void) {
    this.#opening = opening;
    this.#prepared = prepared;
    this.#meter = meter;
    this.#fail = fail;
  }

  grow(count: number): Promise<void> {
    this.#toOpen = count;
    this.#pending = count;
    return new Promise((resolve) => {
      this.#done = resolve;
      for (let i = 0; i < OPENING_AT_ONCE; i++) this.#open();
    });
  }

  onIdle(client: Client): void {
    client.ask(performance.now());
  }

  onAnswered(_client: Client, since: number): void {
    this.#meter.latencies.add(performance.now() - since);
    this.#open();
    if (--this.#pending === 0) this.#done();
  }

  onFailed(why: string): void {
    this.#fail(`idle tunnel: ${why}`);
  }

  #open(): void {
    if (this.#toOpen === 0) return;
    this.#toOpen--;
    new Client(this.#opening, this.#prepared, this);
  }
}

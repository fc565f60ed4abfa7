// A new connection for each request: handshakes, tunnels and, with many hosts, leaf certificates.

import { type Load, type Measured, manyHost, type Plan } from "../plan.ts";
import { Client, type Driver } from "./client.ts";
import type { Opening } from "./connection.ts";
import { type Prepared, prepare } from "./exchange.ts";
import { Budget, Meter } from "./meter.ts";

/** Client addresses to come from: the proxy lets each have 50 new hosts a second, and each has ports of its own. */
const SOURCES = 25;

export type Connects = Extract<Load, { kind: "connects" }>;

export function connects(plan: Plan, load: Connects, ca: string): Promise<Measured> {
  return new Promise((resolve, reject) => {
    new ConnectLoop(plan, load, ca, resolve, (why) => reject(new Error(why))).begin();
  });
}

interface Place {
  readonly opening: Opening;
  readonly prepared: Prepared;
}

class ConnectLoop implements Driver {
  readonly #plan: Plan;
  readonly #load: Connects;
  readonly #places: readonly Place[];
  readonly #warmPlaces: readonly Place[];
  readonly #resolve: (measured: Measured) => void;
  readonly #fail: (why: string) => void;
  readonly #meter: Meter;
  #running = 0;
  #started = 0;
  #warm: boolean;
  #budget: Budget;
  #since = new Map<Client, number>();

  constructor(
    plan: Plan,
    load: Connects,
    ca: string,
    resolve: (measured: Measured) => void,
    fail: (why: string) => void,
  ) {
    this.#plan = plan;
    this.#load = load;
    this.#resolve = resolve;
    this.#fail = fail;
    this.#warm = plan.warmUp.operations === 0;
    this.#budget = new Budget(this.#warm ? plan.measure : plan.warmUp);
    const hosts =
      load.hosts === 1 ? ["localhost"] : Array.from({ length: load.hosts }, (_, i) => manyHost(i));
    const placeOf = (host: string, i: number): Place => ({
      opening: { route: plan.route, host, ca, resume: load.resume, from: sourceOf(i) },
      prepared: prepare(load.exchange, plan.route, host),
    });
    this.#places = hosts.map(placeOf);
    this.#warmPlaces = load.cold ? [placeOf("localhost", 0)] : this.#places;
    this.#meter = new Meter(plan);
  }

  begin(): void {
    for (let i = 0; i < this.#load.connections; i++) this.#open();
  }

  onFailed(why: string): void {
    this.#fail(why);
  }

  onIdle(client: Client): void {
    client.ask(this.#since.get(client) ?? Number.NaN);
  }

  onAnswered(client: Client, since: number): void {
    this.#meter.latencies.add(performance.now() - since);
    this.#since.delete(client);
    client.close();
    this.#running--;
    this.#open();
  }

  #open(): void {
    if (this.#budget.take()) {
      const places = this.#warm ? this.#places : this.#warmPlaces;
      const place = places[this.#started++ % places.length];
      if (place === undefined) throw new Error("no host");
      this.#running++;
      const now = performance.now();
      const opening = places.length > 1 ? place.opening : { ...place.opening, from: sourceOf(this.#started) };
      this.#since.set(new Client(opening, place.prepared, this), now);
      return;
    }
    if (this.#running > 0) return;
    if (this.#warm) {
      this.#resolve(this.#meter.result(this.#meter.latencies.count, this.#places[0]?.prepared.bytes ?? 0));
      return;
    }
    this.#warm = true;
    this.#started = 0;
    this.#meter.start();
    this.#budget = new Budget(this.#plan.measure);
    this.begin();
  }
}

function sourceOf(index: number): string {
  return `127.0.0.${10 + (index % SOURCES)}`;
}

// The guard's load generator, a process of its own: kept-alive connections to two targets, which take turns in slices
// of some 40 ms. What else the machine does then hits both alike, far better than with rounds of seconds; and CPU
// time, which a target only uses in its own slices, need not be read at the ends of each.

import { readFileSync } from "node:fs";
import type { Exchange, Route } from "../plan.ts";
import { cpuSeconds } from "../processes.ts";
import { Client, type Driver } from "./client.ts";
import { type Prepared, prepare } from "./exchange.ts";

export interface PairPlan {
  readonly contestants: readonly [Contestant, Contestant];
  readonly exchange: Exchange;
  /** To each. */
  readonly connections: number;
  readonly warmUpSeconds: number;
  readonly rounds: number;
  /** Both together. */
  readonly roundSeconds: number;
}

export interface Contestant {
  readonly pid: number;
  readonly route: Route;
}

/** CPU microseconds per request of both, one pair a round. */
export type PairRounds = readonly (readonly [number, number])[];

const SLICE_MS = 40;

/** One target's connections: all idle, or running a slice. */
class Side implements Driver {
  readonly #pid: number;
  readonly #clients: Client[] = [];
  readonly #idle: Client[] = [];
  readonly #fail: (why: string) => void;
  #end = 0;
  #answered = 0;
  #onIdle: () => void = () => undefined;

  constructor({ pid, route }: Contestant, prepared: Prepared, count: number, fail: (why: string) => void) {
    this.#pid = pid;
    this.#fail = fail;
    const ca = readFileSync(route.caFile, "utf8");
    const opening = { route, host: "localhost", ca, resume: false };
    for (let i = 0; i < count; i++) this.#clients.push(new Client(opening, prepared, this));
  }

  /** Until all connections are idle. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.#idle.length === this.#clients.length) resolve();
    });
  }

  slice(): Promise<void> {
    const now = performance.now();
    this.#end = now + SLICE_MS;
    for (const client of this.#idle.splice(0)) client.ask(now);
    return this.settled();
  }

  reading(): { cpu: number; answered: number } {
    return { cpu: cpuSeconds(this.#pid), answered: this.#answered };
  }

  onIdle(client: Client): void {
    this.#idle.push(client);
    if (this.#idle.length === this.#clients.length) this.#onIdle();
  }

  onAnswered(client: Client): void {
    this.#answered++;
    const now = performance.now();
    if (now < this.#end) client.ask(now);
    else this.onIdle(client);
  }

  onFailed(why: string): void {
    this.#fail(why);
  }
}

async function run(plan: PairPlan, fail: (why: string) => void): Promise<PairRounds> {
  const sides = plan.contestants.map(
    (contestant) =>
      new Side(contestant, prepare(plan.exchange, contestant.route, "localhost"), plan.connections, fail),
  );
  for (const side of sides) await side.settled();
  await turns(sides, plan.warmUpSeconds);
  const rounds: [number, number][] = [];
  for (let round = 0; round < plan.rounds; round++) {
    const before = sides.map((side) => side.reading());
    await turns(sides, plan.roundSeconds);
    const [ours = Number.NaN, theirs = Number.NaN] = sides.map((side, i) => {
      const { cpu, answered } = side.reading();
      return ((cpu - (before[i]?.cpu ?? 0)) / (answered - (before[i]?.answered ?? 0))) * 1e6;
    });
    rounds.push([ours, theirs]);
  }
  return rounds;
}

async function turns(sides: readonly Side[], seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) for (const side of sides) await side.slice();
}

if (import.meta.main) {
  const fail = (why: unknown): void => {
    console.error(why instanceof Error ? why.message : String(why));
    process.exit(1);
  };
  const plan = JSON.parse(Bun.argv[2] ?? "") as PairPlan;
  const limit = 2 * (plan.warmUpSeconds + plan.rounds * plan.roundSeconds) + 10;
  setTimeout(() => fail(`not finished after ${limit} s`), limit * 1000);
  run(plan, fail).then((rounds) => {
    console.log(JSON.stringify(rounds));
    process.exit(0);
  }, fail);
}

// A target's side in a run of turns: it makes requests during its slices, and stands still in between. What it used
// is added up slice by slice; the target's own CPU is read at the ends of a round only, for it has nothing to do
// in the slices of others.

import type { Contestant, Measured } from "../plan.ts";
import { cpuSeconds, residentKib } from "../processes.ts";
import type { Client, Driver } from "./client.ts";
import { handshakes } from "./connection.ts";
import { Latencies } from "./latencies.ts";

export abstract class Side implements Driver {
  readonly #target: number;
  readonly #upstreams: readonly number[];
  readonly #latencies = new Latencies();
  /** What a round began with. */
  #before = { target: 0, resumed: 0 };
  #used = { seconds: 0, generator: 0, upstream: 0, resumed: 0 };
  #started = 0;
  #most = 0;
  #end = 0;
  #settle: () => void = () => undefined;
  /** Why it can do no more. */
  problem: string | undefined;

  constructor(contestant: Contestant, upstreams: readonly number[]) {
    this.#target = contestant.target;
    this.#upstreams = upstreams;
  }

  /** Whether nothing is under way. */
  protected abstract readonly settled: boolean;
  /** Body bytes of an operation, both ways. */
  protected abstract readonly bytesEach: number;
  /** Sets off as much as may be under way at once, asking `take` before each. */
  protected abstract go(): void;
  abstract onIdle(client: Client): void;
  protected abstract onDone(client: Client): void;

  /** @param operations at most so many until the next beginning */
  begin(operations: number): void {
    this.#latencies.clear();
    this.#before = { target: cpuSeconds(this.#target), resumed: handshakes.resumed };
    this.#used = { seconds: 0, generator: 0, upstream: 0, resumed: 0 };
    this.#started = 0;
    this.#most = operations;
  }

  /** Seconds of its slices since it began. */
  get seconds(): number {
    return this.#used.seconds;
  }

  get exhausted(): boolean {
    return this.#started >= this.#most;
  }

  async slice(milliseconds: number): Promise<void> {
    const before = this.#reading();
    this.#end = performance.now() + milliseconds;
    this.go();
    await this.quiet();
    const after = this.#reading();
    this.#used.seconds += after.at - before.at;
    this.#used.generator += after.generator - before.generator;
    this.#used.upstream += after.upstream - before.upstream;
    this.#used.resumed += after.resumed - before.resumed;
  }

  /** Resolves when nothing is under way, or nothing ever will be. */
  quiet(): Promise<void> {
    return new Promise((resolve) => {
      this.#settle = resolve;
      this.checkQuiet();
    });
  }

  result(): Measured {
    const [p50 = Number.NaN, p99 = Number.NaN, p999 = Number.NaN] = this.#latencies.quantiles(
      0.5,
      0.99,
      0.999,
    );
    const operations = this.#latencies.count;
    const { seconds, generator, upstream, resumed } = this.#used;
    return {
      operations,
      seconds,
      cpu: { target: cpuSeconds(this.#target) - this.#before.target, generator, upstream },
      latency: { p50, p99, p999 },
      rss: residentKib(this.#target),
      bytes: operations * this.bytesEach,
      resumed,
    };
  }

  onAnswered(client: Client, since: number): void {
    this.#latencies.add(performance.now() - since);
    this.onDone(client);
    this.checkQuiet();
  }

  onFailed(why: string): void {
    this.problem ??= why;
    this.#settle();
  }

  /** Whether one more may begin now. */
  protected take(): boolean {
    if (this.#started >= this.#most || performance.now() >= this.#end || this.problem !== undefined)
      return false;
    this.#started++;
    return true;
  }

  protected checkQuiet(): void {
    if (this.settled || this.problem !== undefined) this.#settle();
  }

  #reading(): { at: number; generator: number; upstream: number; resumed: number } {
    const own = process.cpuUsage();
    return {
      at: performance.now() / 1000,
      generator: (own.user + own.system) / 1e6,
      upstream: this.#upstreams.reduce((sum, pid) => sum + cpuSeconds(pid), 0),
      resumed: handshakes.resumed,
    };
  }
}

// The measured time: from the end of the warm-up to the last answer. Reads CPU and memory at both ends.

import type { Measured } from "../plan.ts";
import { cpuSeconds, residentKib } from "../processes.ts";
import { handshakes } from "./connection.ts";
import { Latencies } from "./latencies.ts";

export interface Watched {
  readonly target: number;
  readonly upstreams: readonly number[];
}

interface Reading {
  readonly at: number;
  readonly target: number;
  readonly upstream: number;
  readonly generator: number;
  readonly resumed: number;
}

export class Meter {
  readonly latencies = new Latencies();
  readonly #watched: Watched;
  #first: Reading;

  constructor(watched: Watched) {
    this.#watched = watched;
    this.#first = this.#read();
  }

  /** What was added so far is forgotten. */
  start(): void {
    this.latencies.clear();
    this.#first = this.#read();
  }

  result(operations: number, bytesOfEach: number): Measured {
    const last = this.#read();
    const [p50 = Number.NaN, p99 = Number.NaN, p999 = Number.NaN] = this.latencies.quantiles(
      0.5,
      0.99,
      0.999,
    );
    return {
      operations,
      seconds: (last.at - this.#first.at) / 1000,
      cpu: {
        target: last.target - this.#first.target,
        generator: last.generator - this.#first.generator,
        upstream: last.upstream - this.#first.upstream,
      },
      latency: { p50, p99, p999 },
      rss: residentKib(this.#watched.target),
      bytes: operations * bytesOfEach,
      resumed: last.resumed - this.#first.resumed,
    };
  }

  #read(): Reading {
    const own = process.cpuUsage();
    return {
      at: performance.now(),
      target: cpuSeconds(this.#watched.target),
      upstream: this.#watched.upstreams.reduce((sum, pid) => sum + cpuSeconds(pid), 0),
      generator: (own.user + own.system) / 1e6,
      resumed: handshakes.resumed,
    };
  }
}

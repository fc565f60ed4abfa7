// Durations by bucket, in seconds, as Prometheus counts them: cumulative, with sum and count.
// From a local answer in half a millisecond to a model that thinks for minutes.

import type { Sample } from "./exposition.ts";

const BOUNDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const;

export class DurationHistogram {
  /** Not cumulative; the last one is for what no bound holds. */
  readonly #buckets = new Float64Array(BOUNDS.length + 1);
  #sum = 0;

  observe(ms: number): void {
    const seconds = ms / 1000;
    let at = 0;
    for (const bound of BOUNDS) {
      if (seconds <= bound) break;
      at += 1;
    }
    this.#buckets[at] = (this.#buckets[at] ?? 0) + 1;
    this.#sum += seconds;
  }

  samples(labels: Readonly<Record<string, string>>): Sample[] {
    const samples: Sample[] = [];
    let count = 0;
    for (const [at, held] of this.#buckets.entries()) {
      count += held;
      const le = at < BOUNDS.length ? String(BOUNDS[at]) : "+Inf";
      samples.push({ suffix: "_bucket", labels: { ...labels, le }, value: count });
    }
    samples.push({ suffix: "_sum", labels, value: this.#sum });
    samples.push({ suffix: "_count", labels, value: count });
    return samples;
  }
}

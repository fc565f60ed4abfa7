// Latencies of one measurement, kept whole: percentiles are exact. Grows by doubling, costs one store a request.

export class Latencies {
  #values = new Float64Array(1 << 16);
  #count = 0;

  /** @param milliseconds how long it took */
  add(milliseconds: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(this.#values.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count++] = milliseconds;
  }

  clear(): void {
    this.#count = 0;
  }

  get count(): number {
    return this.#count;
  }

  /** The smallest value that is not exceeded by the given share of all; NaN when there are none. */
  quantiles(...shares: readonly number[]): number[] {
    const sorted = this.#values.slice(0, this.#count).sort();
    return shares.map((share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN);
  }
}

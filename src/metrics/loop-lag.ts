// How late the event loop is: a timer that looks at the clock. A stall of the sampling interval or longer is always
// seen. Time arrives as a parameter.

/** Ten times a second: a stall that a person could notice does not hide between two samples. */
const SAMPLE_MS = 100;
/** The worst sample is kept for one to two of these, so that scrapes a quarter of a minute apart all see it. */
const WINDOW_MS = 30_000;

export class LoopLag {
  readonly #now: () => number;
  #timer: ReturnType<typeof setInterval> | undefined;
  #sampledAt = 0;
  #windowEnd = 0;
  #last = 0;
  #max = 0;
  #maxBefore = 0;

  /** @param now milliseconds, monotonic */
  constructor(now: () => number) {
    this.#now = now;
  }

  start(): void {
    this.#sampledAt = this.#now();
    this.#windowEnd = this.#sampledAt + WINDOW_MS;
    this.#timer = setInterval(() => this.sample(), SAMPLE_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** What the timer does. */
  sample(): void {
    const now = this.#now();
    this.#last = Math.max(0, now - this.#sampledAt - SAMPLE_MS);
    this.#sampledAt = now;
    if (now >= this.#windowEnd) {
      this.#maxBefore = this.#max;
      this.#max = 0;
      this.#windowEnd = now + WINDOW_MS;
    }
    this.#max = Math.max(this.#max, this.#last);
  }

  /** Milliseconds. A stall under way counts: a scrape may come before the timer. */
  read(): { readonly now: number; readonly max: number } {
    const overdue = Math.max(0, this.#now() - this.#sampledAt - SAMPLE_MS);
    const now = Math.max(this.#last, overdue);
    return { now, max: Math.max(now, this.#max, this.#maxBefore) };
  }
}

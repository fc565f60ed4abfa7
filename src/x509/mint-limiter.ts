// How many new leaves a client may cause: a token bucket per client address. A client that asks for a new host
// name each time would otherwise buy a signature with every CONNECT. It counts, and mints nothing itself.
// wire.md section 3: at most 50 new leaves a second per client.

const DEFAULT_PER_SECOND = 50;
/** About 100 bytes each. As many as connections, so that no client that can connect is turned away. */
const MAX_CLIENTS = 10_000;
const SECOND_MS = 1000;

interface Bucket {
  tokens: number;
  at: number;
}

export interface MintLimiterOptions {
  readonly perSecond?: number;
  readonly maxClients?: number;
  /** Milliseconds; any clock. */
  readonly now: () => number;
}

export class MintLimiter {
  readonly #perSecond: number;
  readonly #maxClients: number;
  readonly #now: () => number;
  /** In order of use, the least recent first. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: MintLimiterOptions) {
    this.#perSecond = options.perSecond ?? DEFAULT_PER_SECOND;
    this.#maxClients = options.maxClients ?? MAX_CLIENTS;
    this.#now = options.now;
  }

  /** Takes one leaf from the client's allowance; false when it is used up. */
  allow(clientIp: string): boolean {
    const now = this.#now();
    let bucket = this.#buckets.get(clientIp);
    if (bucket === undefined) {
      if (this.#buckets.size >= this.#maxClients && !this.#forgetOldest(now)) return false;
      bucket = { tokens: this.#perSecond, at: now };
    }
    const refill = (Math.max(0, now - bucket.at) / SECOND_MS) * this.#perSecond;
    bucket.tokens = Math.min(this.#perSecond, bucket.tokens + refill);
    bucket.at = now;
    this.#buckets.delete(clientIp);
    this.#buckets.set(clientIp, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  get clients(): number {
    return this.#buckets.size;
  }

  /**
   * Makes room. Only a bucket that has refilled by now may go, since forgetting it gives nothing away; otherwise
   * a client could win a new allowance by flooding the table from many addresses.
   */
  #forgetOldest(now: number): boolean {
    for (const [client, bucket] of this.#buckets) {
      if (now - bucket.at < SECOND_MS) return false;
      this.#buckets.delete(client);
      return true;
    }
    return true;
  }
}

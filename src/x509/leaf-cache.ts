// Leaves by host: a bounded LRU in front of issueLeaf. Synchronous, so that the 200 to a CONNECT waits for nothing.
// It limits memory, not minting: that is mint-limiter.ts, asked before get() when has() says no. wire.md section 3.

import type { Authority } from "../values/authority.ts";
import { putLast } from "../values/recent.ts";
import type { CertificateAuthority } from "./ca.ts";
import { generateLeafKey, issueLeaf, LEAF_BACKDATE_MS, type Leaf, type LeafKey } from "./leaf.ts";

/** About 2 KiB each; more hosts than one sandbox talks to in a day. */
const DEFAULT_CAPACITY = 1000;
/** A tunnel opened on a leaf at the end of its cache life still has a day of validity. */
const RENEW_BEFORE_MS = 86_400_000;

interface Entry {
  readonly leaf: Leaf;
  readonly mintedAt: number;
  readonly staleAt: number;
}

export interface LeafCacheOptions {
  readonly ca: CertificateAuthority;
  /** One per process; made when absent. */
  readonly leafKey?: LeafKey;
  readonly capacity?: number;
  /** Wall clock, milliseconds since the epoch: certificates are judged by it. */
  readonly now: () => number;
}

export class LeafCache {
  readonly #ca: CertificateAuthority;
  readonly #leafKey: LeafKey;
  readonly #capacity: number;
  readonly #now: () => number;
  /** Leaves minted since the start. */
  mints = 0;
  /** In order of use, the least recent first. */
  readonly #entries = new Map<string, Entry>();

  constructor(options: LeafCacheOptions) {
    this.#ca = options.ca;
    this.#leafKey = options.leafKey ?? generateLeafKey();
    this.#capacity = Math.max(1, options.capacity ?? DEFAULT_CAPACITY);
    this.#now = options.now;
  }

  /** The leaf of a canonical host, minted when there is none or it runs out. Throws as issueLeaf does. */
  get(host: string, kind: Authority["kind"]): Leaf {
    const now = this.#now();
    let entry = this.#entries.get(host);
    if (entry === undefined || !isFresh(entry, now)) entry = this.#mint(host, kind, now);
    putLast(this.#entries, host, entry, this.#capacity);
    return entry.leaf;
  }

  /** True when get() would mint nothing. */
  has(host: string): boolean {
    const entry = this.#entries.get(host);
    return entry !== undefined && isFresh(entry, this.#now());
  }

  get size(): number {
    return this.#entries.size;
  }

  #mint(host: string, kind: Authority["kind"], now: number): Entry {
    this.mints++;
    const leaf = issueLeaf(this.#ca, host, kind, this.#leafKey, now);
    // A leaf that ends with its CA cannot be renewed: minting it again would give the same end.
    const staleAt = leaf.notAfter >= this.#ca.notAfter ? leaf.notAfter : leaf.notAfter - RENEW_BEFORE_MS;
    return { leaf, mintedAt: now, staleAt };
  }
}

/** A clock set back by more than the backdating makes a leaf not yet valid. */
function isFresh(entry: Entry, now: number): boolean {
  return now < entry.staleAt && now >= entry.mintedAt - LEAF_BACKDATE_MS;
}

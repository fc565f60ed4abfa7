// Whether a file is still what it was when it was last read: a cheap look, without reading it again. What is read and
// what is made of it is the source's. stat(2).

import { type BigIntStats, statSync } from "node:fs";

/** Two writes this close may leave equal timestamps: FAT keeps two seconds. */
const TIMESTAMP_MS = 2_000;

export class FileWatch {
  readonly #path: string;
  readonly #now: () => number;
  /** What the file looked like when it was last read well; undefined when that proves nothing. */
  #seen: string | undefined;

  /** @param now milliseconds since the epoch */
  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
  }

  /** Follows symbolic links, so that a swapped link counts. Undefined when there is nothing to look at. */
  look(): BigIntStats | undefined {
    try {
      return statSync(this.#path, { bigint: true });
    } catch {
      // Whatever it is, the reading that follows says it in words.
      return undefined;
    }
  }

  /** The file has been read well. @param stats taken before its content: a write in between shows as a change */
  note(stats: BigIntStats | undefined): void {
    // A write within the resolution of the timestamps cannot be told from the state that was read.
    const settled = stats !== undefined && this.#now() - Number(stats.ctimeMs) >= TIMESTAMP_MS;
    this.#seen = settled ? signature(stats) : undefined;
  }

  /** Before the first reading, and for a file that cannot be looked at, true. */
  changed(): boolean {
    const stats = this.look();
    return stats === undefined || signature(stats) !== this.#seen;
  }
}

function signature(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`;
}

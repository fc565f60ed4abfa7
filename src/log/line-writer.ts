// Log lines on their way to a file descriptor: gathered in memory, written in one system call per batch, so that a
// request pays for a string and not for a write. Bounded; nothing is lost at exit; a reader that is gone is no error.

import { constants, fstatSync, openSync, writeSync } from "node:fs";

/** Takes some of the bytes and returns how many; 0 means "not now". Throws when the output is gone. */
export type Output = (bytes: Uint8Array) => number;

export interface LineSink {
  /** One line with its line feed. */
  write(line: string): void;
  /** Writes everything now, waiting for a slow reader a while. For the end of the process. */
  flush(): void;
}

/** A batch this large is written at once; a pipe holds 64 KiB. */
const BATCH_CHARS = 16 * 1024;
/** A lone line waits this long for company. */
const BATCH_MS = 20;
/** What may wait in memory for a blocked reader; beyond it lines are dropped, counted, and the count is logged. */
const MAX_BACKLOG = 4 * 1024 * 1024;
/** How long the end of the process waits for a blocked reader. */
const FLUSH_WAIT_MS = 1_000;
const RETRY_MS = 5;

export class LineWriter implements LineSink {
  readonly #output: Output;
  readonly #lostLine: (count: number) => string;
  #lines = "";
  #unsent: Uint8Array = new Uint8Array(0);
  #lost = 0;
  #gone = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param lostLine makes the line that reports how many lines a blocked reader has cost */
  constructor(output: Output, lostLine: (count: number) => string) {
    this.#output = output;
    this.#lostLine = lostLine;
  }

  write(line: string): void {
    if (this.#gone) return;
    if (this.#lines.length + this.#unsent.length + line.length > MAX_BACKLOG) {
      this.#lost += 1;
      return;
    }
    this.#lines += line;
    if (this.#lines.length >= BATCH_CHARS && this.#unsent.length === 0) this.#drain();
    else if (this.#timer === undefined) this.#wait();
  }

  flush(): void {
    for (let waited = 0; !this.#drain() && waited < FLUSH_WAIT_MS; waited += RETRY_MS)
      Bun.sleepSync(RETRY_MS);
  }

  #wait(): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#drain()) this.#wait();
    }, BATCH_MS);
    // The log alone keeps no process alive; flush() at exit writes what is left.
    this.#timer.unref();
  }

  /** True when nothing is left to write. */
  #drain(): boolean {
    if (this.#gone) return true;
    if (!this.#send()) return false;
    if (this.#lost > 0) {
      this.#lines += this.#lostLine(this.#lost);
      this.#lost = 0;
    }
    this.#unsent = Buffer.from(this.#lines, "utf8");
    this.#lines = "";
    return this.#send();
  }

  #send(): boolean {
    try {
      while (this.#unsent.length > 0) {
        const taken = this.#output(this.#unsent);
        if (taken === 0) return false;
        this.#unsent = this.#unsent.subarray(taken);
      }
    } catch {
      // Nobody reads the log any more (EPIPE), or it cannot be written: there is no place left to say so, and
      // serving goes on.
      this.#gone = true;
      this.#lines = "";
      this.#unsent = new Uint8Array(0);
    }
    return true;
  }
}

/** Output to a file descriptor. A full pipe takes nothing where the system allows, so a stalled reader stalls no request. */
export function descriptor(fd: number): Output {
  const target = withoutBlocking(fd);
  return (bytes) => {
    try {
      return writeSync(target, bytes);
    } catch (error) {
      if (error instanceof Error && "code" in error && (error.code === "EAGAIN" || error.code === "EINTR")) {
        return 0;
      }
      throw error;
    }
  };
}

/**
 * Opens the pipe once more, non-blocking: the flag belongs to the open file, and setting it on the inherited one
 * would change it for every process that shares it. Linux only; elsewhere, and where the pipe belongs to another
 * user, the descriptor itself is used, and a full pipe blocks.
 */
function withoutBlocking(fd: number): number {
  try {
    return fstatSync(fd).isFIFO()
      ? openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK)
      : fd;
  } catch {
    // No /proc, or no permission: see above.
    return fd;
  }
}

// Log lines on their way to a file descriptor: gathered in memory, written in one system call per batch, so that a
// request pays for a string and not for a write. Bounded; an output that is slow, full or gone stalls nothing, and
// what it costs is counted. Nothing is lost at exit.

import { constants, fstatSync, openSync, writeSync } from "node:fs";

/** Takes some of the bytes and returns how many; 0 means "not now". Throws when it cannot be written. */
export type Output = (bytes: Uint8Array) => number;

export interface LineSink {
  /** One line with its line feed. */
  write(line: string): void;
  /** Writes everything now, waiting for a slow reader a while. For the end of the process. */
  flush(): void;
}

/** A batch this large is written at once; a pipe holds 64 KiB. */
const BATCH_BYTES = 16 * 1024;
/** A lone line waits this long for company, and a blocked reader is asked again after it. */
const BATCH_MS = 20;
/** A full disk is asked again after this. */
const FAILED_RETRY_MS = 1_000;
/** What may wait in memory for a blocked reader; beyond it lines are dropped, counted, and the count is logged. */
const MAX_BACKLOG = 4 * 1024 * 1024;
/** How long the end of the process waits for a blocked reader. */
const FLUSH_WAIT_MS = 1_000;
const FLUSH_STEP_MS = 5;
const LINE_FEED = 10;

/** Longest text that is encoded in place; UTF-8 takes up to three bytes for a UTF-16 code unit. */
const MAX_PLACED = 2 * BATCH_BYTES;

/** `taking` also when blocked; `failed`: an error that may pass; `gone`: nobody will ever read (EPIPE). */
type State = "taking" | "failed" | "gone";

export class LineWriter implements LineSink {
  readonly #output: Output;
  readonly #lostLine: (count: number) => string;
  readonly #onTrouble: (reason: string) => void;
  /** A batch on its way to the output; what is not taken at once is copied. */
  readonly #place = Buffer.allocUnsafeSlow(3 * MAX_PLACED);
  /** Encoded batches, the oldest first. */
  #full: Buffer[] = [];
  /** Lines that are not encoded yet: one encoding a batch costs less than one a line. */
  #text = "";
  /** Bytes of all batches, sent ones of the first included, and characters of the text. */
  #size = 0;
  /** Bytes of the first chunk already sent. */
  #sent = 0;
  #state: State = "taking";
  /** Fill at which the next attempt to write is made without waiting for the timer. */
  #nextBatch = BATCH_BYTES;
  #lost = 0;
  #reported = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param lostLine makes the line that reports how many lines the output has cost, once it takes lines again
   * @param onTrouble told, once per outage, why the output takes nothing
   */
  constructor(
    output: Output,
    lostLine: (count: number) => string,
    onTrouble: (reason: string) => void = () => undefined,
  ) {
    this.#output = output;
    this.#lostLine = lostLine;
    this.#onTrouble = onTrouble;
  }

  /** Lines dropped since the start. */
  get lost(): number {
    return this.#lost;
  }

  write(line: string): void {
    if (this.#state === "gone" || this.#size + line.length > MAX_BACKLOG) {
      this.#lost += 1;
      return;
    }
    this.#append(line);
    if (this.#size >= this.#nextBatch && this.#state === "taking") {
      this.drain();
      // Blocked: asked again after one more batch, or when the timer says so.
      this.#nextBatch = this.#size + BATCH_BYTES;
    }
    if (this.#timer === undefined && this.#size > 0) this.#wait();
  }

  flush(): void {
    for (let waited = 0; !this.drain() && waited < FLUSH_WAIT_MS; waited += FLUSH_STEP_MS) {
      if (this.#state !== "taking") return;
      Bun.sleepSync(FLUSH_STEP_MS);
    }
  }

  /** Writes what the output takes without waiting. True when nothing is left. */
  drain(): boolean {
    if (!this.#send()) return false;
    if (this.#lost === this.#reported || this.#state !== "taking") return true;
    this.#append(this.#lostLine(this.#lost - this.#reported));
    this.#reported = this.#lost;
    return this.#send();
  }

  /** The output may have become another one: an error of the old one counts no more. */
  retry(): void {
    this.#state = "taking";
    if (!this.drain() && this.#timer === undefined) this.#wait();
  }

  #append(line: string): void {
    this.#text += line;
    this.#size += line.length;
  }

  #encode(): void {
    if (this.#text === "") return;
    const bytes = Buffer.from(this.#text, "utf8");
    this.#size += bytes.length - this.#text.length;
    this.#text = "";
    this.#full.push(bytes);
  }

  /**
   * Nearly always the output takes all that there is, and then it needs no memory of its own.
   * @returns false when it takes nothing now
   */
  #sendText(): boolean {
    const { length } = this.#text;
    if (length === 0 || length > MAX_PLACED) return true;
    const count = this.#place.write(this.#text, "utf8");
    this.#text = "";
    this.#size += count - length;
    const taken = this.#offer(this.#place.subarray(0, count));
    this.#size -= taken;
    if (taken === count) return true;
    this.#full.push(Buffer.from(this.#place.subarray(taken, count)));
    if (this.#state === "gone") this.#forget();
    return taken > 0;
  }

  #wait(): void {
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        if (!this.drain()) this.#wait();
      },
      this.#state === "failed" ? FAILED_RETRY_MS : BATCH_MS,
    );
    // The log alone keeps no process alive; flush() at exit writes what is left.
    this.#timer.unref();
  }

  /** True when nothing is left to write. */
  #send(): boolean {
    if (this.#full.length === 0 && !this.#sendText()) return this.#state === "gone";
    this.#encode();
    for (let first = this.#full[0]; first !== undefined; first = this.#full[0]) {
      const taken = this.#offer(first.subarray(this.#sent));
      if (taken === 0) return this.#state === "gone";
      this.#sent += taken;
      if (this.#sent < first.length) continue;
      this.#size -= first.length;
      this.#sent = 0;
      this.#full.shift();
    }
    this.#nextBatch = BATCH_BYTES;
    return true;
  }

  /** How many of the bytes the output took; an error becomes a state. */
  #offer(bytes: Uint8Array): number {
    try {
      const taken = this.#output(bytes);
      if (taken > 0) this.#state = "taking";
      return taken;
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      const before = this.#state;
      this.#state = code === "EPIPE" ? "gone" : "failed";
      if (before === "taking") this.#onTrouble(code);
      if (this.#state === "gone") this.#forget();
      return 0;
    }
  }

  /** Nobody will read what waits: each of its lines is lost. */
  #forget(): void {
    this.#encode();
    for (const [i, chunk] of this.#full.entries()) {
      for (let at = i === 0 ? this.#sent : 0; at < chunk.length; at++)
        if (chunk[at] === LINE_FEED) this.#lost += 1;
    }
    this.#full = [];
    this.#size = 0;
    this.#sent = 0;
  }
}

/** Output to a file descriptor. Pipes and terminals that take nothing stall nothing, where the system allows. */
export function descriptor(fd: number): Output {
  const target = withoutBlocking(fd);
  return (bytes) => writeSome(target, bytes);
}

/** One write(2); 0 when the descriptor takes nothing now. */
export function writeSome(fd: number, bytes: Uint8Array): number {
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "EAGAIN" || error.code === "EINTR")) {
      return 0;
    }
    throw error;
  }
}

/**
 * Opens the pipe or terminal once more, non-blocking: the flag belongs to the open file, and setting it on the
 * inherited one would change it for every process that shares it. Linux only; elsewhere, and where it belongs to
 * another user, the descriptor itself is used, and a full pipe (or Ctrl-S at a terminal) blocks.
 */
function withoutBlocking(fd: number): number {
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isCharacterDevice()
      ? openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
      : fd;
  } catch {
    // No /proc, or no permission: see above.
    return fd;
  }
}

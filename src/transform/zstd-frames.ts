// Follows a zstd body frame by frame without decoding it, to know whether it is complete: the runtime's decoder takes a
// body that is cut short for one that has ended. RFC 8878 section 3.1.

const MAGIC = 0xfd2fb528;
/** Sixteen numbers, the last four bits are free (RFC 8878 section 3.1.2). */
const SKIPPABLE = 0x184d2a50;
const RLE = 1;
const RESERVED = 3;
const CHECKSUM_BYTES = 4;
/** By the two bits in the frame header descriptor (RFC 8878 section 3.1.1.1). */
const DICTIONARY_BYTES: readonly number[] = [0, 1, 2, 4];
const CONTENT_SIZE_BYTES: readonly number[] = [0, 2, 4, 8];

type Expected = "magic" | "descriptor" | "block" | "skippable-size" | "nothing";

const WIDTH: Readonly<Record<Expected, number>> = {
  magic: 4,
  descriptor: 1,
  block: 3,
  "skippable-size": 4,
  // Something was no zstd: the rest is swallowed.
  nothing: Number.POSITIVE_INFINITY,
};

export class ZstdFrames {
  #expected: Expected = "magic";
  #value = 0;
  #got = 0;
  /** Bytes that do not matter here. */
  #skip = 0;
  #checksum = false;

  /** Every frame that has begun has ended, and nothing but frames was there. */
  get complete(): boolean {
    return this.#expected === "magic" && this.#got === 0 && this.#skip === 0;
  }

  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#expected === "nothing") return;
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, bytes.length - at);
        this.#skip -= step;
        at += step;
        continue;
      }
      this.#value += (bytes[at++] as number) * 256 ** this.#got++;
      if (this.#got === WIDTH[this.#expected]) this.#take();
    }
  }

  #take(): void {
    const value = this.#value;
    this.#value = this.#got = 0;
    switch (this.#expected) {
      case "magic":
        if (value === MAGIC) this.#expected = "descriptor";
        else this.#expected = value - (value % 16) === SKIPPABLE ? "skippable-size" : "nothing";
        return;
      case "skippable-size":
        this.#skip = value;
        this.#expected = "magic";
        return;
      case "descriptor":
        this.#descriptor(value);
        return;
      case "block":
        this.#block(value);
        return;
      case "nothing":
        return;
    }
  }

  #descriptor(value: number): void {
    const single = (value & 0x20) !== 0;
    const contentSize = value >> 6;
    this.#checksum = (value & 0x04) !== 0;
    const window = single ? 0 : 1;
    const size = contentSize === 0 && single ? 1 : (CONTENT_SIZE_BYTES[contentSize] as number);
    this.#skip = window + (DICTIONARY_BYTES[value & 0x03] as number) + size;
    this.#expected = "block";
  }

  #block(value: number): void {
    const last = (value & 1) !== 0;
    const type = (value >> 1) & 3;
    if (type === RESERVED) {
      this.#expected = "nothing";
      return;
    }
    this.#skip = type === RLE ? 1 : value >> 3;
    if (!last) return;
    if (this.#checksum) this.#skip += CHECKSUM_BYTES;
    this.#expected = "magic";
  }
}

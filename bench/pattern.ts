// The bytes of large bodies: a pseudo-random block that repeats with a prime period, so that a byte which is lost,
// doubled or moved shows. Comparing costs one memcmp a chunk. Known to generator, upstream and the files on disk.

/** Prime, so that it lines up with no buffer. */
const PERIOD = 65_521;
/** A chunk that a socket hands over is not longer than this. */
const LONGEST = 1 << 20;

const block = makeBlock();

function makeBlock(): Buffer {
  const bytes = Buffer.alloc(PERIOD + LONGEST);
  // A linear congruential generator: the same bytes in each process.
  let state = 12_345;
  for (let i = 0; i < PERIOD; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 16;
  }
  for (let at = PERIOD; at < bytes.length; at += PERIOD) bytes.copy(bytes, at, 0, PERIOD);
  return bytes;
}

/** The bytes from `offset` of the endless pattern; not a copy. */
export function patternAt(offset: number, length: number): Buffer {
  const from = offset % PERIOD;
  return block.subarray(from, from + Math.min(length, LONGEST));
}

/** Whether `bytes` are those of the pattern at `offset`. */
export function matchesPattern(bytes: Uint8Array, offset: number): boolean {
  for (let at = 0; at < bytes.length; at += LONGEST) {
    const part = bytes.subarray(at, at + LONGEST);
    if (!patternAt(offset + at, part.length).equals(part)) return false;
  }
  return true;
}

/** A JSON document of about `bytes` bytes, the same in each process. */
export function jsonDocument(bytes: number): Buffer {
  const messages: { role: string; content: string }[] = [];
  for (let size = 0, i = 0; size < bytes - 100; i++) {
    const content = `Message ${i}: ${"the quick brown fox jumps over the lazy dog. ".repeat(4)}`;
    messages.push({ role: i % 2 === 0 ? "user" : "assistant", content });
    size += content.length + 35;
  }
  return Buffer.from(JSON.stringify({ model: "bench", messages }));
}

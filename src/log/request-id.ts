// Request ids: `req_` and a UUIDv7 in Crockford base32, 26 lower-case characters (the TypeID form). RFC 9562
// section 5.7. They sort by time and carry no secret. Random bytes are drawn in batches: one system call per 400 ids.

import type { RequestIds } from "../proxy/ports.ts";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
/** Ten bits to two characters. */
const PAIRS = Array.from(
  { length: 1024 },
  (_, bits) => ALPHABET.charAt(bits >> 5) + ALPHABET.charAt(bits & 31),
);
const RANDOM_BYTES = 10;
const BATCH = 400 * RANDOM_BYTES;

/**
 * @param now Unix milliseconds
 * @param fill fills the array with random bytes
 */
export function createRequestIds(
  now: () => number = Date.now,
  fill: (bytes: Uint8Array<ArrayBuffer>) => void = (bytes) => crypto.getRandomValues(bytes),
): RequestIds {
  const pool = new Uint8Array(BATCH);
  let used = BATCH;
  let prefixTime = -1;
  let prefix = "";
  return {
    next(): string {
      const time = now();
      if (time !== prefixTime) {
        prefixTime = time;
        prefix = `req_${timeCharacters(time)}`;
      }
      if (used === BATCH) {
        fill(pool);
        used = 0;
      }
      // RFC 9562 section 5.7: version 7 in the four bits after the time, variant 10 at the head of the last 64.
      pool[used] = 0x70 | ((pool[used] ?? 0) & 0x0f);
      pool[used + 2] = 0x80 | ((pool[used + 2] ?? 0) & 0x3f);
      const id = prefix + fortyBits(pool, used) + fortyBits(pool, used + 5);
      used += RANDOM_BYTES;
      return id;
    },
  };
}

/** 48 bits of time behind the two zero bits that pad 128 bits to 26 characters: exactly ten characters. */
function timeCharacters(time: number): string {
  let text = "";
  for (let rest = time, pair = 0; pair < 5; pair++) {
    text = PAIRS[rest % 1024] + text;
    rest = Math.floor(rest / 1024);
  }
  return text;
}

/** Five bytes as eight characters. */
function fortyBits(bytes: Uint8Array, at: number): string {
  const a = bytes[at] ?? 0;
  const b = bytes[at + 1] ?? 0;
  const c = bytes[at + 2] ?? 0;
  const d = bytes[at + 3] ?? 0;
  const e = bytes[at + 4] ?? 0;
  const first = (a << 2) | (b >> 6);
  const second = ((b & 0x3f) << 4) | (c >> 4);
  const third = ((c & 0x0f) << 6) | (d >> 2);
  const fourth = ((d & 0x03) << 8) | e;
  return `${PAIRS[first]}${PAIRS[second]}${PAIRS[third]}${PAIRS[fourth]}`;
}

// Bulk bodies that are made and hashed as they go and never kept: for uploads and downloads of any size.
// The bytes are a repeated block that is not a power of two long, so that a lost or doubled piece shows.
import type { ByteStream } from "./byte-stream.ts";

const BLOCK = ((): Buffer => {
  const block = Buffer.alloc(262_139);
  let state = 0x9e3779b9;
  for (let at = 0; at < block.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    block[at] = state >>> 24;
  }
  return block;
})();

/** The checksum of the first `length` bytes of the bulk sequence. */
export function bulkHash(length: number): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (let left = length; left > 0; left -= BLOCK.length)
    hash.update(BLOCK.subarray(0, Math.min(left, BLOCK.length)));
  return hash.digest("hex");
}

/** Writes `length` bytes of the bulk sequence, never more than one block ahead of the kernel. */
export async function sendBulk(stream: ByteStream, length: number): Promise<void> {
  for (let left = length; left > 0 && !stream.closed; left -= BLOCK.length) {
    await stream.write(BLOCK.subarray(0, Math.min(left, BLOCK.length)));
  }
}

export interface Received {
  /** The checksum, once all bytes have come; rejects when the stream ends early. */
  readonly digest: Promise<string>;
  readonly count: () => number;
}

/** Hashes the next `length` bytes of a stream instead of keeping them; unread bytes count first. */
export function receiveBulk(stream: ByteStream, length: number): Received {
  const hash = new Bun.CryptoHasher("sha256");
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let count = 0;
  const take = (chunk: Uint8Array): void => {
    hash.update(chunk);
    count += chunk.length;
    if (count === length) {
      stream.sink = undefined;
      resolve(hash.digest("hex"));
    } else if (count > length) reject(new Error(`${count - length} bytes too many`));
  };
  stream.sink = take;
  const early = stream.takeUnread();
  if (early.length > 0) take(early);
  void stream.whenEnded().then(() => {
    if (count < length) reject(new Error(`ended after ${count} of ${length} bytes`));
  });
  return { digest: promise, count: () => count };
}

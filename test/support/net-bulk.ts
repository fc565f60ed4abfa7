// Bytes in bulk for tests of wires, with their checksum.

/** Bytes that show every lost, doubled or exchanged piece; more than the kernel holds for a peer that does not read. */
export const BULK = pattern(24 << 20);
export const SOME = BULK.subarray(0, 3 << 20);

function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, length >> 2);
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(at, 0x9e3779b1);
  return bytes;
}

export function sha(...pieces: readonly Uint8Array[]): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}

// Where zstd frames end, against bodies that the runtime's own encoder makes and frames made by hand.

import { describe, expect, test } from "bun:test";
import { constants, zstdCompressSync } from "node:zlib";
import { ZstdFrames } from "../../src/transform/zstd-frames.ts";
import { seeded } from "../http1/support.ts";

function completeAfter(bytes: Uint8Array, piece = bytes.length): boolean {
  const frames = new ZstdFrames();
  for (let at = 0; at < bytes.length; at += piece) frames.feed(bytes.subarray(at, at + piece));
  return frames.complete;
}

const random = seeded(7);
const noise = Buffer.from(Array.from({ length: 300_000 }, () => random(256)));
const bodies: readonly (readonly [says: string, body: Buffer])[] = [
  ["an empty frame", zstdCompressSync("")],
  ["a short text", zstdCompressSync("hello")],
  ["a run, which is an RLE block", zstdCompressSync(Buffer.alloc(200_000, 65))],
  ["noise, which is raw blocks", zstdCompressSync(noise)],
  ["many blocks", zstdCompressSync(Buffer.from(noise.toString("hex")))],
  ["a checksum", zstdCompressSync("hello", { params: { [constants.ZSTD_c_checksumFlag]: 1 } })],
  ["no content size", zstdCompressSync("hello", { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } })],
  // Descriptor: no single segment, 4-byte dictionary id, 8-byte size; then an empty last raw block.
  ["every optional field", Buffer.from(`28b52ffdc3${"00".repeat(13)}010000`, "hex")],
  ["a skippable frame", Buffer.from("5f2a4d1803000000aabbcc", "hex")],
];

describe("ZstdFrames", () => {
  test.each(bodies)("%s is complete at its last byte and at no place before", (_, body) => {
    expect(completeAfter(body)).toBe(true);
    expect(completeAfter(body, 1)).toBe(true);
    const frames = new ZstdFrames();
    for (let at = 0; at < body.length - 1; at++) {
      frames.feed(body.subarray(at, at + 1));
      if (frames.complete) throw new Error(`complete after ${at + 1} of ${body.length} bytes`);
    }
  });

  test("frames may follow each other", () => {
    const all = Buffer.concat(bodies.map(([, body]) => body));
    for (const piece of [1, 3, 1000, all.length]) expect(completeAfter(all, piece)).toBe(true);
    expect(completeAfter(all.subarray(0, -1))).toBe(false);
  });

  test("nothing at all is complete; anything but frames never is, even if it were to look so later", () => {
    expect(new ZstdFrames().complete).toBe(true);
    const frame = zstdCompressSync("x");
    expect(completeAfter(Buffer.concat([frame, Buffer.from("x")]))).toBe(false);
    expect(completeAfter(Buffer.concat([Buffer.from("junk"), frame]))).toBe(false);
    // A block of the reserved type.
    expect(completeAfter(Buffer.from("28b52ffd0000070000", "hex"))).toBe(false);
  });
});

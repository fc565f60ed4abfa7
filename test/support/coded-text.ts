// Texts in the content codings of RFC 9110 section 8.4.1, cut into many blocks and chunks, for tests that look for
// secrets over the borders. Every coder flushes after each piece, so that a piece is a block of its own.
import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  createBrotliCompress,
  createDeflate,
  createGzip,
  createZstdCompress,
  deflateSync,
  gunzipSync,
  gzipSync,
  inflateSync,
  zstdCompressSync,
  zstdDecompressSync,
} from "node:zlib";

export type Coding = "gzip" | "deflate" | "br" | "zstd";
export const CODINGS: readonly Coding[] = ["gzip", "deflate", "br", "zstd"];

const ENCODE: Readonly<Record<Coding, (data: Uint8Array) => Buffer>> = {
  gzip: gzipSync,
  deflate: deflateSync,
  br: brotliCompressSync,
  zstd: zstdCompressSync,
};
const DECODE: Readonly<Record<string, (data: Uint8Array) => Buffer>> = {
  gzip: gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

export function encode(coding: Coding, data: string | Uint8Array): Buffer {
  return ENCODE[coding](Buffer.from(data as string, "latin1"));
}

/** Undoes what Content-Encoding says; undefined and identity leave the body as it is. */
export function decode(coding: string | undefined, body: Buffer): Buffer {
  return coding === undefined || coding === "identity" ? body : (DECODE[coding]?.(body) ?? Buffer.alloc(0));
}

/** `pieces` in one stream of `coding`, each ended with a flush; the compressed bytes of each. */
export async function encodeInBlocks(coding: Coding, pieces: readonly string[]): Promise<Buffer[]> {
  const stream = {
    gzip: createGzip,
    deflate: createDeflate,
    br: createBrotliCompress,
    zstd: createZstdCompress,
  }[coding]();
  const flush = {
    gzip: constants.Z_SYNC_FLUSH,
    deflate: constants.Z_SYNC_FLUSH,
    br: constants.BROTLI_OPERATION_FLUSH,
    zstd: constants.ZSTD_e_flush,
  }[coding];
  let current: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => current.push(chunk));
  const blocks: Buffer[] = [];
  for (const piece of pieces) {
    stream.write(Buffer.from(piece, "latin1"));
    await new Promise<void>((done) => stream.flush(flush, done));
    blocks.push(Buffer.concat(current));
    current = [];
  }
  const ended = new Promise<void>((done) => stream.on("end", done));
  stream.end();
  await ended;
  blocks.push(Buffer.concat(current));
  return blocks;
}

/** One chunk of the chunked coding. */
export function chunk(data: string | Uint8Array): Buffer {
  const bytes = Buffer.from(data as string, "latin1");
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
}

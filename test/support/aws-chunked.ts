// The content coding aws-chunked, read as S3 reads it: chunks with a chain of signatures, chunks without, and trailers
// with a checksum and a signature of their own. It also writes it, for the tests that are the client. AWS, "Signature
// calculations for the Authorization header: transferring payload in multiple chunks", and "including trailing headers".
import { createHash } from "node:crypto";
import { hmac, sha256, type Verified } from "./sigv4.ts";

export const SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
export const SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
export const UNSIGNED_CHUNKS_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const EMPTY = sha256("");

/** What the chain of signatures begins with. */
export type Seed = Pick<Verified, "payload" | "signature" | "signingKey" | "scope" | "time">;

export function isAwsChunked(payload: string): boolean {
  return payload.startsWith("STREAMING-");
}

/** @throws Error that says what is wrong with the coding, a signature or the checksum */
export function readAwsChunked(body: Buffer, seed: Seed): Buffer {
  const isSigned = seed.payload !== UNSIGNED_CHUNKS_TRAILER;
  const parts: Buffer[] = [];
  let previous = seed.signature;
  let at = 0;
  const line = (): string => {
    const end = body.indexOf("\r\n", at);
    if (end < 0) throw new Error("aws-chunked: a line has no end");
    const text = body.toString("latin1", at, end);
    at = end + 2;
    return text;
  };
  for (;;) {
    const [, hex, signature] = /^([0-9a-fA-F]+)(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line()) ?? [];
    if (hex === undefined || (signature !== undefined) !== isSigned)
      throw new Error("aws-chunked: bad chunk head");
    const size = Number.parseInt(hex, 16);
    const data = body.subarray(at, at + size);
    if (data.length !== size) throw new Error("aws-chunked: the body ends inside a chunk");
    at += size;
    if (isSigned) {
      const expected = chunkSignature(seed, previous, data);
      if (signature !== expected) throw new Error("aws-chunked: the signature of a chunk does not match");
      previous = expected;
    }
    if (size === 0) break;
    if (line() !== "") throw new Error("aws-chunked: a chunk has no end");
    parts.push(data);
  }
  const content = Buffer.concat(parts);
  const trailers: string[] = [];
  for (let text = line(); text !== ""; text = line()) trailers.push(text);
  // A signed trailer is followed by one more empty line with some clients.
  if (at !== body.length && body.toString("latin1", at) !== "\r\n")
    throw new Error("aws-chunked: bytes behind the end");
  checkTrailers(trailers, content, seed, previous);
  return content;
}

function checkTrailers(trailers: readonly string[], content: Buffer, seed: Seed, previous: string): void {
  if (seed.payload === SIGNED_CHUNKS) {
    if (trailers.length > 0) throw new Error("aws-chunked: trailers that were not announced");
    return;
  }
  const checksums = trailers.filter((text) => text.startsWith("x-amz-checksum-"));
  if (checksums.length !== 1) throw new Error("aws-chunked: expected one checksum");
  for (const text of checksums) checkChecksum(text, content);
  if (seed.payload === UNSIGNED_CHUNKS_TRAILER) return;
  const [signature] = trailers.flatMap(
    (text) => /^x-amz-trailer-signature:([0-9a-f]{64})$/.exec(text)?.[1] ?? [],
  );
  if (signature !== trailerSignature(seed, previous, checksums))
    throw new Error("aws-chunked: the signature of the trailers does not match");
}

function checkChecksum(trailer: string, content: Buffer): void {
  const [, algorithm = "", value = ""] = /^x-amz-checksum-([a-z0-9]+): ?(.*)$/.exec(trailer) ?? [];
  const computed = checksum(algorithm, content);
  if (computed !== value)
    throw new Error(`aws-chunked: the ${algorithm} of the content is ${computed}, not ${value}`);
}

export function checksum(algorithm: string, content: Uint8Array): string {
  if (algorithm === "crc32") return bigEndian(Bun.hash.crc32(content));
  if (algorithm === "crc32c") return bigEndian(crc32c(content));
  if (algorithm === "sha256" || algorithm === "sha1")
    return createHash(algorithm).update(content).digest("base64");
  throw new Error(`aws-chunked: the checksum ${algorithm} is not known here`);
}

function bigEndian(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes.toString("base64");
}

/** Castagnoli's polynomial, reflected. RFC 3385. */
function crc32c(content: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of content) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function chunkSignature({ signingKey, scope, time }: Seed, previous: string, data: Uint8Array): string {
  const lines = ["AWS4-HMAC-SHA256-PAYLOAD", time, scope, previous, EMPTY, sha256(data)];
  return hmac(signingKey, lines.join("\n")).toString("hex");
}

function trailerSignature(seed: Seed, previous: string, trailers: readonly string[]): string {
  const canonical = sha256(trailers.map((text) => `${text}\n`).join(""));
  const lines = ["AWS4-HMAC-SHA256-TRAILER", seed.time, seed.scope, previous, canonical];
  return hmac(seed.signingKey, lines.join("\n")).toString("hex");
}

/** The chunks of a body, each as it goes onto the wire, the last with the trailers. @param trailers without signature */
export function writeAwsChunked(
  content: Buffer,
  chunkSize: number,
  seed: Seed,
  trailers: readonly string[] = [],
): Buffer[] {
  const isSigned = seed.payload !== UNSIGNED_CHUNKS_TRAILER;
  let previous = seed.signature;
  const head = (data: Uint8Array): string => {
    if (!isSigned) return `${data.length.toString(16)}\r\n`;
    previous = chunkSignature(seed, previous, data);
    return `${data.length.toString(16)};chunk-signature=${previous}\r\n`;
  };
  const parts: Buffer[] = [];
  for (let at = 0; at < content.length; at += chunkSize) {
    const data = content.subarray(at, at + chunkSize);
    parts.push(Buffer.concat([Buffer.from(head(data)), data, Buffer.from("\r\n")]));
  }
  const end = [head(Buffer.alloc(0)), ...trailers.map((text) => `${text}\r\n`)];
  if (seed.payload === SIGNED_CHUNKS_TRAILER)
    end.push(`x-amz-trailer-signature:${trailerSignature(seed, previous, trailers)}\r\n`);
  parts.push(Buffer.from(`${end.join("")}\r\n`));
  return parts;
}

// Limits on what a peer may make us hold while a message is parsed. Those of a head are the operator's to set
// (limits.max_head_bytes, limits.max_head_fields); those of chunk framing and trailers are not. wire.md section 14.

/** Head and trailers each: RFC 9110 sets none; 64 KiB is above what any common server accepts. */
export const MAX_HEAD_BYTES = 64 * 1024;
/** Fields in a head or trailer section. */
export const MAX_FIELDS = 200;

export interface HeadLimits {
  /** Bytes of a head, line ends included. */
  readonly maxHeadBytes: number;
  readonly maxHeadFields: number;
}

export const DEFAULT_HEAD_LIMITS: HeadLimits = { maxHeadBytes: MAX_HEAD_BYTES, maxHeadFields: MAX_FIELDS };

/** Framing bytes (sizes, extensions, trailers) that may pass beyond what the body bytes between them pay for. */
export const MAX_CHUNK_OVERHEAD = 80 * 1024;
/** Framing bytes that one body byte pays for: chunks of a single byte cost five. */
export const FRAMING_PER_BODY_BYTE = 16;

// The one place where a request body waits in memory: a small one in which a token may have to be put. Its length was
// announced, so its end is known and its size bounded before the first byte is kept. wire.md section 6.

import type { Framing } from "../../http1/framing.ts";
import type { RequestHead } from "../../http1/head.ts";
import { HeaderList } from "../../http1/headers.ts";
import { responseHead } from "../../http1/write-head.ts";

/** wire.md section 6: "the body when its length is known and at most 64 KiB". */
export const MAX_GATHERED_BYTES = 64 * 1024;

export const CONTINUE_HEAD = responseHead(100, "Continue", new HeaderList());

/**
 * Why tokens are not looked for in this body; undefined: they are, or there is none.
 * @returns a word for the record
 */
export function whyNotGathered(head: RequestHead, framing: Framing): string | undefined {
  if (framing.kind === "none") return undefined;
  if (framing.kind !== "length") return "body without a length";
  if (framing.length > MAX_GATHERED_BYTES) return "body over 64 KiB";
  const coding = head.headers.joined("content-encoding")?.trim().toLowerCase() ?? "";
  return coding === "" || coding === "identity" ? undefined : "encoded body";
}

/** RFC 9110 section 10.1.1: the client holds its body back until it hears 100, or is tired of waiting. */
export function expectsContinue(head: RequestHead): boolean {
  return head.minor === 1 && head.headers.joined("expect")?.toLowerCase() === "100-continue";
}

/** A body that comes byte by byte costs no more than its length: spans are copied, not kept. */
export class Gathering {
  readonly #body: Buffer;
  #size = 0;

  /** @param framing of a body that whyNotGathered() has nothing against */
  constructor(framing: Framing) {
    this.#body = Buffer.alloc(framing.kind === "length" ? framing.length : 0);
  }

  push(span: Uint8Array): void {
    this.#body.set(span, this.#size);
    this.#size += span.length;
  }

  whole(): Buffer {
    return this.#body.subarray(0, this.#size);
  }
}

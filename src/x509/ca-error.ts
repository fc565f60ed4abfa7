// Why a CA cannot be used: a mistake of the operator at start-up, one line, never a bug and never key material.
// Not a ProxyError: it never becomes a reply.

/** Which file is at fault; `pair` when each is sound by itself. */
export type CaPart = "certificate" | "key" | "pair";

export class CaError extends Error {
  override readonly name = "CaError";
  readonly part: CaPart;

  constructor(part: CaPart, message: string) {
    super(message);
    this.part = part;
  }
}

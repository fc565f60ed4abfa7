// What a message head is once parsed: plain data, no behaviour. The readers make it, everything else passes it on.
// RFC 9112 sections 2 to 5.

import type { HeaderList } from "./headers.ts";

export interface RequestHead {
  /** Upper-case method token as sent. */
  readonly method: string;
  /** Request target exactly as sent. */
  readonly target: string;
  /** HTTP/1.x minor version: 0 or 1; nothing else gets this far. */
  readonly minor: 0 | 1;
  readonly headers: HeaderList;
}

export interface ResponseHead {
  /** 100 to 999. */
  readonly status: number;
  readonly reason: string;
  readonly minor: 0 | 1;
  readonly headers: HeaderList;
}

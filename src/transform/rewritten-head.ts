// The head of an answer whose body is not the upstream's any more: no field may vouch for bytes or lengths that the
// client will not see. RFC 9110 sections 8.4, 8.6, 8.8.3 and 14.3; RFC 9530 and RFC 1864 (digests).

import type { HeaderList } from "../http1/headers.ts";

/** What describes the upstream's bytes. `digest` is RFC 3230's. */
const OF_THE_BYTES: ReadonlySet<string> = new Set([
  "content-length",
  "content-encoding",
  "content-md5",
  "digest",
  "content-digest",
  "repr-digest",
  "accept-ranges",
]);

/** Changes the fields in place, so that they fit a body that is identity-coded, rewritten, and of unknown length. */
export function fitRewrittenBody(headers: HeaderList): void {
  headers.removeWhere((key) => OF_THE_BYTES.has(key));
  for (let i = 0; i < headers.size; i++) {
    // The same answer to the eye, not to the byte: a weak validator (RFC 9110 section 8.8.1).
    if (headers.keys[i] === "etag" && headers.values[i]?.startsWith('"')) {
      headers.values[i] = `W/${headers.values[i]}`;
    }
  }
}

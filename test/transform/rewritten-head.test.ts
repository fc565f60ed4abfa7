// What a head may not say any more once its body is another.

import { expect, test } from "bun:test";
import { fitRewrittenBody } from "../../src/transform/rewritten-head.ts";
import { fieldsOf, responseHead } from "../support/stage-sink.ts";

test("fields that vouch for the upstream's bytes go, all others stay in their order", () => {
  const head = responseHead(200, {
    Date: "x",
    "Content-Type": "text/plain",
    "content-length": "5",
    "Content-Encoding": "gzip",
    "Content-MD5": "x",
    Digest: "sha-256=x",
    "Content-Digest": "sha-256=:x:",
    "Repr-Digest": "sha-256=:x:",
    "Accept-Ranges": "bytes",
    Vary: "Accept-Encoding",
    "Content-Range": "bytes 0-1/2",
    "Last-Modified": "x",
    "Set-Cookie": "a=b",
  });
  head.headers.push("Content-Length", "5");
  fitRewrittenBody(head.headers);
  expect(fieldsOf(head)).toEqual([
    "Date: x",
    "Content-Type: text/plain",
    "Vary: Accept-Encoding",
    "Content-Range: bytes 0-1/2",
    "Last-Modified: x",
    "Set-Cookie: a=b",
  ]);
});

const etags: readonly (readonly [before: string, after: string])[] = [
  ['"abc"', 'W/"abc"'],
  ['""', 'W/""'],
  ['W/"abc"', 'W/"abc"'],
  // Not an entity tag (RFC 9110 section 8.8.3): nothing to weaken.
  ["abc", "abc"],
];
test.each(etags)("the ETag %s becomes %s", (before, after) => {
  const head = responseHead(200, { ETag: before });
  fitRewrittenBody(head.headers);
  expect(fieldsOf(head)).toEqual([`ETag: ${after}`]);
});

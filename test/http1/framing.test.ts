// How long a body is, from raw heads: the cases of RFC 9112 section 6.3, and every way to make two readers disagree.

import { describe, expect, test } from "bun:test";
import { type Framing, requestFraming, responseFraming } from "../../src/http1/framing.ts";
import { ProxyError } from "../../src/values/errors.ts";
import {
  GOOD_REQUEST_FRAMINGS,
  GOOD_RESPONSE_FRAMINGS,
  REQUEST_FRAMING_ATTACKS,
  RESPONSE_FRAMING_ATTACKS,
} from "../corpus/framing.ts";
import {
  expectEverySplit,
  type Field,
  headerList,
  type Outcome,
  readRequestHead,
  readResponseHead,
  refused,
  then,
} from "./support.ts";

function requestBody(parts: readonly Uint8Array[]): Outcome<Framing> {
  return then(readRequestHead(parts), requestFraming);
}

function responseBody(method: string): (parts: readonly Uint8Array[]) => Outcome<Framing> {
  return (parts) => then(readResponseHead(parts), (head) => responseFraming(head, method));
}

const BEHIND = ["0\r\n\r\n", "hello"];

describe("a request", () => {
  test.each(GOOD_REQUEST_FRAMINGS)("%s", (_name, raw, framing) => {
    expectEverySplit(raw, requestBody, { kind: "read", value: framing, used: raw.length }, BEHIND);
  });

  test.each(REQUEST_FRAMING_ATTACKS)("is refused in every split: %s", (_name, raw, code) => {
    expectEverySplit(raw, requestBody, refused(code), BEHIND);
  });
});

describe("a response", () => {
  test.each(GOOD_RESPONSE_FRAMINGS)("%s", (_name, raw, method, framing) => {
    expectEverySplit(raw, responseBody(method), { kind: "read", value: framing, used: raw.length }, BEHIND);
  });

  test.each(RESPONSE_FRAMING_ATTACKS)("is refused in every split: %s", (_name, raw, method) => {
    expectEverySplit(raw, responseBody(method), refused("bad-response"), BEHIND);
  });
});

// The function must not lean on llhttp having refused first: another parser, or another version, may not.
describe("without a reader in front", () => {
  const AMBIGUOUS: readonly (readonly [name: string, minor: 0 | 1, fields: readonly Field[]])[] = [
    [
      "length and coding",
      1,
      [
        ["Content-Length", "5"],
        ["Transfer-Encoding", "chunked"],
      ],
    ],
    [
      "coding and length",
      1,
      [
        ["Transfer-Encoding", "chunked"],
        ["Content-Length", "5"],
      ],
    ],
    [
      "two codings",
      1,
      [
        ["Transfer-Encoding", "chunked"],
        ["Transfer-Encoding", "chunked"],
      ],
    ],
    [
      "two equal lengths",
      1,
      [
        ["Content-Length", "5"],
        ["Content-Length", "5"],
      ],
    ],
    [
      "two different lengths",
      1,
      [
        ["Content-Length", "5"],
        ["Content-Length", "6"],
      ],
    ],
    ["a list of lengths", 1, [["Content-Length", "5, 5"]]],
    ["a signed length", 1, [["Content-Length", "+5"]]],
    ["a length in hexadecimal", 1, [["Content-Length", "0x5"]]],
    ["an empty length", 1, [["Content-Length", ""]]],
    ["a length over 2^53", 1, [["Content-Length", "9007199254740992"]]],
    ["a line feed behind the length", 1, [["Content-Length", "5\n"]]],
    ["a coding on HTTP/1.0", 0, [["Transfer-Encoding", "chunked"]]],
    ["chunked twice", 1, [["Transfer-Encoding", "chunked, chunked"]]],
    ["chunked and more", 1, [["Transfer-Encoding", "chunked, identity"]]],
    ["an empty coding", 1, [["Transfer-Encoding", ""]]],
  ];

  test.each(AMBIGUOUS)("%s", (_name, minor, fields) => {
    const request = { method: "POST", target: "/", minor, headers: headerList(...fields) };
    const response = { status: 200, reason: "", minor, headers: headerList(...fields) };
    expect(() => requestFraming(request)).toThrow(ProxyError);
    expect(() => responseFraming(response, "GET")).toThrow(ProxyError);
  });
});

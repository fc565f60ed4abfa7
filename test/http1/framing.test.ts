// How long a body is, from raw heads: the cases of RFC 9112 section 6.3, and every way to make two readers disagree.

import { describe, expect, test } from "bun:test";
import {
  declaredLength,
  type Framing,
  isBodyless,
  requestFraming,
  responseFraming,
} from "../../src/http1/framing.ts";
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

describe("an answer without a body, whatever its fields say", () => {
  test.each([
    [200, "GET", false],
    [200, "HEAD", true],
    [404, "HEAD", true],
    [200, "head", false],
    [200, "OPTIONS", false],
    [199, "GET", true],
    [100, "POST", true],
    [101, "GET", true],
    [103, "GET", true],
    [204, "GET", true],
    [204, "DELETE", true],
    [205, "GET", false],
    [206, "GET", false],
    [303, "GET", false],
    [304, "GET", true],
    [305, "GET", false],
    [304, "POST", true],
    [500, "GET", false],
  ])("%p to %s: %p", (status, method, expected) => {
    expect(isBodyless(status, method)).toBe(expected);
  });

  test("has no framing although it declares a length", () => {
    const headers = headerList(["Content-Length", "5"]);
    for (const [status, method] of [
      [200, "HEAD"],
      [204, "GET"],
      [304, "GET"],
    ] as const) {
      expect(responseFraming({ status, reason: "", minor: 1, headers }, method)).toEqual({ kind: "none" });
    }
  });
});

describe("the declared length", () => {
  const cases: readonly (readonly [string, number | undefined, readonly Field[]])[] = [
    ["none", undefined, []],
    ["another field", undefined, [["Content-Lengths", "5"]]],
    ["one", 5, [["content-LENGTH", "5"]]],
    ["zero", 0, [["Content-Length", "0"]]],
    ["leading zeros", 5, [["Content-Length", "005"]]],
    ["the largest that is exact", 9007199254740991, [["Content-Length", "9007199254740991"]]],
    ["the first that is not", undefined, [["Content-Length", "9007199254740992"]]],
    ["a sign", undefined, [["Content-Length", "-5"]]],
    ["hexadecimal", undefined, [["Content-Length", "0x5"]]],
    ["an exponent", undefined, [["Content-Length", "1e3"]]],
    ["a fraction", undefined, [["Content-Length", "5.0"]]],
    ["a list of equals", undefined, [["Content-Length", "5, 5"]]],
    ["nothing", undefined, [["Content-Length", ""]]],
    ["a space", undefined, [["Content-Length", " 5"]]],
    ["digits of another script", undefined, [["Content-Length", "\u0665"]]],
    [
      "two of them",
      undefined,
      [
        ["Content-Length", "5"],
        ["Content-Length", "5"],
      ],
    ],
  ];
  test.each(cases)("%s: %p", (_name, expected, fields) => {
    expect(declaredLength(headerList(...fields))).toBe(expected);
  });
});

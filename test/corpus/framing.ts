// Heads whose length of body two readers could disagree on: request smuggling and its counterpart in responses.
// Named after the attack; each must be refused by reader or framing, before a byte of a body is believed.
// RFC 9112 sections 6.1 to 6.3 and 11.2.

import type { Framing } from "../../src/http1/framing.ts";
import { get, head, ok, post } from "./raw.ts";
import type { Attack } from "./request-heads.ts";

const BAD = "malformed-request";
const CODING = "unsupported-coding";
const CHUNKED = "Transfer-Encoding: chunked";

/** Content-Length values that are no plain decimal number. */
const BAD_LENGTHS: readonly (readonly [attack: string, value: string])[] = [
  ["empty", ""],
  ["a plus sign", "+5"],
  ["a negative number", "-5"],
  ["a list of equal values", "5, 5"],
  ["a list of different values", "5,6"],
  ["a trailing comma", "5,"],
  ["hexadecimal", "0x5"],
  ["hexadecimal digits", "1f"],
  ["a fraction", "5.0"],
  ["an exponent", "5e0"],
  ["a space inside", "5 5"],
  ["a tab inside", "5\t5"],
  ["an underscore", "1_0"],
  ["a parameter", "5;x"],
  ["quotes", '"5"'],
  ["a vertical tab", "\v5"],
  ["a no-break space", "5\xa0"],
  ["a superscript digit", "5\xb2"],
  ["a word", "NaN"],
  ["2^53, where numbers lose a digit", "9007199254740992"],
  ["2^53 + 1", "9007199254740993"],
  ["2^64", "18446744073709551616"],
  ["2^64 + 5, which wraps to 5", "18446744073709551621"],
  ["2^32 + 5 behind too many zeros", "00000000004294967301"],
];

/** Transfer-Encoding values that are not exactly `chunked`; TE.TE obfuscation among them. */
const BAD_CODINGS: readonly (readonly [attack: string, value: string, code: typeof BAD | typeof CODING])[] = [
  ["empty", "", BAD],
  ["gzip before chunked", "gzip, chunked", CODING],
  ["identity", "identity", CODING],
  ["identity before chunked", "identity, chunked", CODING],
  ["gzip alone", "gzip", CODING],
  ["gzip behind chunked", "chunked, gzip", BAD],
  ["identity behind chunked", "chunked, identity", BAD],
  ["chunked twice", "chunked, chunked", BAD],
  ["an empty member behind", "chunked,", BAD],
  ["an empty member before", ",chunked", CODING],
  ["a prefix: xchunked", "xchunked", CODING],
  ["a suffix: chunkedx", "chunkedx", CODING],
  ["a prefix: x-chunked", "x-chunked", CODING],
  ["a parameter: chunked;q=1", "chunked;q=1", CODING],
  ["quotes", '"chunked"', CODING],
  ["a space inside", "chun ked", CODING],
  ["a no-break space behind", "chunked\xa0", CODING],
  ["a vertical tab before", "\vchunked", BAD],
  ["a vertical tab behind", "chunked\v", BAD],
  ["a form feed before", "\fchunked", BAD],
  ["a NUL behind", "chunked\0", BAD],
  ["an unknown coding", "cow", CODING],
];

export const REQUEST_FRAMING_ATTACKS: readonly Attack[] = [
  ["CL.TE: Content-Length before Transfer-Encoding", post("Content-Length: 4", CHUNKED), BAD],
  ["TE.CL: Transfer-Encoding before Content-Length", post(CHUNKED, "Content-Length: 4"), BAD],
  ["CL.TE with Content-Length: 0", post("Content-Length: 0", CHUNKED), BAD],
  ["CL.TE with an unknown coding", post("Content-Length: 4", "Transfer-Encoding: cow"), BAD],
  ["CL.TE behind an Upgrade", get("Upgrade: websocket", "Content-Length: 4", CHUNKED), BAD],
  ["CL.TE with GET", get("Content-Length: 4", CHUNKED), BAD],
  ["CL.CL: two equal lengths", post("Content-Length: 5", "Content-Length: 5"), BAD],
  ["CL.CL: two different lengths", post("Content-Length: 5", "Content-Length: 6"), BAD],
  ["CL.CL: different case", post("Content-Length: 5", "content-LENGTH: 6"), BAD],
  ["CL.0: zero, then a length", post("Content-Length: 0", "Content-Length: 5"), BAD],
  ["TE.TE: chunked twice", post(CHUNKED, CHUNKED), BAD],
  ["TE.TE: chunked, then identity", post(CHUNKED, "Transfer-Encoding: identity"), BAD],
  ["TE.TE: identity, then chunked", post("Transfer-Encoding: identity", CHUNKED), BAD],
  ["TE.TE: cow, then chunked", post("Transfer-Encoding: cow", CHUNKED), BAD],
  ["TE.TE: different case", post(CHUNKED, "transfer-ENCODING: identity"), BAD],
  ["TE.TE: space before the colon", post(CHUNKED, "Transfer-Encoding : identity"), BAD],
  ["TE.TE: folded", post("Transfer-Encoding:", " chunked"), BAD],
  ["TE.TE: folded with a tab", post("Transfer-Encoding:", "\tchunked"), BAD],
  ["TE.TE: behind a bare LF", post("X: y\nTransfer-Encoding: chunked"), BAD],
  ["TE.TE: behind a bare CR", post("X: y\rTransfer-Encoding: chunked"), BAD],
  ["Transfer-Encoding on HTTP/1.0", head("POST / HTTP/1.0", "Host: h.test", CHUNKED), BAD],
  ["CL.TE on HTTP/1.0", head("POST / HTTP/1.0", "Host: h.test", "Content-Length: 4", CHUNKED), BAD],
  [
    "CONNECT with a body by length: tunnel or body?",
    head("CONNECT h.test:80 HTTP/1.1", "Host: h.test", "Content-Length: 5"),
    BAD,
  ],
  ["CONNECT with a chunked body", head("CONNECT h.test:80 HTTP/1.1", "Host: h.test", CHUNKED), BAD],
  ...BAD_LENGTHS.map(
    ([attack, value]): Attack => [`Content-Length: ${attack}`, post(`Content-Length: ${value}`), BAD],
  ),
  ...BAD_CODINGS.map(
    ([attack, value, code]): Attack => [
      `Transfer-Encoding: ${attack}`,
      post(`Transfer-Encoding: ${value}`),
      code,
    ],
  ),
];

export const GOOD_REQUEST_FRAMINGS: readonly (readonly [name: string, raw: string, framing: Framing])[] = [
  ["GET without fields", get(), { kind: "none" }],
  ["POST without fields", post(), { kind: "none" }],
  ["Content-Length: 0", post("Content-Length: 0"), { kind: "none" }],
  ["a length", post("Content-Length: 5"), { kind: "length", length: 5 }],
  ["a length on GET", get("Content-Length: 5"), { kind: "length", length: 5 }],
  ["a length on HTTP/1.0", head("POST / HTTP/1.0", "Content-Length: 5"), { kind: "length", length: 5 }],
  ["white space around a length", post("Content-Length: \t5 \t"), { kind: "length", length: 5 }],
  [
    "the largest exact length",
    post("Content-Length: 9007199254740991"),
    { kind: "length", length: 2 ** 53 - 1 },
  ],
  ["chunked", post(CHUNKED), { kind: "chunked" }],
  ["chunked in capitals", post("Transfer-Encoding: CHUNKED"), { kind: "chunked" }],
  ["white space around chunked", post("Transfer-Encoding:\tchunked \t"), { kind: "chunked" }],
  ["CONNECT", head("CONNECT h.test:443 HTTP/1.1", "Host: h.test"), { kind: "none" }],
  ["a name with an underscore is another field", post("Transfer_Encoding: chunked"), { kind: "none" }],
];

/** [attack, raw head, method of the request]; each is a bad-response */
export const RESPONSE_FRAMING_ATTACKS: readonly (readonly [attack: string, raw: string, method: string])[] = [
  ...["GET", "HEAD"].flatMap((method) => [
    [`Content-Length before Transfer-Encoding, ${method}`, ok("Content-Length: 5", CHUNKED), method] as const,
    [`Transfer-Encoding before Content-Length, ${method}`, ok(CHUNKED, "Content-Length: 5"), method] as const,
    [`two equal lengths, ${method}`, ok("Content-Length: 5", "Content-Length: 5"), method] as const,
    [`two different lengths, ${method}`, ok("Content-Length: 5", "Content-Length: 6"), method] as const,
    [`two Transfer-Encoding, ${method}`, ok(CHUNKED, CHUNKED), method] as const,
    [`Transfer-Encoding on HTTP/1.0, ${method}`, head("HTTP/1.0 200 OK", CHUNKED), method] as const,
  ]),
  ["204 with length and coding", head("HTTP/1.1 204 No", "Content-Length: 5", CHUNKED), "GET"],
  ["304 with two lengths", head("HTTP/1.1 304 No", "Content-Length: 5", "Content-Length: 6"), "GET"],
  ["100 with length and coding", head("HTTP/1.1 100 Go", "Content-Length: 5", CHUNKED), "GET"],
  ...BAD_LENGTHS.map(
    ([attack, value]) => [`Content-Length: ${attack}`, ok(`Content-Length: ${value}`), "GET"] as const,
  ),
  ...BAD_CODINGS.map(
    ([attack, value]) => [`Transfer-Encoding: ${attack}`, ok(`Transfer-Encoding: ${value}`), "GET"] as const,
  ),
];

/** [name, raw head, method of the request, framing] */
export const GOOD_RESPONSE_FRAMINGS: readonly (readonly [
  name: string,
  raw: string,
  method: string,
  framing: Framing,
])[] = [
  ["a length", ok("Content-Length: 5"), "GET", { kind: "length", length: 5 }],
  ["Content-Length: 0", ok("Content-Length: 0"), "GET", { kind: "none" }],
  ["chunked", ok(CHUNKED), "GET", { kind: "chunked" }],
  ["neither: until close", ok(), "GET", { kind: "close" }],
  ["HTTP/1.0, neither", head("HTTP/1.0 200 OK"), "GET", { kind: "close" }],
  ["HTTP/1.0, a length", head("HTTP/1.0 200 OK", "Content-Length: 5"), "GET", { kind: "length", length: 5 }],
  ["HEAD with a length", ok("Content-Length: 5"), "HEAD", { kind: "none" }],
  ["HEAD with chunked", ok(CHUNKED), "HEAD", { kind: "none" }],
  ["HEAD with neither", ok(), "HEAD", { kind: "none" }],
  ...[100, 101, 103, 204, 304].flatMap((status) =>
    [[], ["Content-Length: 5"], [CHUNKED]].map(
      (lines) =>
        [
          `${status} with ${lines[0] ?? "neither"}`,
          head(`HTTP/1.1 ${status} X`, ...lines),
          "GET",
          { kind: "none" },
        ] as const,
    ),
  ),
  ["205 with a length", head("HTTP/1.1 205 X", "Content-Length: 5"), "GET", { kind: "length", length: 5 }],
  ["404 to a POST", head("HTTP/1.1 404 X", "Content-Length: 5"), "POST", { kind: "length", length: 5 }],
];

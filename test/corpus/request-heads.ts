// Request heads for the head reader: what it must read, byte for byte, and attacks that it must refuse by itself,
// whatever the target and the framing turn out to be. RFC 9112 sections 2 to 5.

import type { ErrorCode } from "../../src/values/errors.ts";
import { get, head } from "./raw.ts";

/** [attack, raw bytes as latin1, code of the refusal] */
export type Attack = readonly [name: string, raw: string, code: ErrorCode];

export interface ReadHead {
  readonly method: string;
  readonly target: string;
  readonly minor: 0 | 1;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

const HOST = ["Host", "h.test"] as const;
const MANY = Array.from({ length: 100 }, (_, i) => [`X-Field-${i}`, `value ${i}`] as const);

export const GOOD_REQUEST_HEADS: readonly (readonly [name: string, raw: string, expected: ReadHead])[] = [
  ["the smallest request", get(), { method: "GET", target: "/", minor: 1, fields: [HOST] }],
  ["no field at all", head("GET / HTTP/1.0"), { method: "GET", target: "/", minor: 0, fields: [] }],
  [
    "order, case and duplicates",
    head("POST /a?b=%2F HTTP/1.1", "hOST: h.test", "X-b: 1", "x-A: 2", "X-B: 3"),
    {
      method: "POST",
      target: "/a?b=%2F",
      minor: 1,
      fields: [
        ["hOST", "h.test"],
        ["X-b", "1"],
        ["x-A", "2"],
        ["X-B", "3"],
      ],
    },
  ],
  [
    "white space around values, none inside them lost",
    get("A:b", "C: \t d  e\tf \t", "G:", "H:   ", "I: a:b,c"),
    {
      method: "GET",
      target: "/",
      minor: 1,
      fields: [HOST, ["A", "b"], ["C", "d  e\tf"], ["G", ""], ["H", ""], ["I", "a:b,c"]],
    },
  ],
  [
    "obs-text in a value",
    get("X: \x80\xe9\xff"),
    { method: "GET", target: "/", minor: 1, fields: [HOST, ["X", "\x80\xe9\xff"]] },
  ],
  [
    "every token character in a name",
    get("!#$%&'*+-.^_`|~09azAZ: v"),
    { method: "GET", target: "/", minor: 1, fields: [HOST, ["!#$%&'*+-.^_`|~09azAZ", "v"]] },
  ],
  [
    "more fields than llhttp reports at once",
    head("POST /target?a HTTP/1.1", ...MANY.map(([name, value]) => `${name}: ${value}`)),
    { method: "POST", target: "/target?a", minor: 1, fields: MANY },
  ],
  [
    "an empty line before the request line (RFC 9112 section 2.2)",
    `\r\n\r\n${get()}`,
    { method: "GET", target: "/", minor: 1, fields: [HOST] },
  ],
  [
    "an upgrade",
    get("Connection: Upgrade", "Upgrade: websocket"),
    {
      method: "GET",
      target: "/",
      minor: 1,
      fields: [HOST, ["Connection", "Upgrade"], ["Upgrade", "websocket"]],
    },
  ],
  [
    "CONNECT",
    head("CONNECT h.test:443 HTTP/1.1", "Host: h.test:443"),
    { method: "CONNECT", target: "h.test:443", minor: 1, fields: [["Host", "h.test:443"]] },
  ],
  [
    "absolute-form",
    head("GET http://H.test:8080/a?b HTTP/1.1", "Host: h.test"),
    { method: "GET", target: "http://H.test:8080/a?b", minor: 1, fields: [HOST] },
  ],
  [
    "asterisk-form",
    head("OPTIONS * HTTP/1.1", "Host: h.test"),
    { method: "OPTIONS", target: "*", minor: 1, fields: [HOST] },
  ],
  [
    "a body announced",
    head("PUT / HTTP/1.1", "Host: h.test", "Content-Length: 5"),
    { method: "PUT", target: "/", minor: 1, fields: [HOST, ["Content-Length", "5"]] },
  ],
];

const BAD = "malformed-request";
const VERSION = "unsupported-version";

function line(text: string): string {
  return head(text, "Host: h.test");
}

export const REQUEST_LINE_ATTACKS: readonly Attack[] = [
  ["HTTP/0.9: no version", "GET /\r\n\r\n", BAD],
  ["HTTP/0.9 with fields behind it", line("GET /"), BAD],
  ["HTTP/0.9 as a version", line("GET / HTTP/0.9"), VERSION],
  ["HTTP/2.0 as a version", line("GET / HTTP/2.0"), VERSION],
  ["HTTP/3.0 as a version", line("GET / HTTP/3.0"), VERSION],
  ["HTTP/1.2 as a version", line("GET / HTTP/1.2"), VERSION],
  ["HTTP/1.9 as a version", line("GET / HTTP/1.9"), VERSION],
  ["a version of two digits: HTTP/1.10", line("GET / HTTP/1.10"), VERSION],
  ["a padded version: HTTP/01.1", line("GET / HTTP/01.1"), VERSION],
  ["a version without minor: HTTP/1", line("GET / HTTP/1"), VERSION],
  ["a version without minor: HTTP/1.", line("GET / HTTP/1."), VERSION],
  ["text behind the version", line("GET / HTTP/1.1x"), VERSION],
  ["a space behind the version", line("GET / HTTP/1.1 "), VERSION],
  ["a second version behind the first", line("GET / HTTP/1.1 HTTP/1.1"), VERSION],
  ["the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION],
  ["RTSP/1.0 as protocol", line("GET / RTSP/1.0"), BAD],
  ["RTSP/1.1 as protocol", line("GET / RTSP/1.1"), BAD],
  ["an RTSP method and protocol", line("DESCRIBE / RTSP/1.0"), BAD],
  ["an RTSP method over HTTP", line("DESCRIBE / HTTP/1.1"), BAD],
  ["ICE/1.0 as protocol", line("SOURCE / ICE/1.0"), BAD],
  ["ICE/1.0 as protocol of a GET", line("GET / ICE/1.0"), BAD],
  ["RTSP/1.0 behind a target that ends in HTTP/1.1", line("GET /HTTP/1.1 RTSP/1.0"), BAD],
  ["lower-case protocol: http/1.1", line("GET / http/1.1"), BAD],
  ["mixed-case protocol: Http/1.1", line("GET / Http/1.1"), BAD],
  ["lower-case method", line("get / HTTP/1.1"), BAD],
  ["unknown method", line("SMUGGLE / HTTP/1.1"), BAD],
  ["no target", line("GET HTTP/1.1"), BAD],
  ["an empty target", line("GET  HTTP/1.1"), BAD],
  ["a relative target", line("GET a HTTP/1.1"), BAD],
  ["a query as target", line("GET ?a HTTP/1.1"), BAD],
  ["a space inside the target", line("GET /a b HTTP/1.1"), BAD],
  ["two spaces behind the method", line("GET  / HTTP/1.1"), BAD],
  ["two spaces before the version", line("GET /  HTTP/1.1"), BAD],
  ["a tab behind the method", line("GET\t/ HTTP/1.1"), BAD],
  ["a tab before the version", line("GET /\tHTTP/1.1"), BAD],
  ["a vertical tab in the target", line("GET /\v HTTP/1.1"), BAD],
  ["a NUL in the target", line("GET /\0 HTTP/1.1"), BAD],
  ["a control character in the target", line("GET /\x01 HTTP/1.1"), BAD],
  ["DEL in the target", line("GET /\x7f HTTP/1.1"), BAD],
  ["a raw byte over 0x7f in the target", line("GET /\xe9 HTTP/1.1"), BAD],
  ["a space before the method", ` ${get()}`, BAD],
  ["a byte order mark before the method", `\xef\xbb\xbf${get()}`, BAD],
  ["a NUL before the method", `\0${get()}`, BAD],
  ["a bare LF before the request line", `\n${get()}`, BAD],
  ["a bare CR before the request line", `\r${get()}`, BAD],
  ["a response instead of a request", head("HTTP/1.1 200 OK", "Host: h.test"), BAD],
  ["a TLS ClientHello", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", BAD],
  ["an SSH banner", "SSH-2.0-client\r\n", BAD],
];

export const FIELD_ATTACKS: readonly Attack[] = [
  ["bare LF throughout", "GET / HTTP/1.1\nHost: h.test\n\n", VERSION],
  ["bare LF behind the request line", "GET / HTTP/1.1\nHost: h.test\r\n\r\n", VERSION],
  ["bare LF behind a field", "GET / HTTP/1.1\r\nHost: h.test\nX: y\r\n\r\n", BAD],
  ["bare LF that hides a Transfer-Encoding", get("X: y\nTransfer-Encoding: chunked"), BAD],
  ["bare LF as the empty line", "GET / HTTP/1.1\r\nHost: h.test\r\n\n", BAD],
  ["bare CR behind the request line", "GET / HTTP/1.1\rHost: h.test\r\n\r\n", BAD],
  ["bare CR in a value", get("X: a\rb"), BAD],
  ["bare CR that hides a Transfer-Encoding", get("X: y\rTransfer-Encoding: chunked"), BAD],
  ["two CR before the LF", get("X: a\r"), BAD],
  ["bare CR as the empty line", "GET / HTTP/1.1\r\nHost: h.test\r\n\rX", BAD],
  ["obs-fold with a space", get("X: a", " b"), BAD],
  ["obs-fold with a tab", get("X: a", "\tb"), BAD],
  ["obs-fold behind an empty value", get("X:", " b"), BAD],
  ["obs-fold that hides chunked", get("Transfer-Encoding:", " chunked"), BAD],
  ["obs-fold behind an Upgrade", get("Connection: Upgrade", "Upgrade: websocket", "X: a", " b"), BAD],
  ["white space before the first field", head("GET / HTTP/1.1", " X: a", "Host: h.test"), BAD],
  ["a space before the colon", get("X : a"), BAD],
  ["a tab before the colon", get("X\t: a"), BAD],
  ["a space before the colon of Transfer-Encoding", get("Transfer-Encoding : chunked"), BAD],
  ["a space before the colon of Content-Length", get("Content-Length : 5"), BAD],
  ["a space before the colon of Host", head("GET / HTTP/1.1", "Host : h.test"), BAD],
  ["a field without a name", get(": a"), BAD],
  ["a field without a colon", get("X"), BAD],
  ["a space inside a name", get("X Y: a"), BAD],
  ["NUL in a name", get("X\0: a"), BAD],
  ["a control character in a name", get("X\x01: a"), BAD],
  ["DEL in a name", get("X\x7f: a"), BAD],
  ["a byte over 0x7f in a name", get("X\xe9: a"), BAD],
  ["a parenthesis in a name", get("X(: a"), BAD],
  ["a quote in a name", get('X": a'), BAD],
  ["NUL in a value", get("X: a\0b"), BAD],
  ["a control character in a value", get("X: a\x01b"), BAD],
  ["a vertical tab in a value", get("X: a\vb"), BAD],
  ["an escape sequence in a value", get("X: \x1b[31m"), BAD],
  ["DEL in a value", get("X: a\x7fb"), BAD],
];

function padded(total: number): string {
  const start = "GET / HTTP/1.1\r\nHost: h.test\r\nX: ";
  return `${start}${"a".repeat(total - start.length - 4)}\r\n\r\n`;
}

/** Too long to be split at every position. */
export const OVERSIZED_REQUEST_HEADS: readonly Attack[] = [
  ["a head of 64 KiB and one byte", padded(64 * 1024 + 1), "head-too-large"],
  ["a head of 1 MiB", padded(1024 * 1024), "head-too-large"],
  ["a target of 64 KiB", head(`GET /${"a".repeat(64 * 1024)} HTTP/1.1`), "head-too-large"],
  ["a field name of 64 KiB", get(`${"a".repeat(64 * 1024)}: b`), "head-too-large"],
  ["201 fields", get(...Array<string>(200).fill("A: b")), "head-too-large"],
  ["20,000 empty fields", get(...Array<string>(20_000).fill("A:")), "head-too-large"],
  ["a head without end", `GET / HTTP/1.1\r\nX: ${"a".repeat(70_000)}`, "head-too-large"],
  ["empty lines without end", "\r\n".repeat(40_000), "head-too-large"],
];

export const LARGEST_REQUEST_HEADS: readonly (readonly [name: string, raw: string, fields: number])[] = [
  ["a head of exactly 64 KiB", padded(64 * 1024), 2],
  ["200 fields", get(...Array<string>(199).fill("A: b")), 200],
];

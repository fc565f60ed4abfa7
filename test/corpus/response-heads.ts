// Response heads for the head reader: what it must read, and what a hostile or broken upstream may send instead.
// Every refusal is a bad-response: the upstream's fault, never the client's or ours. RFC 9112 section 4.

import { head, ok } from "./raw.ts";

export interface ReadResponse {
  readonly status: number;
  readonly reason: string;
  readonly minor: 0 | 1;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

const MANY = Array.from({ length: 100 }, (_, i) => [`X-Field-${i}`, `value ${i}`] as const);

export const GOOD_RESPONSE_HEADS: readonly (readonly [name: string, raw: string, head: ReadResponse])[] = [
  ["the smallest answer", ok(), { status: 200, reason: "OK", minor: 1, fields: [] }],
  ["no reason", head("HTTP/1.1 200 "), { status: 200, reason: "", minor: 1, fields: [] }],
  ["no space behind the status", head("HTTP/1.1 200"), { status: 200, reason: "", minor: 1, fields: [] }],
  [
    "white space and obs-text in the reason",
    head("HTTP/1.1 404 not\tfound \xe9"),
    { status: 404, reason: "not\tfound \xe9", minor: 1, fields: [] },
  ],
  ["HTTP/1.0", head("HTTP/1.0 200 OK"), { status: 200, reason: "OK", minor: 0, fields: [] }],
  ["100", head("HTTP/1.1 100 Continue"), { status: 100, reason: "Continue", minor: 1, fields: [] }],
  [
    "103 with fields",
    head("HTTP/1.1 103 Early Hints", "Link: </a>"),
    { status: 103, reason: "Early Hints", minor: 1, fields: [["Link", "</a>"]] },
  ],
  [
    "101",
    head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"),
    {
      status: 101,
      reason: "Switching Protocols",
      minor: 1,
      fields: [
        ["Upgrade", "websocket"],
        ["Connection", "Upgrade"],
      ],
    },
  ],
  ["an unregistered status", head("HTTP/1.1 999 x"), { status: 999, reason: "x", minor: 1, fields: [] }],
  [
    "more fields than llhttp reports at once",
    head("HTTP/1.1 418 I am", ...MANY.map(([name, value]) => `${name}: ${value}`)),
    { status: 418, reason: "I am", minor: 1, fields: MANY },
  ],
  [
    "order, case and duplicates",
    ok("set-cookie: a", "X: 1", "Set-Cookie: b"),
    {
      status: 200,
      reason: "OK",
      minor: 1,
      fields: [
        ["set-cookie", "a"],
        ["X", "1"],
        ["Set-Cookie", "b"],
      ],
    },
  ],
];

/** [attack, raw bytes as latin1] */
export type ResponseAttack = readonly [name: string, raw: string];

export const RESPONSE_HEAD_ATTACKS: readonly ResponseAttack[] = [
  ["HTTP/0.9 as a version", head("HTTP/0.9 200 OK")],
  ["HTTP/2.0 as a version", head("HTTP/2.0 200 OK")],
  ["HTTP/1.2 as a version", head("HTTP/1.2 200 OK")],
  ["a version without minor: HTTP/2", head("HTTP/2 200 OK")],
  ["lower-case protocol", head("http/1.1 200 OK")],
  ["RTSP/1.0 as protocol", head("RTSP/1.0 200 OK")],
  ["RTSP/1.1 as protocol", head("RTSP/1.1 200 OK")],
  ["ICE/1.0 as protocol", head("ICE/1.0 200 OK")],
  ["ICY as protocol", head("ICY 200 OK")],
  ["HTTP/0.9: a body without head", "<html>hello</html>"],
  ["a request instead of a response", head("GET / HTTP/1.1")],
  ["no status", head("HTTP/1.1 ")],
  ["a status of two digits", head("HTTP/1.1 20 OK")],
  ["a status of four digits", head("HTTP/1.1 2000 OK")],
  ["status 000", head("HTTP/1.1 000 OK")],
  ["status 099", head("HTTP/1.1 099 OK")],
  ["a sign before the status", head("HTTP/1.1 +200 OK")],
  ["a letter in the status", head("HTTP/1.1 2x0 OK")],
  ["no space behind the status", head("HTTP/1.1 200OK")],
  ["two spaces before the status", head("HTTP/1.1  200 OK")],
  ["a tab before the status", head("HTTP/1.1\t200 OK")],
  ["a tab behind the status", head("HTTP/1.1 200\tOK")],
  ["a space before the protocol", head(" HTTP/1.1 200 OK")],
  ["an empty line before the status line", `\r\n${ok()}`],
  ["a bare LF before the status line", `\n${ok()}`],
  ["a bare CR before the status line", `\r${ok()}`],
  ["NUL in the reason", head("HTTP/1.1 200 a\0b")],
  ["an escape sequence in the reason", head("HTTP/1.1 200 \x1b[31m")],
  ["DEL in the reason", head("HTTP/1.1 200 a\x7fb")],
  ["bare CR in the reason", head("HTTP/1.1 200 a\rb")],
  ["bare LF throughout", "HTTP/1.1 200 OK\nX: a\n\n"],
  ["bare LF behind the status line", "HTTP/1.1 200 OK\nX: a\r\n\r\n"],
  ["bare LF behind a field: response splitting", ok("X: a\nSet-Cookie: b")],
  ["bare LF as the empty line", "HTTP/1.1 200 OK\r\nX: a\r\n\n"],
  ["bare CR in a value: response splitting", ok("X: a\rSet-Cookie: b")],
  ["obs-fold", ok("X: a", " b")],
  ["white space before the first field", ok(" X: a")],
  ["a space before the colon", ok("X : a")],
  ["a field without a name", ok(": a")],
  ["a field without a colon", ok("X")],
  ["a control character in a name", ok("X\x01: a")],
  ["NUL in a value", ok("X: a\0b")],
  ["an escape sequence in a value", ok("X: \x1b[31m")],
];

/** Too long to be split at every position. */
export const OVERSIZED_RESPONSE_HEADS: readonly ResponseAttack[] = [
  ["a head of 64 KiB and one byte", ok(`X: ${"a".repeat(64 * 1024 + 1 - ok("X: ").length)}`)],
  ["a head of 1 MiB", ok(`X: ${"a".repeat(1024 * 1024)}`)],
  ["a reason of 64 KiB", head(`HTTP/1.1 200 ${"a".repeat(64 * 1024)}`)],
  ["201 fields", ok(...Array<string>(201).fill("A: b"))],
  ["a head without end", `HTTP/1.1 200 OK\r\nX: ${"a".repeat(70_000)}`],
];

export const LARGEST_RESPONSE_HEADS: readonly (readonly [name: string, raw: string, fields: number])[] = [
  ["a head of exactly 64 KiB", ok(`X: ${"a".repeat(64 * 1024 - ok("X: ").length)}`), 1],
  ["200 fields", ok(...Array<string>(200).fill("A: b")), 200],
];

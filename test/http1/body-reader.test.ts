// Bodies in every split: exactly the body, no byte of the next message; every chunked attack refused in every split
// alike. Ends with a small seeded fuzz.

import { describe, expect, test } from "bun:test";
import { BodyReader } from "../../src/http1/body-reader.ts";
import type { Framing } from "../../src/http1/framing.ts";
import { CHUNKED_ATTACKS, CHUNKED_FLOODS, GOOD_CHUNKED_BODIES } from "../corpus/chunked-bodies.ts";
import {
  bytes,
  expectEverySplit,
  fieldsOf,
  latin1,
  mutated,
  type Outcome,
  type ReadBody,
  randomSplit,
  readBody,
  refused,
  seeded,
} from "./support.ts";

const CHUNKED: Framing = { kind: "chunked" };
/** What may stand behind a chunked body; none of it is the body's. */
const BEHIND = [
  "x",
  " ",
  "\0",
  "0\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: h.test\r\n\r\n",
  "HTTP/1.1 200 OK\r\n\r\n",
];

function chunked(parts: readonly Uint8Array[]): Outcome<ReadBody> {
  return readBody(CHUNKED, parts);
}

function quiet(): BodyReader {
  return new BodyReader({ onBodySpan: () => {} }, "malformed-request");
}

describe("a chunked body", () => {
  test.each(GOOD_CHUNKED_BODIES)("is read in every split: %s", (_name, raw, body, trailers) => {
    expectEverySplit(raw, chunked, { kind: "read", value: { body, trailers }, used: raw.length }, BEHIND);
  });

  test.each(CHUNKED_ATTACKS)("is refused in every split: %s", (_name, raw) => {
    expectEverySplit(raw, chunked, refused("malformed-request"), ["x"]);
  });

  test.each(CHUNKED_FLOODS)("is refused beyond the limit: %s", (_name, raw) => {
    expectEverySplit(raw, chunked, refused("malformed-request"));
  });

  test("framing without end is refused also when it comes in small pieces", () => {
    const reader = quiet();
    reader.start(CHUNKED);
    const zeros = bytes("0".repeat(1024));
    expect(() => {
      for (let n = 0; n < 100; n++) reader.read(zeros);
    }).toThrow(expect.objectContaining({ code: "malformed-request" }));
  });

  test("framing is counted only until the next byte of body, and only within its message", () => {
    const reader = quiet();
    reader.start(CHUNKED);
    const chunk = bytes("1;ext=12345678\r\nx\r\n");
    for (let n = 0; n < 10_000; n++) for (const byte of chunk) reader.read(Uint8Array.of(byte));
    expect(reader.size).toBe(10_000);
    for (let n = 0; n < 20; n++) {
      reader.start(CHUNKED);
      for (let kib = 0; kib < 10; kib++) reader.read(bytes("0".repeat(1024)));
    }
    expect(reader.read(bytes("1\r\nx\r\n0\r\n\r\n"))).toBe(11);
    expect(reader.size).toBe(1);
  });

  test("the upstream is blamed for its own", () => {
    const reader = new BodyReader({ onBodySpan: () => {} }, "bad-response");
    reader.start(CHUNKED);
    expect(() => reader.read(bytes("zz\r\n"))).toThrow(expect.objectContaining({ code: "bad-response" }));
  });

  test("200 trailers are read", () => {
    const raw = `0\r\n${"T: v\r\n".repeat(200)}\r\n`;
    const reader = quiet();
    reader.start(CHUNKED);
    expect(reader.read(bytes(raw))).toBe(raw.length);
    expect(reader.trailers()?.size).toBe(200);
  });

  test("an empty line behind it is not swallowed with it", () => {
    const raw = "5\r\nhello\r\n0\r\n\r\n";
    for (const tail of ["\r\nGET", "\r\n\r\nGET"]) {
      const reader = quiet();
      reader.start(CHUNKED);
      expect(reader.read(bytes(raw + tail))).toBe(raw.length);
      expect(reader.done).toBe(true);
    }
  });

  test.each([
    ["LF", "\nGET"],
    ["CR", "\rGET"],
    ["CR at the end", "\r"],
  ])("a bare %s behind it is not swallowed: it is no empty line", (_name, tail) => {
    const raw = "5\r\nhello\r\n0\r\n\r\n";
    const reader = quiet();
    reader.start(CHUNKED);
    expect(reader.read(bytes(raw + tail))).toBe(raw.length);
  });

  test("cut short anywhere, it is never complete", () => {
    for (const [, raw] of GOOD_CHUNKED_BODIES) {
      for (let length = 0; length < raw.length; length++) {
        const reader = quiet();
        reader.start(CHUNKED);
        if (length > 0) expect(reader.read(bytes(raw.slice(0, length)))).toBe(length);
        expect({ raw, length, done: reader.done, ended: reader.end() }).toEqual({
          raw,
          length,
          done: false,
          ended: false,
        });
      }
    }
  });

  test("each span is given when its bytes arrive, not when its chunk is complete", () => {
    const spans: string[] = [];
    const reader = new BodyReader({ onBodySpan: (span) => spans.push(latin1(span)) }, "malformed-request");
    reader.start(CHUNKED);
    for (const part of ["a\r\nab", "cd", "efghij\r\n"]) reader.read(bytes(part));
    expect(spans).toEqual(["ab", "cd", "efghij"]);
    expect(reader.size).toBe(10);
  });
});

describe("a body by length", () => {
  const FIVE: Framing = { kind: "length", length: 5 };

  test("is read in every split, and not a byte more", () => {
    const read = (parts: readonly Uint8Array[]) => readBody(FIVE, parts);
    const expected = { kind: "read", value: { body: "he\r\n\0", trailers: [] }, used: 5 } as const;
    expectEverySplit("he\r\n\0", read, expected, [...BEHIND, "\r\n", "\n"]);
  });

  test("counts down and is cut short until the last byte", () => {
    const reader = quiet();
    reader.start(FIVE);
    for (let left = 5; left > 0; left--) {
      expect([reader.left, reader.done, reader.end()]).toEqual([left, false, false]);
      expect(reader.read(bytes("x"))).toBe(1);
    }
    expect([reader.left, reader.done, reader.end()]).toEqual([0, true, true]);
    expect(reader.read(bytes("x"))).toBe(0);
    expect(reader.size).toBe(5);
  });

  test("spans are views into what was fed", () => {
    const fed = new Uint8Array(8);
    let seen: Uint8Array | undefined;
    const reader = new BodyReader({ onBodySpan: (span) => (seen = span) }, "malformed-request");
    reader.start(FIVE);
    expect(reader.read(fed)).toBe(5);
    expect(seen?.buffer).toBe(fed.buffer);
    expect(seen?.length).toBe(5);
  });

  test("can be longer than 32 bits", () => {
    const reader = quiet();
    reader.start({ kind: "length", length: 2 ** 40 });
    reader.read(bytes("x"));
    expect(reader.left).toBe(2 ** 40 - 1);
    expect(reader.done).toBe(false);
  });
});

describe("a body until close", () => {
  test("is everything, and complete only with the end", () => {
    const spans: string[] = [];
    const reader = new BodyReader({ onBodySpan: (span) => spans.push(latin1(span)) }, "bad-response");
    reader.start({ kind: "close" });
    for (const part of ["he", "llo", "\r\n0\r\n\r\n"]) expect(reader.read(bytes(part))).toBe(part.length);
    expect(reader.done).toBe(false);
    expect(reader.end()).toBe(true);
    expect(reader.done).toBe(true);
    expect(spans.join("")).toBe("hello\r\n0\r\n\r\n");
    expect(reader.trailers()).toBeUndefined();
  });
});

describe("one reader, many messages", () => {
  test("no body takes nothing", () => {
    const reader = quiet();
    expect(reader.done).toBe(true);
    reader.start({ kind: "none" });
    expect([reader.done, reader.read(bytes("x")), reader.size, reader.left]).toEqual([true, 0, 0, 0]);
    expect(reader.end()).toBe(true);
  });

  test.each([
    ["a finished chunked body with trailers", CHUNKED, "1\r\na\r\n0\r\nT: v\r\n\r\n"],
    ["half a chunked body", CHUNKED, "5\r\nab"],
    ["half a trailer section", CHUNKED, "0\r\nT: v\r\nU"],
    ["a malformed chunked body", CHUNKED, "zz\r\n"],
    ["half a body by length", { kind: "length", length: 9 } as const, "abc"],
    ["a body until close", { kind: "close" } as const, "abc"],
  ])("nothing is left over from %s", (_name, framing, raw) => {
    const spans: string[] = [];
    const reader = new BodyReader({ onBodySpan: (span) => spans.push(latin1(span)) }, "malformed-request");
    reader.start(framing);
    try {
      reader.read(bytes(raw));
    } catch (error) {
      expect(error).toMatchObject({ code: "malformed-request" });
    }
    spans.length = 0;
    reader.start({ kind: "length", length: 2 });
    expect([reader.size, reader.left, reader.done]).toEqual([0, 2, false]);
    expect(reader.read(bytes("okx"))).toBe(2);
    expect(reader.trailers()).toBeUndefined();
    reader.start(CHUNKED);
    expect([reader.size, reader.left, reader.done]).toEqual([0, 0, false]);
    expect(reader.read(bytes("2\r\nOK\r\n0\r\nA: 1\r\n\r\nx"))).toBe(18);
    const trailers = reader.trailers();
    expect(trailers && fieldsOf(trailers)).toEqual([["A", "1"]]);
    expect(spans).toEqual(["ok", "OK"]);
    expect(reader.size).toBe(2);
  });
});

describe("seeded fuzz", () => {
  const SEED = 0x626f6479;
  const ROUNDS = 1500;

  test("random chunks in random splits give the body back", () => {
    const random = seeded(SEED);
    for (let n = 0; n < 300; n++) {
      const parts = Array.from({ length: random(6) }, () => {
        const size = 1 + random(40);
        return latin1(Uint8Array.from({ length: size }, () => random(256)));
      });
      const raw = `${parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("")}0\r\n\r\n`;
      expect(chunked([...randomSplit(bytes(raw), random)])).toEqual({
        kind: "read",
        value: { body: parts.join(""), trailers: [] },
        used: raw.length,
      });
    }
  });

  test("mutated bodies: the same outcome in any split", () => {
    const random = seeded(SEED + 1);
    const corpus = [...GOOD_CHUNKED_BODIES.map(([, raw]) => raw), ...CHUNKED_ATTACKS.map(([, raw]) => raw)];
    for (let n = 0; n < ROUNDS; n++) {
      const raw = mutated(corpus[random(corpus.length)] as string, random);
      // Empty lines behind the end are swallowed or not, as they come: what counts is the body.
      const body = (found: Outcome<ReadBody>): object =>
        found.kind === "read" ? { kind: found.kind, ...found.value } : found;
      expect({ raw, ...body(chunked(randomSplit(raw, random))) }).toEqual({ raw, ...body(chunked([raw])) });
    }
  });

  test("random bytes never bring anything but a refusal or a wait", () => {
    const random = seeded(SEED + 2);
    for (let n = 0; n < ROUNDS; n++) {
      const raw = Buffer.from(Array.from({ length: random(60) }, () => random(256)));
      expect(["refused", "incomplete"]).toContain(chunked(randomSplit(raw, random)).kind);
    }
  });
});

// Heads in every split: exactly the head, no byte more; every attack of the corpus refused in every split alike.
// Ends with a small seeded fuzz: splits change nothing, and nothing but a ProxyError is ever thrown.

import { describe, expect, test } from "bun:test";
import type { RequestHead, ResponseHead } from "../../src/http1/head.ts";
import { RequestHeadReader, ResponseHeadReader } from "../../src/http1/message-reader.ts";
import { requestHead } from "../../src/http1/write-head.ts";
import { get, head, ok } from "../corpus/raw.ts";
import {
  FIELD_ATTACKS,
  GOOD_REQUEST_HEADS,
  LARGEST_REQUEST_HEADS,
  OVERSIZED_REQUEST_HEADS,
  REQUEST_LINE_ATTACKS,
} from "../corpus/request-heads.ts";
import {
  GOOD_RESPONSE_HEADS,
  LARGEST_RESPONSE_HEADS,
  OVERSIZED_RESPONSE_HEADS,
  RESPONSE_HEAD_ATTACKS,
} from "../corpus/response-heads.ts";
import {
  bytes,
  expectEverySplit,
  fieldsOf,
  mutated,
  randomSplit,
  readRequestHead,
  readResponseHead,
  refused,
  seeded,
  then,
} from "./support.ts";

/** What may follow a head in the same bytes; none of it is the head's. */
const BEHIND = [
  "x",
  "\r\n",
  "\n",
  "\0",
  " ",
  "5\r\nhello\r\n0\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n",
];

function plainRequest(request: RequestHead): object {
  const { method, target, minor, headers } = request;
  return { method, target, minor, fields: fieldsOf(headers) };
}

function plainResponse(response: ResponseHead): object {
  const { status, reason, minor, headers } = response;
  return { status, reason, minor, fields: fieldsOf(headers) };
}

describe("a request head", () => {
  test.each(GOOD_REQUEST_HEADS)("is read in every split: %s", (_name, raw, expected) => {
    const read = (parts: readonly Uint8Array[]) => then(readRequestHead(parts), plainRequest);
    expectEverySplit(raw, read, { kind: "read", value: expected, used: raw.length }, BEHIND);
  });

  test.each(LARGEST_REQUEST_HEADS)("is read up to the limit: %s", (_name, raw, fields) => {
    const read = (parts: readonly Uint8Array[]) =>
      then(readRequestHead(parts), ({ headers }) => headers.size);
    expectEverySplit(raw, read, { kind: "read", value: fields, used: raw.length }, BEHIND);
  });

  test.each([...REQUEST_LINE_ATTACKS, ...FIELD_ATTACKS])(
    "is refused in every split: %s",
    (_name, raw, code) => {
      expectEverySplit(raw, readRequestHead, refused(code), [get()]);
    },
  );

  test.each(OVERSIZED_REQUEST_HEADS)("is refused beyond the limit: %s", (_name, raw, code) => {
    expectEverySplit(raw, readRequestHead, refused(code));
  });

  test("is not there before its last byte", () => {
    for (const [, raw] of GOOD_REQUEST_HEADS) {
      const reader = new RequestHeadReader();
      expect(reader.started).toBe(false);
      for (let i = 0; i < raw.length - 1; i++) {
        expect(reader.read(bytes(raw[i] as string))).toBe(1);
        expect(reader.take()).toBeUndefined();
        expect(reader.started).toBe(true);
      }
      expect(reader.read(bytes(raw.slice(-1)))).toBe(1);
      expect(reader.started).toBe(false);
      expect(reader.take()).toBeDefined();
      expect(reader.take()).toBeUndefined();
    }
  });

  test("follows another on the same connection, pipelined or not", () => {
    const raw = GOOD_REQUEST_HEADS.map(([, text]) => text).join("");
    const reader = new RequestHeadReader();
    const found: object[] = [];
    for (let at = 0; at < raw.length; ) {
      at += reader.read(bytes(raw.slice(at)));
      const request = reader.take();
      if (request === undefined) throw new Error(`no head at ${at}`);
      found.push(plainRequest(request));
    }
    expect(found).toEqual(GOOD_REQUEST_HEADS.map(([, , expected]) => ({ ...expected })));
  });

  test.each(["GET / RTSP/1.0", "SOURCE / ICE/1.0", "GET / HTTP/0.9", "GET /"])(
    "%s is refused as the second of a connection too",
    (line) => {
      const reader = new RequestHeadReader();
      const raw = get() + head(line, "Host: h.test");
      const used = reader.read(bytes(raw));
      expect(used).toBe(get().length);
      expect(reader.take()).toBeDefined();
      expect(() => reader.read(bytes(raw.slice(used)))).toThrow();
      expect(reader.take()).toBeUndefined();
    },
  );

  test("nothing fed is nothing started", () => {
    const reader = new RequestHeadReader();
    expect(reader.read(new Uint8Array(0))).toBe(0);
    expect(reader.started).toBe(false);
  });
});

describe("a response head", () => {
  test.each(GOOD_RESPONSE_HEADS)("is read in every split: %s", (_name, raw, expected) => {
    const read = (parts: readonly Uint8Array[]) => then(readResponseHead(parts), plainResponse);
    expectEverySplit(raw, read, { kind: "read", value: expected, used: raw.length }, [...BEHIND, ok()]);
  });

  test.each(LARGEST_RESPONSE_HEADS)("is read up to the limit: %s", (_name, raw, fields) => {
    const read = (parts: readonly Uint8Array[]) =>
      then(readResponseHead(parts), ({ headers }) => headers.size);
    expectEverySplit(raw, read, { kind: "read", value: fields, used: raw.length }, BEHIND);
  });

  test.each(RESPONSE_HEAD_ATTACKS)("is refused in every split: %s", (_name, raw) => {
    expectEverySplit(raw, readResponseHead, refused("bad-response"), [ok()]);
  });

  test.each(OVERSIZED_RESPONSE_HEADS)("is refused beyond the limit: %s", (_name, raw) => {
    expectEverySplit(raw, readResponseHead, refused("bad-response"));
  });

  test("follows an interim one in the same bytes", () => {
    const interim = head("HTTP/1.1 103 Early Hints", "Link: </a>");
    const reader = new ResponseHeadReader();
    const raw = interim + interim + ok("A: 1");
    const found: number[] = [];
    for (let at = 0; at < raw.length; ) {
      at += reader.read(bytes(raw.slice(at)));
      found.push(reader.take()?.status ?? 0);
    }
    expect(found).toEqual([103, 103, 200]);
  });

  // One reader serves a session for its life, over many upstream connections.
  test.each([
    ["half a head", ["HTTP/1.1 200 OK\r\nX: a\r\n"]],
    ["nonsense in the first bytes", ["nonsense\r\n\r\n"]],
    ["nonsense behind half a head", ["HTTP/1.1 2", "xx\r\n\r\n"]],
    ["a bad field in the first bytes", ["HTTP/1.1 200 OK\r\nX : a\r\n\r\n"]],
    ["a status out of range", ["HTTP/1.1 099 OK\r\n\r\n"]],
    ["a head beyond the limit", [`HTTP/1.1 200 OK\r\nX: ${"a".repeat(80_000)}`]],
    ["a whole head", [ok("X: a")]],
    ["nothing", []],
  ] as const)("is read after reset, whatever came before: %s", (_name, before) => {
    const reader = new ResponseHeadReader();
    readAll(reader, before);
    reader.reset();
    expect(reader.started).toBe(false);
    const raw = ok("A: 1");
    expect(reader.read(bytes(raw))).toBe(raw.length);
    const found = reader.take();
    expect(found && plainResponse(found)).toEqual({
      status: 200,
      reason: "OK",
      minor: 1,
      fields: [["A", "1"]],
    });
  });
});

/** Feeds until the end or the refusal; takes what comes. */
function readAll(reader: ResponseHeadReader, parts: readonly string[]): void {
  for (const part of parts) {
    try {
      reader.read(bytes(part));
      reader.take();
    } catch (error) {
      expect(error).toMatchObject({ name: "ProxyError", code: "bad-response" });
      return;
    }
  }
}

describe("a refusal", () => {
  test("says what and never repeats what was sent", () => {
    const marker = "hunter2";
    const raws = [get(`X: ${marker}\0`), get(`${marker}\0: a`), head(`GET /${marker}\0 HTTP/1.1`)];
    for (const raw of raws) {
      let thrown: unknown;
      try {
        new RequestHeadReader().read(bytes(raw));
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toMatchObject({ name: "ProxyError", code: "malformed-request" });
      expect(Bun.inspect(thrown)).not.toContain(marker);
    }
  });
});

describe("seeded fuzz", () => {
  const SEED = 0x6d6f6174;
  const ROUNDS = 1500;
  const requests = GOOD_REQUEST_HEADS.map(([, raw]) => raw);
  const responses = GOOD_RESPONSE_HEADS.map(([, raw]) => raw);

  test("mutated requests: the same outcome in any split, and a head that is read can be written and read again", () => {
    const random = seeded(SEED);
    let accepted = 0;
    for (let n = 0; n < ROUNDS; n++) {
      const raw = mutated(requests[random(requests.length)] as string, random);
      const whole = then(readRequestHead([raw]), plainRequest);
      expect({ raw, ...then(readRequestHead(randomSplit(raw, random)), plainRequest) }).toEqual({
        raw,
        ...whole,
      });
      const first = readRequestHead([raw]);
      if (first.kind !== "read") continue;
      accepted++;
      const { method, target, headers } = first.value;
      const written = Buffer.from(requestHead(method, target, headers), "latin1");
      const again = then(readRequestHead([written]), plainRequest);
      const expected = { ...plainRequest(first.value), minor: 1 };
      expect(again).toEqual({ kind: "read", value: expected, used: written.length });
    }
    expect(accepted).toBeGreaterThan(ROUNDS / 10);
    expect(accepted).toBeLessThan(ROUNDS);
  });

  test("mutated responses: the same outcome in any split", () => {
    const random = seeded(SEED + 1);
    for (let n = 0; n < ROUNDS; n++) {
      const raw = mutated(responses[random(responses.length)] as string, random);
      const whole = then(readResponseHead([raw]), plainResponse);
      expect({ raw, ...then(readResponseHead(randomSplit(raw, random)), plainResponse) }).toEqual({
        raw,
        ...whole,
      });
    }
  });

  test("random bytes are refused or wait for more; no other error comes out", () => {
    const random = seeded(SEED + 2);
    for (let n = 0; n < ROUNDS; n++) {
      const raw = Buffer.from(Array.from({ length: random(60) }, () => random(256)));
      expect(readRequestHead(randomSplit(raw, random)).kind).not.toBe("read");
      expect(readResponseHead(randomSplit(raw, random)).kind).not.toBe("read");
    }
  });
});

// The generator's reader of answers: a wrong byte, one too many or one too few never passes for an answer.

import { describe, expect, test } from "bun:test";
import { Answer, ChunkReader } from "../../bench/load/answer.ts";
import { matchesPattern, patternAt } from "../../bench/pattern.ts";

const HEAD = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\n";
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

function readInPieces(text: string, size: number): boolean[] {
  const answer = new Answer({ body: Buffer.from("hello") });
  const bytes = Buffer.from(text, "latin1");
  const done: boolean[] = [];
  for (let at = 0; at < bytes.length; at += size) done.push(answer.feed(bytes.subarray(at, at + size)));
  return done;
}

describe("an answer", () => {
  test.each([
    ["with a length, whole", `${HEAD}hello`, 1_000],
    ["with a length, byte by byte", `${HEAD}hello`, 1],
    ["in chunks, whole", `${CHUNKED}2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n`, 1_000],
    ["in chunks, byte by byte", `${CHUNKED}2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n`, 1],
  ])("%s is complete with its last byte", (_name, text, size) => {
    const done = readInPieces(text, size);
    expect(done.filter((complete) => complete)).toEqual([true]);
    expect(done.at(-1)).toBe(true);
  });

  test("can be followed by the next on the same connection", () => {
    const answer = new Answer({ body: Buffer.from("hello") });
    expect([1, 2, 3].map(() => answer.feed(Buffer.from(`${HEAD}hello`)))).toEqual([true, true, true]);
  });

  test.each([
    ["another status", "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nhello"],
    ["another length", HEAD.replace("5", "6")],
    ["a wrong byte", `${HEAD}hellO`],
    ["a byte too many", `${HEAD}hello!`],
    ["no framing", "HTTP/1.1 200 OK\r\n\r\n"],
    ["a wrong byte in a chunk", `${CHUNKED}5\r\nhellO\r\n`],
    ["chunks that hold too little", `${CHUNKED}4\r\nhell\r\n0\r\n\r\n`],
    ["something behind a chunk", `${CHUNKED}5\r\nhelloX\r\n`],
    ["a chunk size that is none", `${CHUNKED}-5\r\n`],
  ])("with %s is refused", (_name, text) => {
    expect(() => readInPieces(text, 1_000)).toThrow();
  });
});

test("the chunk reader leaves the data of a stream as it was cut", () => {
  const parts: string[] = [];
  const reader = new ChunkReader((bytes) => parts.push(bytes.toString()));
  expect(reader.feed(Buffer.from("3\r\nabc\r\n2\r\nd"))).toBe(false);
  expect(reader.feed(Buffer.from("e\r\n"))).toBe(false);
  expect(parts).toEqual(["abc", "d", "e"]);
});

describe("the pattern of large bodies", () => {
  test("continues across its period", () => {
    const long = Buffer.concat([patternAt(0, 100_000), patternAt(100_000, 100_000)]);
    expect(matchesPattern(long, 0)).toBe(true);
    expect(matchesPattern(long.subarray(70_000), 70_000)).toBe(true);
  });

  test("shows a byte that is changed, lost or moved", () => {
    const bytes = Buffer.from(patternAt(0, 80_000));
    expect(matchesPattern(bytes, 1)).toBe(false);
    expect(matchesPattern(Buffer.concat([bytes.subarray(0, 500), bytes.subarray(501)]), 0)).toBe(false);
    bytes[79_999] = (bytes[79_999] ?? 0) ^ 1;
    expect(matchesPattern(bytes, 0)).toBe(false);
  });
});

// The door to the runtime's llhttp: it stops where we say, reports everything in order, and starts afresh after
// whatever happened before. What it refuses is the business of message-reader and body-reader.

import { describe, expect, test } from "bun:test";
import { ChunkedParser, checkLlhttp, HeadParser, LlhttpError } from "../../src/http1/llhttp.ts";
import { bytes, latin1 } from "./support.ts";

const LIMIT = 64 * 1024;

function collect(): { readonly spans: string[]; onChunkedSpan(span: Uint8Array): void } {
  const spans: string[] = [];
  return { spans, onChunkedSpan: (span) => spans.push(latin1(span)) };
}

test("the self-check passes on this runtime", () => {
  expect(checkLlhttp).not.toThrow();
});

describe("HeadParser", () => {
  test.each([
    ["no body", "GET / HTTP/1.1\r\n\r\n"],
    ["a length", "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"],
    ["chunked", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ["an upgrade", "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"],
    ["CONNECT", "CONNECT h.test:443 HTTP/1.1\r\n\r\n"],
    ["HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"],
    ["close", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"],
  ])("stops exactly behind a request head with %s, whatever follows", (_name, head) => {
    for (const tail of ["", "abc", "\r\n\r\n", "\0\x16\x03\x01", head]) {
      const parser = new HeadParser("request", LIMIT);
      expect(parser.execute(bytes(head + tail))).toBe(head.length);
      expect(parser.take()).toBeDefined();
      expect(parser.take()).toBeUndefined();
    }
  });

  test.each([
    ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"],
    ["chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ["neither", "HTTP/1.1 200 OK\r\n\r\n"],
    ["no content", "HTTP/1.1 204 No Content\r\n\r\n"],
    ["an interim answer", "HTTP/1.1 100 Continue\r\n\r\n"],
    ["a switch", "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"],
  ])("stops exactly behind a response head with %s", (_name, head) => {
    for (const tail of ["", "abc", "\r\n\r\n", "\0\x16\x03\x01", head]) {
      const parser = new HeadParser("response", LIMIT);
      expect(parser.execute(bytes(head + tail))).toBe(head.length);
      expect(parser.take()).toBeDefined();
    }
  });

  test("reports every part of a request head", () => {
    const parser = new HeadParser("request", LIMIT);
    parser.execute(bytes("PATCH /a?b HTTP/1.0\r\nA: 1\r\nb: 2\r\nA: 3\r\n\r\n"));
    expect(parser.take()).toMatchObject({
      major: 1,
      minor: 0,
      method: "PATCH",
      url: "/a?b",
      fields: ["A", "1", "b", "2", "A", "3"],
    });
  });

  test("reports every part of a response head", () => {
    const parser = new HeadParser("response", LIMIT);
    parser.execute(bytes("HTTP/1.1 418 a b\r\nA: 1\r\n\r\n"));
    expect(parser.take()).toMatchObject({
      major: 1,
      minor: 1,
      status: 418,
      reason: "a b",
      fields: ["A", "1"],
    });
  });

  // llhttp hands over fields in groups of 32: the seams are where one could go missing.
  test.each([31, 32, 33, 63, 64, 65, 129])("%d fields arrive complete and in order", (count) => {
    const names = Array.from({ length: count }, (_, i) => `N${i}`);
    const head = `GET /target HTTP/1.1\r\n${names.map((name) => `${name}: v${name}\r\n`).join("")}\r\n`;
    const parser = new HeadParser("request", LIMIT);
    for (const byte of bytes(head)) parser.execute(Uint8Array.of(byte));
    const raw = parser.take();
    expect(raw?.fields).toEqual(names.flatMap((name) => [name, `v${name}`]));
    expect(raw?.url).toBe("/target");
  });

  test("one head does not leak into the next", () => {
    const parser = new HeadParser("request", LIMIT);
    parser.execute(bytes(`GET /1 HTTP/1.1\r\n${"A: 1\r\n".repeat(40)}\r\n`));
    expect(parser.take()?.fields).toHaveLength(80);
    parser.execute(bytes("GET /2 HTTP/1.1\r\nB: 2\r\n\r\n"));
    expect(parser.take()).toMatchObject({ url: "/2", fields: ["B", "2"] });
  });

  test("reset forgets half a head, and an error", () => {
    const parser = new HeadParser("request", LIMIT);
    parser.execute(bytes(`GET /1 HTTP/1.1\r\n${"A: 1\r\n".repeat(40)}`));
    parser.reset();
    expect(() => parser.execute(bytes("nonsense"))).toThrow(LlhttpError);
    parser.reset();
    parser.execute(bytes("GET /2 HTTP/1.1\r\n\r\n"));
    expect(parser.take()).toMatchObject({ url: "/2", fields: [] });
  });

  test("an error carries llhttp's own code", () => {
    const parser = new HeadParser("request", LIMIT);
    let thrown: unknown;
    try {
      parser.execute(bytes("GET / HTTP/1.7\r\n\r\n"));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(LlhttpError);
    expect((thrown as LlhttpError).code).toBe("HPE_INVALID_VERSION");
  });

  test("the limit given is kept", () => {
    const head = `GET / HTTP/1.1\r\nA: ${"a".repeat(200)}\r\n\r\n`;
    const roomy = new HeadParser("request", 1000);
    expect(roomy.execute(bytes(head))).toBe(head.length);
    const tight = new HeadParser("request", 100);
    expect(() => tight.execute(bytes(head))).toThrow("HPE_HEADER_OVERFLOW");
  });
});

describe("ChunkedParser", () => {
  test("gives spans, trailers, and the length of what it took", () => {
    const parser = new ChunkedParser(LIMIT);
    const sink = collect();
    parser.start(sink);
    const body = "3\r\nabc\r\n2\r\nde\r\n0\r\nA: 1\r\nb: 2\r\n\r\n";
    expect(parser.execute(bytes(`${body}POST / HTTP/1.1\r\n`))).toBe(body.length);
    expect(sink.spans).toEqual(["abc", "de"]);
    expect(parser.complete).toBe(true);
    expect(parser.trailers).toEqual(["A", "1", "b", "2"]);
  });

  test.each([
    ["a finished body", ["1\r\na\r\n0\r\nT: v\r\n\r\n"]],
    ["half a body", ["5\r\nab"]],
    ["half a size", ["5"]],
    ["half a trailer section", ["0\r\nT: v\r\nU"]],
    ["an error", ["zz"]],
    ["nothing", []],
  ] as const)("starts afresh after %s", (_name, before) => {
    const parser = new ChunkedParser(LIMIT);
    parser.start(collect());
    for (const part of before) {
      try {
        parser.execute(bytes(part));
      } catch (error) {
        expect(error).toBeInstanceOf(LlhttpError);
      }
    }
    const sink = collect();
    parser.start(sink);
    expect(parser.complete).toBe(false);
    expect(parser.trailers).toEqual([]);
    expect(parser.execute(bytes("2\r\nok\r\n0\r\n\r\n"))).toBe(12);
    expect(sink.spans).toEqual(["ok"]);
    expect(parser.complete).toBe(true);
    expect(parser.trailers).toEqual([]);
  });
});

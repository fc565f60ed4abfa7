// Heads and chunk framing as text: exactly what was given, or nothing. The last line of defence against response
// splitting and request smuggling: no part of a head can end a line. RFC 9112 sections 3 to 7.

import { describe, expect, test } from "bun:test";
import type { HeaderList } from "../../src/http1/headers.ts";
import { lastChunk, queueSpan, requestHead, responseHead } from "../../src/http1/write-head.ts";
import { ProxyError } from "../../src/values/errors.ts";
import { BAD_NAMES, BAD_TARGETS, INJECTIONS } from "../corpus/unwritable.ts";
import { headerList, latin1 } from "./support.ts";

const NONE = headerList();

/** The pieces of a chunk as they leave. */
function chunked(span: Uint8Array): string {
  let text = "";
  const queue = (piece: Uint8Array | string) => {
    text += typeof piece === "string" ? piece : latin1(piece);
  };
  queueSpan({ queue, give: queue }, span, true, false);
  return text;
}

/** A refusal is ours to answer for, and does not repeat what it refused. */
function expectRefused(write: () => string, text: string): void {
  let thrown: unknown;
  let written: string | undefined;
  try {
    written = write();
  } catch (error) {
    thrown = error;
  }
  expect(written).toBeUndefined();
  expect(thrown).toBeInstanceOf(ProxyError);
  expect(thrown).toMatchObject({ code: "internal-error" });
  if (text.length > 3) expect(Bun.inspect(thrown)).not.toContain(text);
}

describe("a head", () => {
  test("of a request, byte for byte", () => {
    const headers = headerList(["hOST", "h.test"], ["X", ""], ["x", "\xe9\t\xff"], ["X", "a: b"]);
    expect(requestHead("GET", "/a?b", headers)).toBe(
      "GET /a?b HTTP/1.1\r\nhOST: h.test\r\nX: \r\nx: \xe9\t\xff\r\nX: a: b\r\n\r\n",
    );
    expect(requestHead("OPTIONS", "*", NONE)).toBe("OPTIONS * HTTP/1.1\r\n\r\n");
  });

  test("of a response, byte for byte", () => {
    const headers = headerList(["Set-Cookie", "a"], ["set-cookie", "b"]);
    expect(responseHead(404, "not\tfound \xe9", headers)).toBe(
      "HTTP/1.1 404 not\tfound \xe9\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n",
    );
    expect(responseHead(299, "", NONE)).toBe("HTTP/1.1 299 \r\n\r\n");
  });

  test("every latin1 byte that a value may hold arrives as itself", () => {
    const value = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
      .filter((text) => text === "\t" || (text >= " " && text !== "\x7f"))
      .join("");
    const written = requestHead("GET", "/", headerList(["X", value]));
    expect(written.length).toBe("GET / HTTP/1.1\r\nX: \r\n\r\n".length + 224);
    expect(written).toContain(`X: ${value}\r\n`);
  });
});

describe("CRLF injection", () => {
  /** Every way that a header list leaves. */
  const WRITERS: readonly (readonly [name: string, write: (headers: HeaderList) => string])[] = [
    ["request", (headers) => requestHead("GET", "/", headers)],
    ["response", (headers) => responseHead(200, "OK", headers)],
    ["trailer section", (headers) => lastChunk(headers)],
  ];

  for (const [place, write] of WRITERS) {
    test.each(INJECTIONS)(`by a value of a ${place}: %s`, (_name, text) => {
      expectRefused(() => write(headerList(["A", "1"], ["B", text], ["C", "2"])), text);
    });

    test.each([...INJECTIONS, ...BAD_NAMES])(`by a name of a ${place}: %s`, (_name, text) => {
      expectRefused(() => write(headerList(["A", "1"], [text, "v"], ["C", "2"])), text);
    });
  }

  test.each(INJECTIONS)("by a reason: %s", (_name, text) => {
    expectRefused(() => responseHead(200, text, NONE), text);
  });

  test.each([...INJECTIONS, ...BAD_TARGETS])("by a target: %s", (_name, text) => {
    expectRefused(() => requestHead("GET", text, NONE), text);
  });

  test.each([...INJECTIONS, ...BAD_NAMES])("by a method: %s", (_name, text) => {
    expectRefused(() => requestHead(text, "/", NONE), text);
  });
});

describe("chunk framing", () => {
  test.each([
    [1, "1\r\n"],
    [15, "f\r\n"],
    [16, "10\r\n"],
    [4096, "1000\r\n"],
  ])("of %d bytes", (length, size) => {
    const body = "\r".repeat(length);
    expect(chunked(Buffer.from(body))).toBe(`${size}${body}\r\n`);
  });

  test("a span of a body that is not chunked goes as it is, and is not copied", () => {
    const span = Buffer.from("abc");
    const queued: unknown[] = [];
    const queue = (piece: unknown) => queued.push(piece);
    queueSpan({ queue, give: queue }, span, false, false);
    queueSpan({ queue, give: queue }, span, false, true);
    expect(queued).toEqual([span, span]);
    expect(queued[0]).toBe(span);
    expect(queued[1]).toBe(span);
  });

  test("an empty span does not become the last chunk", () => {
    // RFC 9112 section 7.1: a chunk of size 0 ends the body; what follows would be read as the next message.
    expect(chunked(new Uint8Array(0))).toBe("");
  });

  test("the last chunk, without and with trailers", () => {
    expect(lastChunk(undefined)).toBe("0\r\n\r\n");
    expect(lastChunk(NONE)).toBe("0\r\n\r\n");
    const trailers = headerList(["x-B", "1"], ["X-a", "2"]);
    expect(lastChunk(trailers)).toBe("0\r\nx-B: 1\r\nX-a: 2\r\n\r\n");
  });
});

// Heads to Request and Response, and back to what can be written.

import { describe, expect, test } from "bun:test";
import { METHODS } from "node:http";
import type { ResponseHead } from "../../src/http1/head.ts";
import { HeaderList } from "../../src/http1/headers.ts";
import { responseHead } from "../../src/http1/write-head.ts";
import {
  answerHead,
  changedHead,
  fitsResponse,
  sentWithoutBody,
  webRequest,
  webResponse,
} from "../../src/proxy/web-heads.ts";
import type { TransformContext, TransformRequest } from "../../src/transform/body-stage.ts";

type Fields = readonly (readonly [string, string])[];

function list(fields: Fields): HeaderList {
  const headers = new HeaderList();
  for (const [name, value] of fields) headers.push(name, value);
  return headers;
}

function request(over: Partial<TransformRequest> = {}): TransformRequest {
  return { method: "GET", scheme: "https", host: "a.example", path: "/", headers: list([]), ...over };
}

function context(over: Partial<TransformContext> = {}): TransformContext {
  return { request: request(), bodyless: false, needles: undefined, ...over };
}

function head(status: number, fields: Fields = [], reason = ""): ResponseHead {
  return { status, reason, minor: 1, headers: list(fields) };
}

function written({ status, reason, headers }: ResponseHead): string[] {
  return responseHead(status, reason, headers).trimEnd().split("\r\n");
}

describe("the request", () => {
  test.each([
    [request({ path: "/a%2Fb?q=1&q=2" }), "https://a.example/a%2Fb?q=1&q=2"],
    [request({ scheme: "http", host: "127.0.0.1:8080", path: "//x" }), "http://127.0.0.1:8080//x"],
    [request({ host: "[::1]:444" }), "https://[::1]:444/"],
    [request({ method: "OPTIONS", path: "*" }), "https://a.example/"],
  ])("has an absolute URL: %#", (given, url) => {
    expect(webRequest(given).url).toBe(url);
  });

  test("has every method that the parser lets through", () => {
    const methods = METHODS.filter((method) => method !== "CONNECT");
    expect(methods.map((method) => webRequest(request({ method })).method)).toEqual(methods);
  });

  test("has what the client sent, its Authorization too, and nothing of its proxy authentication", () => {
    const headers = list([
      ["Authorization", "Bearer placeholder"],
      ["Proxy-Authorization", "Basic c2VjcmV0"],
      ["proxy-connection", "keep-alive"],
      ["X-A", "1"],
      ["x-a", "\xe9"],
    ]);
    expect([...webRequest(request({ headers })).headers]).toEqual([
      ["authorization", "Bearer placeholder"],
      ["x-a", "1, \xe9"],
    ]);
  });

  test("has no body, whatever the method", () => {
    expect(webRequest(request({ method: "POST", headers: list([["Content-Length", "5"]]) })).body).toBeNull();
  });
});

describe("the response", () => {
  test("has status, reason and every field, Set-Cookie as often as it came", () => {
    const fields: Fields = [
      ["Set-Cookie", "a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT"],
      ["X-A", "1"],
      ["set-cookie", "b=2"],
      ["x-a", "2"],
    ];
    const response = webResponse(head(418, fields, "I\x92m a teapot"), null);
    expect([response.status, response.statusText]).toEqual([418, "I\x92m a teapot"]);
    expect(response.headers.getSetCookie()).toEqual([fields[0]![1], "b=2"]);
    expect(response.headers.get("x-a")).toBe("1, 2");
    expect(response.body).toBeNull();
  });

  test.each([
    [200, false, true],
    [599, false, true],
    [600, false, false],
    [999, false, false],
    [204, true, true],
    [304, true, true],
    [205, true, true],
    [204, false, false],
    [205, false, false],
    [304, false, false],
  ])("status %d, without a body: %p: can be shown: %p", (status, bodyless, fits) => {
    expect(fitsResponse(head(status), context({ bodyless }))).toBe(fits);
  });

  test("205 that says it is empty can be shown", () => {
    const reset = head(205, [["Content-Length", "0"]]);
    expect(fitsResponse(reset, context())).toBe(true);
    expect(webResponse(reset, new ReadableStream()).body).toBeNull();
  });
});

describe("the head of an answer", () => {
  test("has its fields in its order, without framing and what belongs to a connection", () => {
    const answer = new Response("x", {
      status: 201,
      statusText: "Made",
      headers: [
        ["Content-Length", "999"],
        ["Transfer-Encoding", "gzip, chunked"],
        ["Connection", "close, X-Hop"],
        ["X-Hop", "1"],
        ["Keep-Alive", "timeout=5"],
        ["Proxy-Authenticate", "Basic"],
        ["Trailer", "X-T"],
        ["Upgrade", "h2c"],
        ["TE", "trailers"],
        ["Set-Cookie", "a=1"],
        ["Set-Cookie", "b=2"],
        ["X-A", "1"],
        ["Content-Type", "text/plain"],
      ],
    });
    expect(written(answerHead(answer, context()))).toEqual([
      "HTTP/1.1 201 Made",
      "content-type: text/plain",
      "x-a: 1",
      "set-cookie: a=1",
      "set-cookie: b=2",
    ]);
  });

  test("has the registered reason when the answer has none", () => {
    expect(written(answerHead(new Response("x", { status: 404 }), context()))[0]).toBe(
      "HTTP/1.1 404 Not Found",
    );
  });

  const toHead = context({ request: request({ method: "HEAD" }), bodyless: true });
  test.each([
    ["no body", new Response(null), context(), "Content-Length: 0"],
    ["205 with a body that may not be", new Response("x", { status: 205 }), context(), "Content-Length: 0"],
    ["instead of a 304", new Response("x"), context({ bodyless: true }), "Content-Length: 0"],
    ["204", new Response(null, { status: 204 }), context(), undefined],
    ["304", new Response("x", { status: 304 }), context({ bodyless: true }), undefined],
    ["to HEAD", new Response("x"), toHead, undefined],
    ["a body", new Response("x"), context(), undefined],
  ])("says that it is empty where a client would wait: %s", (_, answer, given, expected) => {
    const { headers } = answerHead(answer, given);
    expect(headers.get("content-length")).toBe(expected?.split(": ")[1]);
    const empty = answer.body === null || given.bodyless || [204, 205, 304].includes(answer.status);
    expect(sentWithoutBody(answer, given)).toBe(empty);
  });

  test.each([
    ["Response.error()", () => Response.error()],
    ["101", () => new Response(null, { status: 101 })],
    ["response splitting by its reason", () => new Response("x", { statusText: "OK\r\nX-Evil: 1" })],
    ["a reason beyond latin1", () => new Response("x", { statusText: "\u0394" })],
    ["a control character in a value", () => new Response("x", { headers: { "X-A": "a\x01b" } })],
    [
      "Connection that names the framing",
      () => new Response("x", { headers: { Connection: "Content-Length" } }),
    ],
  ])("is refused while there can still be another answer: %s", (_, make) => {
    expect(() => answerHead(make(), context())).toThrow();
  });
});

describe("the upstream's head with changes", () => {
  const came = head(
    200,
    [
      ["X-Odd-CASE", "1"],
      ["Set-Cookie", "a=1"],
      ["Vary", "a"],
      ["Content-Length", "5"],
      ["VARY", "b"],
      ["Set-Cookie", "b=2"],
      ["Connection", "close"],
    ],
    "Fine",
  );
  const change = (edit: (headers: Headers) => void): string[] => {
    const { headers } = webResponse(came, null);
    edit(headers);
    return written(changedHead(came, headers));
  };

  test("is what it was when nothing has changed", () => {
    expect(change(() => undefined)).toEqual(written(came));
  });

  test("has a new value at the old place under the old name, a new field at the end", () => {
    const lines = change((headers) => {
      headers.set("x-odd-case", "2");
      headers.set("vary", "c");
      headers.set("X-New", "n");
    });
    expect(lines).toEqual([
      "HTTP/1.1 200 Fine",
      "X-Odd-CASE: 2",
      "Set-Cookie: a=1",
      "Vary: c",
      "Content-Length: 5",
      "Set-Cookie: b=2",
      "Connection: close",
      "x-new: n",
    ]);
  });

  test("has no field that was deleted, and cookies one by one", () => {
    const lines = change((headers) => {
      headers.delete("vary");
      headers.append("set-cookie", "c=3");
    });
    expect(lines).toEqual([
      "HTTP/1.1 200 Fine",
      "X-Odd-CASE: 1",
      "Content-Length: 5",
      "Connection: close",
      "Set-Cookie: a=1",
      "Set-Cookie: b=2",
      "Set-Cookie: c=3",
    ]);
  });

  test("keeps length and framing whatever the transformer sets: the body is the same", () => {
    const lines = change((headers) => {
      headers.set("content-length", "1");
      headers.set("transfer-encoding", "chunked");
      headers.delete("connection");
    });
    expect(lines).toEqual(written(came));
  });

  test("is refused when it cannot be written", () => {
    expect(() => change((headers) => headers.set("x-a", "\x7f"))).toThrow();
  });

  test("leaves the head that came as it is", () => {
    const before = written(came);
    change((headers) => headers.set("x-odd-case", "2"));
    expect(written(came)).toEqual(before);
  });
});

// Hop-by-hop fields, both directions: what goes no further, what is rebuilt, and that everything else keeps its
// order and case. RFC 9110 section 7.6.1, wire.md section 5.

import { describe, expect, test } from "bun:test";
import {
  acceptsTrailers,
  asksForWebSocket,
  type ClientConnection,
  connectionOptions,
  forwardRequest,
  forwardResponse,
  forwardTrailers,
  type RequestForwarding,
} from "../../src/http1/forwarding.ts";
import type { HeaderList } from "../../src/http1/headers.ts";
import { type Field, fieldsOf, headerList, lines } from "./support.ts";

const PLAIN: RequestForwarding = { chunked: false, webSocket: false };
const CHUNKED: RequestForwarding = { chunked: true, webSocket: false };
const WEBSOCKET: RequestForwarding = { chunked: false, webSocket: true };

function request(fields: readonly Field[], forwarding: RequestForwarding = PLAIN): Field[] {
  const list = headerList(...fields);
  forwardRequest(list, connectionOptions(list, "malformed-request"), forwarding);
  return consistent(list);
}

function response(
  fields: readonly Field[],
  chunked = false,
  connection: ClientConnection = "default",
): Field[] {
  const list = headerList(...fields);
  forwardResponse(list, connectionOptions(list, "bad-response"), chunked, connection);
  return consistent(list);
}

function consistent(list: HeaderList): Field[] {
  expect(list.keys).toEqual(list.names.map((name) => name.toLowerCase()));
  return fieldsOf(list);
}

const KEPT: readonly Field[] = lines(
  "hOST: h.test",
  "x-B: 1",
  "Content-Length: 5",
  "X-a: 2",
  "X-b: 3",
  "Expect: 100-continue",
  "Cookie: a=b",
);

/** [name, field]: never forwarded, whether Connection lists them or not */
const DROPPED: readonly (readonly [name: string, field: Field])[] = [
  ["Connection", ["Connection", "close"]],
  ["Connection in capitals", ["CONNECTION", "keep-alive"]],
  ["an empty Connection", ["Connection", ""]],
  ["Keep-Alive", ["Keep-Alive", "timeout=5"]],
  ["Proxy-Connection", ["Proxy-Connection", "keep-alive"]],
  ["Proxy-Authorization", ["Proxy-Authorization", "Basic eDp5"]],
  ["Proxy-Authenticate", ["proxy-authenticate", "Basic"]],
  ["Proxy-Authentication-Info", ["Proxy-Authentication-Info", "a"]],
  ["any other Proxy-", ["PROXY-Anything", "a"]],
  ["TE without trailers", ["TE", "gzip"]],
  ["Trailer, when there can be none", ["Trailer", "X-Sum"]],
  ["Transfer-Encoding", ["Transfer-Encoding", "chunked"]],
  ["Upgrade: h2c", ["Upgrade", "h2c"]],
  ["Upgrade: websocket that was not asked for", ["Upgrade", "websocket"]],
  ["HTTP2-Settings", ["HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"]],
];

describe("hop-by-hop fields", () => {
  test("everything else keeps order, case and duplicates", () => {
    expect(request(KEPT)).toEqual([...KEPT]);
    expect(response(KEPT)).toEqual([...KEPT]);
  });

  test.each(DROPPED)("not forwarded, from any place: %s", (_name, field) => {
    for (let at = 0; at <= KEPT.length; at++) {
      const fields = [...KEPT.slice(0, at), field, ...KEPT.slice(at)];
      expect(request(fields)).toEqual([...KEPT]);
      expect(response(fields)).toEqual([...KEPT]);
    }
  });

  test("all of them at once, twice", () => {
    const fields = [...DROPPED, ...DROPPED].map(([, field]) => field);
    expect(request([...fields, ...KEPT, ...fields])).toEqual([...KEPT]);
    expect(response([...fields, ...KEPT, ...fields])).toEqual([...KEPT]);
  });

  test.each([
    ["one", lines("Connection: X-Mine")],
    ["in another case", lines("Connection: x-MINE")],
    ["among others", lines("Connection: close, X-Mine ,keep-alive")],
    ["with empty members", lines("Connection: ,, X-Mine,")],
    ["in a second field", lines("Connection: close", "connection: X-Mine")],
    ["behind tabs", lines("Connection: close,\tX-Mine\t")],
  ] as readonly (readonly [string, readonly Field[]])[])(
    "a field that Connection names: %s",
    (_name, connection) => {
      const fields: Field[] = [["X-Mine", "1"], ...connection, ...KEPT, ["x-mine", "2"], ["X-Mine-Not", "3"]];
      expect(request(fields)).toEqual([...KEPT, ["X-Mine-Not", "3"]]);
      expect(response(fields)).toEqual([...KEPT, ["X-Mine-Not", "3"]]);
    },
  );

  test.each([
    "Host",
    "host",
    "HOST",
    "Content-Length",
    "content-length",
    "Transfer-Encoding",
    "transfer-encoding",
    "close, Host",
    "Transfer-Encoding,close",
    "keep-alive,\tContent-Length",
  ])("Connection may not name what frames or routes the message: %s", (value) => {
    const twice: Field[] = [
      ["Connection", "close"],
      ["Connection", value],
    ];
    for (const fields of [[["Connection", value]] as Field[], twice]) {
      for (const blame of ["malformed-request", "bad-response"] as const) {
        expect(() => connectionOptions(headerList(...fields), blame)).toThrow(
          expect.objectContaining({ name: "ProxyError", code: blame }),
        );
      }
    }
  });
});

describe("connectionOptions", () => {
  test.each([
    [[], false, false, undefined],
    [[""], false, false, undefined],
    [["close"], true, false, undefined],
    [["Close"], true, false, undefined],
    [["keep-alive"], false, true, undefined],
    [["Keep-Alive, X-A"], false, true, ["x-a"]],
    [["close, keep-alive"], true, true, undefined],
    [["X-A", "close"], true, false, ["x-a"]],
    [["X-A, Upgrade, x-a"], false, false, ["x-a", "upgrade"]],
    [["closed"], false, false, ["closed"]],
  ] as const)("%p: close %p, keepAlive %p, nominated %p", (values, close, keepAlive, nominated) => {
    const list = headerList(...values.map((value): Field => ["Connection", value]));
    const options = connectionOptions(list, "malformed-request");
    expect([options.close, options.keepAlive]).toEqual([close, keepAlive]);
    expect(options.nominated && [...options.nominated]).toEqual(nominated && [...nominated]);
  });
});

describe("a request", () => {
  test.each([
    ["trailers", lines("TE: trailers")],
    ["another case", lines("te: Trailers")],
    ["among codings", lines("TE: gzip;q=0.5, trailers")],
    ["in a second field", lines("TE: gzip", "TE: trailers")],
    ["named by Connection", lines("Connection: TE", "TE: trailers")],
  ] as readonly (readonly [string, readonly Field[]])[])(
    "TE: trailers is rebuilt, with its Connection: %s",
    (_, te) => {
      expect(acceptsTrailers(headerList(...te))).toBe(true);
      expect(request([...te, ...KEPT])).toEqual([...KEPT, ["Connection", "TE"], ["TE", "trailers"]]);
    },
  );

  test.each(["", "gzip", "xtrailers", "trailers-not", "gzip;trailers", '"trailers"'])(
    "TE without the member trailers goes no further: %p",
    (value) => {
      expect(acceptsTrailers(headerList(["TE", value]))).toBe(false);
      expect(request([["TE", value], ...KEPT])).toEqual([...KEPT]);
    },
  );

  test("Trailer is kept, in its place, only when the body goes on chunked", () => {
    const fields: Field[] = lines("X: 1", "trailer: X-Sum", "Transfer-Encoding: chunked", "Y: 2");
    expect(request(fields, CHUNKED)).toEqual(
      lines("X: 1", "trailer: X-Sum", "Y: 2", "Transfer-Encoding: chunked"),
    );
    expect(request(fields, PLAIN)).toEqual(lines("X: 1", "Y: 2"));
  });

  test("a websocket upgrade is rebuilt from scratch, its other fields kept", () => {
    const fields: Field[] = lines(
      "Upgrade: WebSocket",
      "Sec-WebSocket-Key: a",
      "connection: keep-alive, Upgrade, X-Mine",
      "X-Mine: 1",
      "Sec-WebSocket-Version: 13",
      "TE: trailers",
    );
    expect(request(fields, WEBSOCKET)).toEqual(
      lines("Sec-WebSocket-Key: a", "Sec-WebSocket-Version: 13", "Connection: Upgrade", "Upgrade: websocket"),
    );
  });

  test.each([
    [true, "the usual", lines("Connection: Upgrade", "Upgrade: websocket")],
    [true, "case and company", lines("connection: keep-alive, UPGRADE", "upgrade: WebSocket")],
    [false, "h2c", lines("Connection: Upgrade", "Upgrade: h2c")],
    [false, "websocket among others", lines("Connection: Upgrade", "Upgrade: websocket, h2c")],
    [false, "h2c first", lines("Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket")],
    [false, "websocket twice", lines("Connection: Upgrade", "Upgrade: websocket", "Upgrade: websocket")],
    [false, "a prefix", lines("Connection: Upgrade", "Upgrade: websocketx")],
    [false, "a version", lines("Connection: Upgrade", "Upgrade: websocket/13")],
    [false, "Connection does not name it", lines("Connection: close", "Upgrade: websocket")],
    [false, "a substring in Connection", lines("Connection: Upgraded", "Upgrade: websocket")],
    [false, "no Connection", lines("Upgrade: websocket")],
    [false, "no Upgrade", lines("Connection: Upgrade")],
  ] as readonly (readonly [boolean, string, readonly Field[]])[])(
    "asks for a websocket: %p, %s",
    (expected, _, fields) => {
      const list = headerList(...fields);
      const head = { method: "GET", target: "/", minor: 1, headers: list } as const;
      const options = connectionOptions(list, "malformed-request");
      expect(asksForWebSocket(head, options)).toBe(expected);
      // RFC 9110 section 7.8 and RFC 6455 section 4.1: never in HTTP/1.0, never with another method.
      expect(asksForWebSocket({ ...head, minor: 0 }, options)).toBe(false);
      expect(asksForWebSocket({ ...head, method: "POST" }, options)).toBe(false);
    },
  );

  test("h2c goes on as HTTP/1.1, without a trace of it", () => {
    const fields: Field[] = [
      ["Connection", "Upgrade, HTTP2-Settings"],
      ["Upgrade", "h2c"],
      ["HTTP2-Settings", "AAMAAABk"],
      ...KEPT,
    ];
    expect(request(fields)).toEqual([...KEPT]);
  });
});

describe("a response", () => {
  test.each([
    ["default", false, []],
    ["close", false, lines("Connection: close")],
    ["keep-alive", false, lines("Connection: keep-alive")],
    ["default", true, lines("Transfer-Encoding: chunked")],
    ["close", true, lines("Connection: close", "Transfer-Encoding: chunked")],
  ] as readonly (readonly [ClientConnection, boolean, readonly Field[]])[])(
    "connection %s, chunked %p",
    (connection, chunked, added) => {
      const hop: Field[] = lines(
        "Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "Transfer-Encoding: chunked",
      );
      expect(response([...hop, ...KEPT], chunked, connection)).toEqual([...KEPT, ...added]);
    },
  );

  test("Trailer is kept, in its place, only when the body goes on chunked", () => {
    const fields: Field[] = lines("X: 1", "Trailer: X-Sum", "Y: 2");
    expect(response(fields, true)).toEqual([...fields, ["Transfer-Encoding", "chunked"]]);
    expect(response(fields, false)).toEqual(lines("X: 1", "Y: 2"));
  });

  test("a switch to websocket is rebuilt from scratch, its other fields kept", () => {
    const fields: Field[] = lines(
      "upgrade: websocket",
      "Connection: upgrade, X-Mine",
      "X-Mine: 1",
      "Sec-WebSocket-Accept: a",
    );
    expect(response(fields, false, "upgrade")).toEqual(
      lines("Sec-WebSocket-Accept: a", "Connection: Upgrade", "Upgrade: websocket"),
    );
  });

  test("TE is not a response's to announce", () => {
    expect(response([["TE", "trailers"], ...KEPT])).toEqual([...KEPT]);
  });
});

describe("trailers", () => {
  test.each([
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "HTTP2-Settings",
    "Host",
    "Content-Length",
    "Content-Encoding",
    "Content-Type",
    "Content-Range",
    "Authorization",
    "Proxy-Authorization",
    "Proxy-Anything",
    "Cookie",
    "Set-Cookie",
    "WWW-Authenticate",
    "Expect",
    "Max-Forwards",
    "Cache-Control",
    "Range",
    "Age",
    "Date",
    "Expires",
    "Location",
    "Vary",
    // RFC 9110 section 6.5.1: request modifiers and response control data.
    "Pragma",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "If-Range",
    "Retry-After",
  ])("%s is no trailer", (name) => {
    const list = headerList(
      ["grpc-status", "0"],
      [name, "1"],
      [name.toUpperCase(), "2"],
      ["Server-Timing", "a"],
    );
    forwardTrailers(list, undefined, undefined);
    expect(consistent(list)).toEqual(lines("grpc-status: 0", "Server-Timing: a"));
  });

  test("the others keep order, case and duplicates", () => {
    const fields: Field[] = lines("x-B: 1", "Grpc-Status: 0", "X-b: 2", 'ETag: "a"');
    const list = headerList(...fields);
    forwardTrailers(list, undefined, undefined);
    expect(consistent(list)).toEqual(fields);
  });

  test("a name that Connection lists ends here as a trailer too", () => {
    const list = headerList(["X-Hop", "1"], ["X-Sum", "1"]);
    forwardTrailers(list, new Set(["x-hop"]), undefined);
    expect(consistent(list)).toEqual(lines("X-Sum: 1"));
  });

  test("a name whose value the proxy decides cannot come back as a trailer", () => {
    const list = headerList(["X-Api-Key", "placeholder"], ["x-api-KEY", "b"], ["X-Sum", "1"]);
    forwardTrailers(list, undefined, new Set(["x-api-key"]));
    expect(consistent(list)).toEqual(lines("X-Sum: 1"));
  });
});

// Requests one after the other on one client connection: what reaches the upstream, what comes back, what
// stays open. wire.md sections 4 to 6.
import { afterEach, describe, expect, test } from "bun:test";
import { finishRigs, head, plainReply, SessionRig } from "../support/session-rig.ts";

afterEach(finishRigs);

const GET_A = head("GET http://api.test/a HTTP/1.1", "Host: api.test");
const GET_B = head("GET http://api.test/b HTTP/1.1", "Host: api.test");
const sentA = head("GET /a HTTP/1.1", "Host: api.test", "X-Request-Id: req-1");
const sentB = head("GET /b HTTP/1.1", "Host: api.test", "X-Request-Id: req-2");
const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;

describe("a plain HTTP request", () => {
  test("goes to the upstream in origin-form and the answer comes back", () => {
    const rig = new SessionRig();
    rig.client.says(
      head(
        "GET http://api.test/a?b=c HTTP/1.1",
        "User-Agent: x",
        "Host: wrong.test",
        "ACCEPT: */*",
        "cookie: a=1",
        "cookie: b=2",
      ),
    );
    expect(rig.dial().target.key).toBe("http://api.test:80");
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      head(
        "GET /a?b=c HTTP/1.1",
        "User-Agent: x",
        "Host: api.test",
        "ACCEPT: */*",
        "cookie: a=1",
        "cookie: b=2",
        "X-Request-Id: req-1",
      ),
    );
    upstream.says(
      `${head("HTTP/1.1 200 Fine", "set-cookie: a", "Set-Cookie: b", "X-Z: 1", "Content-Length: 2")}ok`,
    );
    expect(rig.client.heard()).toBe(
      `${head("HTTP/1.1 200 Fine", "set-cookie: a", "Set-Cookie: b", "X-Z: 1", "Content-Length: 2")}ok`,
    );
    expect(rig.client.state).toBe("open");
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("to https:// is dialled with TLS, port 443", () => {
    const rig = new SessionRig();
    rig.client.says(head("GET https://api.test/ HTTP/1.1", "Host: api.test"));
    expect(rig.dial().target.key).toBe("https://api.test:443");
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.log()).toEqual(["http GET api.test/ 200"]);
  });

  test("leaves nothing of the client's connection and the proxy's token behind", () => {
    const rig = new SessionRig({ token: "t" });
    rig.client.says(
      head(
        "GET http://api.test/a HTTP/1.1",
        "Host: api.test",
        "Proxy-Authorization: Bearer t",
        "Proxy-Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "TE: gzip",
        "Connection: keep-alive, X-Hop",
        "x-hop: 1",
        "X-Stays: 1",
      ),
    );
    expect(rig.dialled().heard()).toBe(
      head("GET /a HTTP/1.1", "Host: api.test", "X-Stays: 1", "X-Request-Id: req-1"),
    );
    rig.client.reset();
    expect(rig.log()).toEqual(["http GET api.test/a 0"]);
  });

  test("keeps a request id that the client chose", () => {
    const rig = new SessionRig();
    rig.client.says(head("GET http://api.test/ HTTP/1.1", "X-REQUEST-ID: mine_1.2-3", "Host: api.test"));
    expect(rig.dialled().heard()).toBe(head("GET / HTTP/1.1", "X-REQUEST-ID: mine_1.2-3", "Host: api.test"));
    rig.client.reset();
    expect(rig.records.map(({ requestId }) => requestId)).toEqual(["mine_1.2-3"]);
  });

  for (const id of ["a b", "", "x".repeat(129), "a;b"]) {
    test(`replaces the request id ${JSON.stringify(id.slice(0, 10))}`, () => {
      const rig = new SessionRig();
      rig.client.says(head("GET http://api.test/ HTTP/1.1", `X-Request-Id: ${id}`, "Host: api.test"));
      expect(rig.dialled().heard()).toBe(head("GET / HTTP/1.1", "X-Request-Id: req-1", "Host: api.test"));
      rig.client.reset();
      expect(rig.records.map(({ requestId }) => requestId)).toEqual(["req-1"]);
    });
  }
});

describe("a connection is kept", () => {
  test("for three requests, with one upstream connection", () => {
    const rig = new SessionRig();
    rig.client.says(GET_A);
    const upstream = rig.dialled();
    for (const [request, sent] of [
      ["", sentA],
      [GET_B, sentB],
      [GET_A, sentA.replace("req-1", "req-3")],
    ] as const) {
      if (request !== "") rig.client.says(request);
      expect(upstream.heard()).toBe(sent);
      upstream.says(OK);
      expect(rig.client.heard()).toBe(OK);
    }
    expect(rig.upstreams.dials).toHaveLength(1);
    expect(rig.log()).toEqual([
      "http GET api.test/a 200",
      "http GET api.test/b 200",
      "http GET api.test/a 200",
    ]);
  });

  const persistence: readonly (readonly [string, readonly string[], string, boolean])[] = [
    ["HTTP/1.1", [], "", true],
    ["HTTP/1.1", ["Connection: close"], "Connection: close", false],
    ["HTTP/1.1", ["Connection: Keep-Alive, Close"], "Connection: close", false],
    ["HTTP/1.0", [], "Connection: close", false],
    ["HTTP/1.0", ["Connection: keep-alive"], "Connection: keep-alive", true],
  ];
  for (const [version, fields, announced, kept] of persistence) {
    test(`${version} ${fields.join()}: ${kept}`, () => {
      const rig = new SessionRig();
      rig.client.says(head(`GET http://api.test/a ${version}`, "Host: api.test", ...fields));
      rig.dialled().says(OK);
      const lines = ["HTTP/1.1 200 OK", "Content-Length: 2"];
      if (announced !== "") lines.push(announced);
      expect(rig.client.heard()).toBe(`${head(...lines)}ok`);
      expect(rig.client.state).toBe(kept ? "open" : "fin");
      expect(rig.log()).toEqual(["http GET api.test/a 200"]);
    });
  }

  test("for a request behind a refusal", () => {
    const rig = new SessionRig({ token: "t" });
    const body = "Proxy authentication required\n";
    const refusal = plainReply(
      "407 Proxy Authentication Required",
      body,
      'Proxy-Authenticate: Basic realm="moat-proxy"',
    );
    rig.client.says(GET_A);
    expect(rig.client.heard()).toBe(refusal);
    rig.client.says(GET_A.replace("\r\n\r\n", "\r\nProxy-Authorization: Bearer t\r\n\r\n"));
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.records.map(({ status, denied }) => [status, denied])).toEqual([
      [407, true],
      [200, false],
    ]);
  });
});

describe("pipelined requests", () => {
  const script = GET_A + GET_B;

  for (const [how, say] of [
    ["in one chunk", (rig: SessionRig) => rig.client.says(script)],
    ["byte by byte", (rig: SessionRig) => rig.client.saysByteByByte(script)],
    ["cut inside the second", (rig: SessionRig) => rig.client.says(script.slice(0, -7), script.slice(-7))],
    ["with empty lines between", (rig: SessionRig) => rig.client.says(`${GET_A}\r\n\r\n${GET_B}`)],
  ] as const) {
    test(`${how} are answered one after the other`, () => {
      const rig = new SessionRig();
      say(rig);
      const upstream = rig.dialled();
      expect(upstream.heard()).toBe(sentA);
      expect(rig.upstreams.pending).toEqual([]);
      upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 3")}one`);
      expect(upstream.heard()).toBe(sentB);
      upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 3")}two`);
      expect(rig.client.heard()).toBe(
        `${head("HTTP/1.1 200 OK", "Content-Length: 3")}one${head("HTTP/1.1 200 OK", "Content-Length: 3")}two`,
      );
      expect(rig.client.state).toBe("open");
      expect(rig.log()).toEqual(["http GET api.test/a 200", "http GET api.test/b 200"]);
    });
  }

  test("behind a body are told from it", () => {
    const rig = new SessionRig();
    const post = head("POST http://api.test/a HTTP/1.1", "Host: api.test", "Content-Length: 5");
    rig.client.says(`${post}hello${GET_B}`);
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      `${head("POST /a HTTP/1.1", "Host: api.test", "Content-Length: 5", "X-Request-Id: req-1")}hello`,
    );
    upstream.says(OK);
    expect(upstream.heard()).toBe(sentB);
    upstream.says(OK);
    expect(rig.log()).toEqual(["http POST api.test/a 200", "http GET api.test/b 200"]);
    expect(rig.records.map(({ requestSize }) => requestSize)).toEqual([5, 0]);
  });

  test("wait outside: while one is answered, the client is not read further", () => {
    const rig = new SessionRig();
    rig.client.says(GET_A + GET_B, "G".repeat(100_000));
    expect(rig.client.paused).toBe(true);
    expect(rig.client.unread).toBe(100_000);
    rig.client.reset();
    expect(rig.log()).toEqual(["http GET api.test/a 0"]);
  });

  test("wait while the client does not take its answers", () => {
    const rig = new SessionRig();
    rig.client.acceptUpTo(10);
    rig.client.says(GET_A + GET_B);
    const upstream = rig.dialled();
    upstream.says(OK);
    expect(upstream.heard()).toBe(sentA);
    expect(rig.client.paused).toBe(true);
    rig.client.drain();
    expect(rig.client.heard()).toBe(OK);
    expect(upstream.heard()).toBe(sentB);
    upstream.says(OK);
    expect(rig.log()).toEqual(["http GET api.test/a 200", "http GET api.test/b 200"]);
  });

  test("a second one behind Connection: close is not answered", () => {
    const rig = new SessionRig();
    rig.client.says(GET_A.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n") + GET_B);
    const upstream = rig.dialled();
    upstream.says(OK);
    expect(rig.client.heard()).toBe(`${head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close")}ok`);
    expect(rig.client.state).toBe("fin");
    expect(rig.upstreams.dials).toHaveLength(1);
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("are all answered when the client's FIN is behind the last", () => {
    const rig = new SessionRig();
    rig.client.says(GET_A + GET_B).fin();
    const upstream = rig.dialled();
    upstream.says(OK);
    expect(upstream.heard()).toBe(sentA + sentB);
    upstream.says(OK);
    expect(rig.client.heard()).toBe(
      `${OK}${head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close")}ok`,
    );
    expect(rig.client.state).toBe("closed");
    expect(rig.log()).toEqual(["http GET api.test/a 200", "http GET api.test/b 200"]);
  });
});

describe("bytes that are no request", () => {
  const body = (text: string): string => `${text}\n`;
  const close = "Connection: close";
  /** [what, bytes, code, reply] */
  const cases: readonly (readonly [string, string, string, string])[] = [
    [
      "garbage",
      "garbage\r\n\r\n",
      "malformed-request",
      plainReply("400 Bad Request", body("malformed request"), close),
    ],
    [
      "a ClientHello",
      "\x16\x03\x01\x02\x00\x01",
      "malformed-request",
      plainReply("400 Bad Request", body("malformed request"), close),
    ],
    [
      "HTTP/2",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "unsupported-version",
      plainReply("505 HTTP Version Not Supported", body("HTTP version not supported"), close),
    ],
    [
      "an oversized head",
      `GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\nX: ${"x".repeat(70_000)}\r\n\r\n`,
      "head-too-large",
      plainReply("431 Request Header Fields Too Large", body("request header fields too large"), close),
    ],
    [
      "201 fields",
      head("GET http://api.test/ HTTP/1.1", "Host: api.test", ...Array<string>(200).fill("X: y")),
      "head-too-large",
      plainReply("431 Request Header Fields Too Large", body("request header fields too large"), close),
    ],
  ];
  for (const [what, bytes, code, reply] of cases) {
    test(`${what}: a reply, then the end, one record`, () => {
      const rig = new SessionRig();
      rig.client.says(bytes);
      expect(rig.client.heard()).toBe(reply);
      expect(rig.client.state).toBe("fin");
      expect(rig.log()).toEqual([`http - - ${reply.slice(9, 12)} denied=${code}`]);
    });
  }

  test("behind a good request: that one is answered first", () => {
    const rig = new SessionRig();
    rig.client.says(`${GET_A}garbage\r\n\r\n`);
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK + plainReply("400 Bad Request", "malformed request\n", close));
    expect(rig.client.state).toBe("fin");
    expect(rig.records.map(({ status }) => status)).toEqual([200, 400]);
  });

  const refusedHeads: readonly (readonly [string, readonly string[], string])[] = [
    ["two framings", ["Content-Length: 1", "Transfer-Encoding: chunked"], "400 Bad Request"],
    ["two lengths", ["Content-Length: 1", "Content-Length: 1"], "400 Bad Request"],
    ["gzip before chunked", ["Transfer-Encoding: gzip, chunked"], "501 Not Implemented"],
    ["Connection naming Host", ["Connection: host"], "400 Bad Request"],
    ["Connection naming Content-Length", ["Connection: content-length"], "400 Bad Request"],
    ["Connection naming Transfer-Encoding", ["Connection: close, transfer-encoding"], "400 Bad Request"],
    ["two Host fields", ["Host: api.test"], "400 Bad Request"],
    ["two tokens", ["Proxy-Authorization: Bearer a", "Proxy-Authorization: Bearer b"], "400 Bad Request"],
  ];
  for (const [what, fields, status] of refusedHeads) {
    test(`a head with ${what}: ${status}, the end, one record, nothing dialled`, () => {
      const rig = new SessionRig();
      rig.client.says(head("POST http://api.test/a HTTP/1.1", "Host: api.test", ...fields));
      const heard = rig.client.heard();
      expect(heard).toStartWith(`HTTP/1.1 ${status}\r\n`);
      expect(heard).toContain("\r\nConnection: close\r\n");
      expect(rig.client.state).toBe("fin");
      expect(rig.upstreams.dials).toEqual([]);
      expect(rig.records.map((record) => record.status)).toEqual([Number(status.slice(0, 3))]);
    });
  }
});

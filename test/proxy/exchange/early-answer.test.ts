// Answers that come before the request is complete, and 100-continue: nothing is held back, nothing of a body is taken
// for a request. RFC 9110 section 10.1.1, wire.md section 4.
import { afterEach, describe, expect, test } from "bun:test";
import { finishRigs, head, plainReply, SessionRig } from "../../support/session-rig.ts";

afterEach(finishRigs);

const CONTINUE = head("HTTP/1.1 100 Continue");
const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;
const TOO_LARGE = ["HTTP/1.1 413 Content Too Large", "Content-Length: 2"];
const GET_B = head("GET http://api.test/b HTTP/1.1", "Host: api.test");

function post(...fields: readonly string[]): string {
  return head("POST http://api.test/a HTTP/1.1", "Host: api.test", ...fields);
}

describe("Expect: 100-continue", () => {
  const EXPECTING = post("Content-Length: 5", "Expect: 100-continue");

  test("goes up, the 100 comes down, the body goes up", () => {
    const rig = new SessionRig();
    rig.client.says(EXPECTING);
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      head(
        "POST /a HTTP/1.1",
        "Host: api.test",
        "Content-Length: 5",
        "Expect: 100-continue",
        "X-Request-Id: req-1",
      ),
    );
    upstream.says(CONTINUE);
    expect(rig.client.heard()).toBe(CONTINUE);
    rig.client.says("hello");
    expect(upstream.heard()).toBe("hello");
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.client.state).toBe("open");
    expect(rig.upstreams.released).toHaveLength(1);
    expect(rig.log()).toEqual(["http POST api.test/a 200"]);
  });

  test("a client that does not wait is not held up", () => {
    const rig = new SessionRig();
    rig.client.says(`${EXPECTING}hello`);
    const upstream = rig.dialled();
    expect(upstream.heard()).toEndWith("\r\n\r\nhello");
    upstream.says(CONTINUE + OK);
    expect(rig.client.heard()).toBe(CONTINUE + OK);
    expect(rig.client.state).toBe("open");
  });

  test("a final answer instead closes: nobody can tell body from next head", () => {
    const rig = new SessionRig();
    rig.client.says(EXPECTING);
    const upstream = rig.dialled();
    upstream.says(`${head("HTTP/1.1 401 Unauthorized", "Content-Length: 2")}no`);
    expect(rig.client.heard()).toBe(
      `${head("HTTP/1.1 401 Unauthorized", "Content-Length: 2", "Connection: close")}no`,
    );
    expect(rig.client.state).toBe("fin");
    expect(upstream.closed).toBe(true);
    expect(rig.upstreams.released).toEqual([]);
    expect(rig.log()).toEqual(["http POST api.test/a 401"]);
  });

  test("a reply of our own closes too", () => {
    const rig = new SessionRig({ network: { policy: "strict" } });
    rig.client.says(EXPECTING);
    const heard = rig.client.heard();
    expect(heard).toStartWith("HTTP/1.1 407 Proxy Authentication Required\r\n");
    expect(heard).toContain("\r\nConnection: close\r\n");
    expect(rig.client.state).toBe("fin");
    expect(rig.records.map(({ status }) => status)).toEqual([407]);
  });

  test("with the body complete it stays open", () => {
    const rig = new SessionRig();
    rig.client.says(`${EXPECTING}hello`);
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.client.state).toBe("open");
  });

  test("a final answer behind the 100, before the body, does not close: the body will come", () => {
    const rig = new SessionRig();
    rig.client.says(EXPECTING);
    const upstream = rig.dialled();
    upstream.says(CONTINUE + OK);
    expect(rig.client.heard()).toBe(CONTINUE + OK);
    rig.client.says("hello");
    expect(upstream.heard()).toEndWith("\r\n\r\nhello");
    rig.client.says(GET_B);
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.records.map(({ status, requestSize }) => [status, requestSize])).toEqual([
      [200, 5],
      [200, 0],
    ]);
  });

  test("a 100 is kept from an HTTP/1.0 client", () => {
    const rig = new SessionRig();
    rig.client.says(`${EXPECTING.replace("HTTP/1.1", "HTTP/1.0")}hello`);
    rig.dialled().says(CONTINUE, OK);
    expect(rig.client.heard()).toBe(`${head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close")}ok`);
  });
});

describe("an early answer", () => {
  test("is forwarded at once, while the body is still being sent", () => {
    const rig = new SessionRig();
    rig.client.says(`${post("Content-Length: 10")}abc`);
    rig.dialled().says(`${head(...TOO_LARGE)}no`);
    expect(rig.client.heard()).toBe(`${head(...TOO_LARGE)}no`);
    rig.client.reset();
    expect(rig.records.map(({ status }) => status)).toEqual([413]);
  });

  test("then the rest of a small body, then the next request", () => {
    for (const framing of ["Content-Length: 10", "Transfer-Encoding: chunked"]) {
      const rig = new SessionRig();
      const [first, rest] = framing.startsWith("C")
        ? ["abc", "defghij"]
        : ["3\r\nabc\r\n", "1\r\nd\r\n0\r\n\r\n"];
      rig.client.says(post(framing) + first);
      rig.dialled().says(`${head(...TOO_LARGE)}no`);
      expect(rig.client.heard()).toBe(`${head(...TOO_LARGE)}no`);
      rig.client.says(rest + GET_B);
      const { pending, connections } = rig.upstreams;
      const next = pending.length > 0 ? rig.dialled() : connections[0]?.wire;
      expect(next?.heard()).toEndWith(head("GET /b HTTP/1.1", "Host: api.test", "X-Request-Id: req-2"));
      next?.says(OK);
      expect(rig.client.heard()).toBe(OK);
      expect(rig.log()).toEqual(["http POST api.test/a 413", "http GET api.test/b 200"]);
    }
  });

  test("of an upstream that closes: the rest is dropped, the next request is answered", () => {
    const rig = new SessionRig();
    rig.client.says(`${post("Content-Length: 10")}abc`);
    const upstream = rig.dialled();
    upstream.says(`${head(...TOO_LARGE, "Connection: close")}no`);
    upstream.fin();
    expect(rig.client.heard()).toBe(`${head(...TOO_LARGE)}no`);
    expect(upstream.closed).toBe(true);
    rig.client.says("defghij", GET_B);
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.log()).toEqual(["http POST api.test/a 413", "http GET api.test/b 200"]);
  });

  test("and a reset behind it: the answer stands", () => {
    const rig = new SessionRig();
    rig.client.says(`${post("Content-Length: 10")}abc`);
    const upstream = rig.dialled();
    upstream.acceptUpTo(0);
    rig.client.says("def");
    upstream.says(`${head(...TOO_LARGE)}no`);
    upstream.reset();
    expect(rig.client.heard()).toBe(`${head(...TOO_LARGE)}no`);
    rig.client.says("ghij", GET_B);
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.records.map(({ status }) => status)).toEqual([413, 200]);
  });

  test("before a body of more than 64 KiB that nobody wants ends the connection", () => {
    const rig = new SessionRig();
    rig.client.says(post("Content-Length: 1000000"));
    const upstream = rig.dialled();
    upstream.says(`${head(...TOO_LARGE, "Connection: close")}no`);
    upstream.fin();
    expect(rig.client.heard()).toMatch(/^HTTP\/1.1 413 Content Too Large\r\n[\s\S]*\r\n\r\nno$/);
    rig.client.says("x".repeat(40_000), "x".repeat(40_000), GET_B);
    expect(rig.client.state).toBe("fin");
    expect(rig.client.heard()).toBe("");
    expect(rig.log()).toEqual(["http POST api.test/a 413"]);
  });

  test("from an upstream that goes on reading gets its whole body", () => {
    const rig = new SessionRig();
    rig.client.says(post("Transfer-Encoding: chunked"));
    const upstream = rig.dialled();
    upstream.heard();
    upstream.says(head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"));
    for (const word of ["one", "two"]) {
      rig.client.says(`3\r\n${word}\r\n`);
      expect(upstream.heard()).toBe(`3\r\n${word}\r\n`);
      upstream.says(`3\r\n${word}\r\n`);
    }
    expect(rig.client.heard()).toBe(
      `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}3\r\none\r\n3\r\ntwo\r\n`,
    );
    rig.client.says("0\r\n\r\n");
    upstream.says("0\r\n\r\n");
    expect(rig.client.heard()).toBe("0\r\n\r\n");
    expect(rig.upstreams.released).toHaveLength(1);
    expect(rig.records).toMatchObject([{ status: 200, requestSize: 6, responseSize: 6 }]);
  });

  test("is recorded once when the client leaves inside its body", () => {
    const rig = new SessionRig();
    rig.client.says(`${post("Content-Length: 10")}abc`);
    const upstream = rig.dialled();
    upstream.says(`${head(...TOO_LARGE)}no`);
    rig.client.fin();
    expect(rig.client.closed || rig.client.state === "fin").toBe(true);
    expect(upstream.closed).toBe(true);
    expect(rig.records.map(({ status }) => status)).toEqual([413]);
  });
});

describe("the body behind a reply of our own", () => {
  const REFUSED = plainReply(
    "407 Proxy Authentication Required",
    'Moat: request blocked by network policy.\nHost "api.test" is not in the allow list.\n' +
      "Add it to network.allow in moat.yaml or use policy: permissive.\n",
    "Proxy-Authenticate: Moat-Policy",
    "X-Moat-Blocked: network-policy",
  );
  const CLOSING = REFUSED.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
  const strict = { network: { policy: "strict", allow: ["good.test"] } } as const;
  const GOOD = head("GET http://good.test/ HTTP/1.1", "Host: good.test");

  test("is drained up to 64 KiB, and the next request is answered", () => {
    const rig = new SessionRig(strict);
    rig.client.says(post(`Content-Length: ${64 * 1024}`));
    expect(rig.client.heard()).toBe(REFUSED);
    rig.client.says("x".repeat(64 * 1024), GOOD);
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.records.map(({ status }) => status)).toEqual([407, 200]);
  });

  test("beyond 64 KiB ends the connection", () => {
    const rig = new SessionRig(strict);
    rig.client.says(post(`Content-Length: ${64 * 1024 + 1}`));
    expect(rig.client.heard()).toBe(CLOSING);
    expect(rig.client.state).toBe("fin");
    expect(rig.records.map(({ status }) => status)).toEqual([407]);
  });

  test("that is chunked ends the connection when it grows beyond", () => {
    const rig = new SessionRig(strict);
    rig.client.says(post("Transfer-Encoding: chunked"));
    expect(rig.client.heard()).toBe(REFUSED);
    rig.client.says(`10000\r\n${"x".repeat(65_536)}\r\n`);
    expect(rig.client.state).toBe("open");
    rig.client.says("1\r\nx\r\n", GOOD);
    expect(rig.client.state).toBe("fin");
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.records.map(({ status }) => status)).toEqual([407]);
  });

  test("that is chunked and small is drained", () => {
    const rig = new SessionRig(strict);
    rig.client.saysByteByByte(`${post("Transfer-Encoding: chunked")}5\r\nhello\r\n0\r\nX: 1\r\n\r\n${GOOD}`);
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(REFUSED + OK);
    expect(rig.records.map(({ status }) => status)).toEqual([407, 200]);
  });

  test("that is malformed ends the connection without a second reply or record", () => {
    const rig = new SessionRig(strict);
    rig.client.says(post("Transfer-Encoding: chunked"), "zz\r\n");
    expect(rig.client.heard()).toBe(REFUSED);
    expect(rig.client.state).toBe("fin");
    expect(rig.records.map(({ status }) => status)).toEqual([407]);
  });

  test("that never comes ends the connection after 60 s", () => {
    const rig = new SessionRig(strict);
    rig.client.says(post("Content-Length: 10"), "abc");
    rig.pass(59_999);
    expect(rig.client.state).toBe("open");
    rig.pass(1);
    expect(rig.client.state).not.toBe("open");
    expect(rig.records.map(({ status }) => status)).toEqual([407]);
  });
});

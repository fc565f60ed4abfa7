// Request heads and bodies on their way up: stripped, injected, framing kept, nothing held back, backpressure to the
// client. wire.md sections 4 to 6.
import { afterEach, describe, expect, test } from "bun:test";
import { credential, finishRigs, head, ScriptedSlot, SessionRig } from "../../support/session-rig.ts";

afterEach(finishRigs);

const ID = "X-Request-Id: req-1";
const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;

function post(...fields: readonly string[]): string {
  return head("POST http://api.test/a HTTP/1.1", "Host: api.test", ...fields);
}

describe("the head on its way up", () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ["TE: trailers alone is kept", ["TE: gzip, trailers"], ["Connection: TE", "TE: trailers", ID]],
    [
      "Upgrade: h2c and HTTP2-Settings go, the request goes on",
      ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"],
      [ID],
    ],
    ["Upgrade without Connection goes", ["Upgrade: websocket"], [ID]],
    ["two upgrades go", ["Connection: upgrade", "Upgrade: websocket", "Upgrade: h2c"], [ID]],
    ["a list of upgrades goes", ["Connection: upgrade", "Upgrade: websocket, h2c"], [ID]],
    ["Proxy-Anything goes", ["Proxy-Foo: 1", "proxy-authenticate: x"], [ID]],
    ["Trailer goes without a chunked body", ["Trailer: X-T"], [ID]],
    ["Content-Length: 0 stays", ["Content-Length: 0"], ["Content-Length: 0", ID]],
    ["what nobody knows stays as it is", ["x-WeIrD:  a  b\t"], ["x-WeIrD: a  b", ID]],
    ["two request ids become ours", ["X-Request-Id: a", "X-Request-Id: b"], ["X-Request-Id: a"]],
  ];
  for (const [what, sent, received] of cases) {
    test(what, () => {
      const rig = new SessionRig();
      rig.client.says(post(...sent));
      const upstream = rig.dialled();
      expect(upstream.heard()).toBe(head("POST /a HTTP/1.1", "Host: api.test", ...received));
      upstream.says(OK);
      expect(rig.client.heard()).toBe(OK);
      expect(rig.log()).toEqual(["http POST api.test/a 200"]);
    });
  }
});

describe("injection", () => {
  test("replaces the client's value whole, once, in its place; and the record names it", () => {
    const rig = new SessionRig({
      credentials: [credential("api.test", "s3cret", { grant: "acme", allowCleartext: true })],
    });
    rig.client.says(
      head(
        "GET http://api.test/ HTTP/1.1",
        "authorization: Bearer placeholder",
        "Host: api.test",
        "AUTHORIZATION: two",
      ),
    );
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      head("GET / HTTP/1.1", "Authorization: Bearer s3cret", "Host: api.test", ID),
    );
    upstream.says(OK);
    expect(rig.records[0]).toMatchObject({ injectedHeaders: ["Authorization"], grants: ["acme"] });
    expect(JSON.stringify(rig.records)).not.toContain("s3cret");
  });

  test("is last: a client cannot have it removed by naming it in Connection", () => {
    const rig = new SessionRig({ credentials: [credential("api.test", "k", { header: "X-Key" })] });
    const inner = rig.tunnel();
    inner.says(head("GET / HTTP/1.1", "Host: api.test", "X-Key: mine", "Connection: x-key"));
    expect(rig.dialled().heard()).toBe(
      head("GET / HTTP/1.1", "Host: api.test", "X-Request-Id: req-2", "X-Key: k"),
    );
    inner.reset();
    expect(rig.log()).toEqual(["connect GET api.test/ 0"]);
  });

  test("does not touch a host without one", () => {
    const rig = new SessionRig({ credentials: [credential("other.test", "k")] });
    rig.client.says(head("GET http://api.test/ HTTP/1.1", "Host: api.test", "Authorization: mine"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(head("GET / HTTP/1.1", "Host: api.test", "Authorization: mine", ID));
    upstream.says(OK);
    expect(rig.records[0]).toMatchObject({ injectedHeaders: [], grants: [] });
  });

  test("a secret that would split the head is refused, and no byte leaves", () => {
    const rig = new SessionRig({ credentials: [credential("api.test", "a\r\nX-Evil: 1")] });
    const inner = rig.tunnel();
    inner.says(head("GET / HTTP/1.1", "Host: api.test"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe("");
    expect(inner.heard()).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
    expect(inner.state).toBe("open");
    expect(rig.records.map((record) => record.status)).toEqual([502]);
    expect(rig.records[0]?.error).not.toContain("X-Evil");
  });

  test("takes a refreshed secret for the next request", () => {
    const slot = new ScriptedSlot("one");
    const rig = new SessionRig({ credentials: [credential("api.test", slot)] });
    const inner = rig.tunnel();
    inner.says(head("GET / HTTP/1.1", "Host: api.test"));
    const upstream = rig.dialled();
    upstream.says(OK);
    slot.resolve("two");
    inner.says(head("GET / HTTP/1.1", "Host: api.test"));
    expect(upstream.heard().match(/Authorization: .*/g)).toEqual([
      "Authorization: Bearer one",
      "Authorization: Bearer two",
    ]);
  });
});

describe("a body with Content-Length", () => {
  test("leaves with its head in one write", () => {
    const rig = new SessionRig();
    rig.client.says(`${post("Content-Length: 5")}hello`);
    const upstream = rig.dialled();
    expect(upstream.writes).toEqual([
      `${head("POST /a HTTP/1.1", "Host: api.test", "Content-Length: 5", ID)}hello`,
    ]);
    upstream.says(OK);
    expect(rig.records[0]).toMatchObject({ requestSize: 5, responseSize: 2, status: 200 });
  });

  test("leaves with its head in one write on an idle connection too", () => {
    const rig = new SessionRig();
    const upstream = rig.putIdle("http://api.test");
    rig.client.says(`${post("Content-Length: 5")}hello`);
    expect(upstream.writes).toEqual([
      `${head("POST /a HTTP/1.1", "Host: api.test", "Content-Length: 5", ID)}hello`,
    ]);
    upstream.says(OK);
    expect(rig.log()).toEqual(["http POST api.test/a 200"]);
  });

  test("is passed on piece by piece, as it comes", () => {
    const rig = new SessionRig();
    rig.client.says(post("Content-Length: 6"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(head("POST /a HTTP/1.1", "Host: api.test", "Content-Length: 6", ID));
    for (const piece of ["ab", "c", "def"]) {
      rig.client.says(piece);
      expect(upstream.heard()).toBe(piece);
    }
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.upstreams.released).toHaveLength(1);
  });

  test("waits at the client while the upstream is not there yet", () => {
    const rig = new SessionRig();
    rig.client.says(`${post("Content-Length: 200000")}ab`, "x".repeat(100_000), "y".repeat(99_998));
    expect(rig.client.paused).toBe(true);
    expect(rig.client.unread).toBe(199_998);
    const upstream = rig.dialled();
    const body = `ab${"x".repeat(100_000)}${"y".repeat(99_998)}`;
    expect(upstream.heard()).toEndWith(`\r\n\r\n${body}`);
    expect(rig.client.paused).toBe(false);
    upstream.says(OK);
    expect(rig.log()).toEqual(["http POST api.test/a 200"]);
  });

  test("a full upstream pauses the client; what is at hand is all that waits", () => {
    const rig = new SessionRig();
    rig.client.says(post("Content-Length: 30000"));
    const upstream = rig.dialled();
    upstream.heard();
    upstream.acceptUpTo(4_000);
    rig.client.says("a".repeat(10_000), "b".repeat(10_000), "c".repeat(10_000));
    expect(upstream.heard()).toBe("a".repeat(4_000));
    expect(rig.client.paused).toBe(true);
    expect(upstream.backlog).toBe(6_000);
    expect(rig.client.unread).toBe(20_000);
    upstream.takes(3_000);
    expect(rig.client.unread).toBe(20_000);
    upstream.takes(5_000);
    expect(upstream.heard()).toBe("a".repeat(6_000) + "b".repeat(2_000));
    expect(upstream.backlog).toBe(8_000);
    expect(rig.client.unread).toBe(10_000);
    upstream.drain();
    expect(upstream.heard()).toBe("b".repeat(8_000) + "c".repeat(10_000));
    expect(rig.client.paused).toBe(false);
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.records[0]).toMatchObject({ requestSize: 30_000 });
  });

  test("an answer may come while the upstream is full", () => {
    const rig = new SessionRig();
    rig.client.says(post("Content-Length: 100"));
    const upstream = rig.dialled();
    upstream.acceptUpTo(10);
    rig.client.says("a".repeat(50));
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 4")}ab`);
    expect(rig.client.heard()).toBe(`${head("HTTP/1.1 200 OK", "Content-Length: 4")}ab`);
    upstream.drain();
    rig.client.says("b".repeat(50));
    upstream.says("cd");
    expect(rig.client.heard()).toBe("cd");
    expect(rig.upstreams.released).toHaveLength(1);
    expect(rig.log()).toEqual(["http POST api.test/a 200"]);
  });

  test("cut short by the client's FIN cuts the upstream", () => {
    const rig = new SessionRig();
    rig.client.says(`${post("Content-Length: 5")}hel`);
    const upstream = rig.dialled();
    rig.client.fin();
    expect(upstream.state).toBe("destroyed");
    expect(rig.client.closed).toBe(true);
    expect(rig.log()).toEqual(["http POST api.test/a 0"]);
  });
});

describe("a chunked body", () => {
  const sent = head("POST /a HTTP/1.1", "Host: api.test", "Transfer-Encoding: chunked", ID);

  test("goes on chunked, the head and first chunk in one write", () => {
    const rig = new SessionRig();
    rig.client.says(`${post("Transfer-Encoding: chunked")}5;ext=1\r\nhello\r\n`);
    const upstream = rig.dialled();
    expect(upstream.writes).toEqual([`${sent}5\r\nhello\r\n`]);
    rig.client.says("3\r\nabc\r\n0\r\n\r\n");
    expect(upstream.writes.at(-1)).toBe("3\r\nabc\r\n0\r\n\r\n");
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.records[0]).toMatchObject({ requestSize: 8, status: 200 });
    expect(rig.upstreams.released).toHaveLength(1);
  });

  test("byte by byte arrives as the same body", () => {
    const rig = new SessionRig();
    rig.client.saysByteByByte(`${post("Transfer-Encoding: chunked")}5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n`);
    const upstream = rig.dialled();
    const heard = upstream.heard();
    expect(heard.slice(0, sent.length)).toBe(sent);
    expect(heard.slice(sent.length).replace(/[0-9a-f]+\r\n(.*?)\r\n/g, "$1")).toBe("helloabc");
    expect(heard).toEndWith("\r\n0\r\n\r\n");
    upstream.says(OK);
    expect(rig.log()).toEqual(["http POST api.test/a 200"]);
  });

  test("carries its trailers, but none that would change the head or what was injected", () => {
    const rig = new SessionRig({ credentials: [credential("api.test", "k", { header: "X-Key" })] });
    const inner = rig.tunnel();
    inner.says(
      head("POST /a HTTP/1.1", "Host: api.test", "Transfer-Encoding: chunked", "Trailer: X-Sum, X-Key") +
        "2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Key: mine\r\nTrailer: X\r\nHost: evil.test\r\n" +
        "Authorization: mine\r\nProxy-Foo: x\r\nx-Other: 2\r\n\r\n",
    );
    const upstream = rig.dialled();
    expect(upstream.heard()).toEndWith("\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nx-Other: 2\r\n\r\n");
    upstream.says(OK);
    expect(rig.log()).toEqual(["connect POST api.test/a 200"]);
  });

  test("a full upstream pauses the client", () => {
    const rig = new SessionRig();
    rig.client.says(post("Transfer-Encoding: chunked"));
    const upstream = rig.dialled();
    upstream.heard();
    upstream.acceptUpTo(4);
    rig.client.says("5\r\nhello\r\n", "5\r\nworld\r\n", "0\r\n\r\n");
    expect(upstream.heard()).toBe("5\r\nh");
    expect(rig.client.paused).toBe(true);
    expect(rig.client.unread).toBe(15);
    upstream.drain();
    expect(upstream.heard()).toBe("ello\r\n5\r\nworld\r\n0\r\n\r\n");
    upstream.says(OK);
    expect(rig.records[0]).toMatchObject({ requestSize: 10, status: 200 });
  });

  const broken = [
    "5\r\nhelloX\r\n",
    "zz\r\n",
    "-1\r\n",
    "5 \r\n\r\n",
    "5\nhello\r\n",
    "0\r\nContent-Length: 5\r\n\r\n",
    `${"5;".padEnd(90_000, "x")}`,
  ];
  for (const body of broken) {
    test(`that is malformed (${JSON.stringify(body.slice(0, 12))}) is 400, and the upstream is cut`, () => {
      const rig = new SessionRig();
      rig.client.says(post("Transfer-Encoding: chunked"));
      const upstream = rig.dialled();
      rig.client.says(body);
      expect(upstream.state).toBe("destroyed");
      expect(rig.client.heard()).toStartWith("HTTP/1.1 400 Bad Request\r\n");
      expect(rig.client.state).toBe("fin");
      expect(rig.log()).toEqual(["http POST api.test/a 400 denied=malformed-request"]);
    });
  }
});

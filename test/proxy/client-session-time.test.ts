// Deadlines of a client connection, the stopping of the proxy, and clients that leave.
// wire.md sections 1 and 14.
import { afterEach, describe, expect, test } from "bun:test";
import { finishRigs, head, plainReply, SessionRig } from "../support/session-rig.ts";

afterEach(finishRigs);

const GET = head("GET http://api.test/a HTTP/1.1", "Host: api.test");
const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;
const CLOSING = `${head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close")}ok`;
const TIMEOUT = plainReply(
  "408 Request Timeout",
  "the request head did not arrive in time\n",
  "Connection: close",
);

describe("a head", () => {
  test("that does not arrive within 60 s of its first byte is 408", () => {
    const rig = new SessionRig();
    rig.pass(30_000);
    rig.client.says("GET http://api.test/");
    rig.pass(59_999);
    rig.client.says("a");
    expect(rig.client.heard()).toBe("");
    rig.pass(1);
    expect(rig.client.heard()).toBe(TIMEOUT);
    expect(rig.client.state).toBe("fin");
    expect(rig.records.map(({ status }) => status)).toEqual([408]);
  });

  test("of a second request has its own 60 s", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    const upstream = rig.dialled();
    upstream.says(OK);
    rig.pass(100_000);
    rig.client.says(GET.slice(0, 10));
    rig.pass(59_000);
    rig.client.says(GET.slice(10));
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK + OK);
    rig.client.says("G");
    rig.pass(60_000);
    expect(rig.client.heard()).toBe(TIMEOUT);
    expect(rig.records.map(({ status }) => status)).toEqual([200, 200, 408]);
  });

  test("behind empty lines is no longer awaited", () => {
    const rig = new SessionRig();
    rig.client.says("\r\n\r\n");
    rig.pass(60_000);
    expect(rig.client.state).not.toBe("open");
  });

  test("in a tunnel has 60 s too", () => {
    const rig = new SessionRig();
    const inner = rig.tunnel();
    inner.says("GET");
    rig.pass(60_000);
    expect(inner.heard()).toBe(TIMEOUT);
    expect(rig.records.map(({ status }) => status)).toEqual([408]);
  });
});

describe("a client that says nothing", () => {
  test("from the start is closed after 60 s, without a record", () => {
    const rig = new SessionRig();
    rig.pass(59_999);
    expect(rig.client.state).toBe("open");
    rig.pass(1);
    expect(rig.client.state).not.toBe("open");
    expect(rig.client.heard()).toBe("");
    expect(rig.records).toEqual([]);
  });

  test("between requests is closed after 120 s", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    const upstream = rig.dialled();
    upstream.says(OK);
    rig.pass(119_999);
    expect(rig.client.state).toBe("open");
    rig.pass(1);
    // In order: the end of the last answer may still be in the kernel, on its way to a slow reader.
    expect(["fin", "closed"]).toContain(rig.client.state);
    expect(rig.client.heard()).toBe(OK);
    expect(upstream.closed).toBe(false);
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("after a refusal has 120 s too", () => {
    const rig = new SessionRig({ token: "t" });
    rig.client.says(GET);
    rig.pass(119_999);
    expect(rig.client.state).toBe("open");
    rig.pass(1);
    expect(rig.client.state).not.toBe("open");
    expect(rig.records.map(({ status }) => status)).toEqual([407]);
  });

  test("while its body is awaited has no limit", () => {
    const rig = new SessionRig();
    rig.client.says(head("POST http://api.test/a HTTP/1.1", "Host: api.test", "Content-Length: 2"));
    const upstream = rig.dialled();
    upstream.says(head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"));
    rig.pass(10_000_000);
    rig.client.says("ok");
    expect(upstream.heard()).toEndWith("\r\n\r\nok");
    upstream.says("0\r\n\r\n");
    expect(rig.client.heard()).toEndWith("\r\n\r\n0\r\n\r\n");
    expect(rig.log()).toEqual(["http POST api.test/a 200"]);
  });
});

describe("a record's duration", () => {
  test("is from the head to the end of the answer", () => {
    const rig = new SessionRig();
    rig.pass(500);
    rig.client.says(GET);
    rig.pass(200);
    const upstream = rig.dialled();
    rig.pass(30);
    upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 2"));
    rig.pass(4);
    upstream.says("ok");
    rig.pass(1_000);
    expect(rig.records.map(({ durationMs }) => durationMs)).toEqual([234]);
  });
});

describe("when the proxy stops", () => {
  test("an idle connection closes at once", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    rig.dialled().says(OK);
    rig.stop();
    expect(rig.client.state).toBe("fin");
    rig.client.fin();
    expect(rig.client.state).toBe("closed");
    expect(rig.live.size).toBe(0);
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("an idle tunnel closes at once", () => {
    const rig = new SessionRig();
    const inner = rig.tunnel();
    rig.stop();
    expect(inner.state).toBe("fin");
    inner.fin();
    expect(rig.client.closed).toBe(true);
    expect(rig.log()).toEqual(["connect CONNECT api.test 200"]);
  });

  test("a handshake is not waited for", () => {
    const rig = new SessionRig();
    rig.client.says("CONNECT api.test:443 HTTP/1.1\r\n\r\n");
    rig.stop();
    expect(rig.interceptor.tunnels[0]?.inner.state).not.toBe("open");
    rig.client.reset();
    expect(rig.log()).toEqual(["connect CONNECT api.test 200"]);
  });

  test("a running request finishes, says Connection: close, and the connection ends", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    const upstream = rig.dialled();
    rig.stop();
    expect(rig.client.state).toBe("open");
    upstream.says(OK);
    expect(rig.client.heard()).toBe(CLOSING);
    expect(rig.client.state).toBe("fin");
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("an answer that has begun is finished, then the connection ends", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    const upstream = rig.dialled();
    upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 2"), "o");
    rig.stop();
    upstream.says("k");
    expect(rig.client.heard()).toBe(OK);
    expect(rig.client.state).toBe("fin");
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("a head that has begun may be finished", () => {
    const rig = new SessionRig();
    rig.client.says(GET.slice(0, 20));
    rig.stop();
    rig.client.says(GET.slice(20));
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(CLOSING);
    expect(rig.client.state).toBe("fin");
  });

  test("a request in a tunnel finishes, and the tunnel with it", () => {
    const rig = new SessionRig();
    const inner = rig.tunnel();
    inner.says(head("GET /a HTTP/1.1", "Host: api.test"));
    const upstream = rig.dialled();
    rig.stop();
    upstream.says(OK);
    expect(inner.heard()).toBe(CLOSING);
    expect(inner.state).toBe("fin");
    inner.fin();
    expect(rig.live.size).toBe(0);
    expect(rig.log()).toEqual(["connect GET api.test/a 200"]);
  });

  test("the rest of an unwanted body is still read, then the connection ends", () => {
    const rig = new SessionRig({ token: "t" });
    rig.client.says(head("POST http://api.test/ HTTP/1.1", "Host: api.test", "Content-Length: 4"), "ab");
    rig.stop();
    expect(rig.client.state).toBe("open");
    rig.client.says("cd");
    expect(rig.client.state).toBe("fin");
    expect(rig.records.map(({ status }) => status)).toEqual([407]);
  });

  test("a pipelined request behind the running one is not begun", () => {
    const rig = new SessionRig();
    rig.client.says(GET + GET);
    const upstream = rig.dialled();
    rig.stop();
    upstream.heard();
    upstream.says(OK);
    expect(rig.client.heard()).toBe(CLOSING);
    expect(rig.client.state).toBe("fin");
    expect(upstream.heard()).toBe("");
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("nothing is left half-written: a slow client gets all of its last answer", () => {
    const rig = new SessionRig();
    rig.client.acceptUpTo(5);
    rig.client.says(GET);
    const upstream = rig.dialled();
    rig.stop();
    upstream.says(OK);
    expect(rig.client.state).toBe("open");
    rig.client.drain();
    expect(rig.client.heard()).toBe(CLOSING);
    expect(rig.client.state).toBe("fin");
  });
});

describe("a client that leaves", () => {
  for (const leave of ["fin", "reset"] as const) {
    test(`inside a head, by ${leave}, leaves no record`, () => {
      const rig = new SessionRig();
      rig.client.says("GET http://api.t");
      rig.client[leave]();
      expect(rig.client.state).not.toBe("open");
      expect(rig.records).toEqual([]);
    });

    test(`between requests, by ${leave}, leaves the upstream to others`, () => {
      const rig = new SessionRig();
      rig.client.says(GET);
      const upstream = rig.dialled();
      upstream.says(OK);
      rig.client[leave]();
      expect(rig.client.closed).toBe(true);
      expect(upstream.closed).toBe(false);
      expect(rig.log()).toEqual(["http GET api.test/a 200"]);
    });
  }

  test("inside an answer drops the upstream, and is no error", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    const upstream = rig.dialled();
    upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 9"), "abc");
    rig.client.reset();
    expect(upstream.state).toBe("destroyed");
    expect(rig.records).toMatchObject([{ status: 200, responseSize: 3, error: undefined, denied: false }]);
  });

  test("inside a paused answer drops the upstream", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    const upstream = rig.dialled();
    rig.client.acceptUpTo(0);
    upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 9"));
    expect(upstream.paused).toBe(true);
    rig.client.reset();
    expect(upstream.state).toBe("destroyed");
    expect(rig.records).toHaveLength(1);
  });

  test("by half-closing still gets its answer", () => {
    const rig = new SessionRig();
    rig.client.says(GET).fin();
    rig.dialled().says(head("HTTP/1.1 200 OK", "Content-Length: 2"), "ok");
    expect(rig.client.heard()).toBe(CLOSING);
    expect(rig.client.state).toBe("closed");
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });
});

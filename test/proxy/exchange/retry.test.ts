// Which upstream connection a request takes, and when it is sent a second time: a stale connection costs the client
// nothing, and no request is carried out twice. wire.md section 4.
import { afterEach, describe, expect, test } from "bun:test";
import { credential, finishRigs, head, makeRun, plainReply, SessionRig } from "../../support/session-rig.ts";

afterEach(finishRigs);

const KEY = "http://api.test";
const GET = head("GET http://api.test/a HTTP/1.1", "Host: api.test");
const SENT = head("GET /a HTTP/1.1", "Host: api.test", "X-Request-Id: req-1");
const POST = head("POST http://api.test/a HTTP/1.1", "Host: api.test", "Content-Length: 2");
const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;
const NO_ANSWER = "the upstream closed the connection without a complete answer";
const LOST = plainReply("502 Bad Gateway", `${NO_ANSWER}\n`);

function request(method: string): string {
  return GET.replace("GET", method);
}

describe("an idle connection", () => {
  test("is taken instead of a dial", () => {
    const rig = new SessionRig();
    const upstream = rig.putIdle(KEY, 49_000);
    rig.client.says(GET);
    expect(upstream.heard()).toBe(SENT);
    expect(rig.upstreams.dials).toEqual([]);
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  for (const key of ["https://api.test", "http://api.test:8080", "http://www.api.test"]) {
    test(`to ${key} does not serve http://api.test`, () => {
      const rig = new SessionRig();
      const other = rig.putIdle(key);
      rig.client.says(GET);
      expect(other.heard()).toBe("");
      rig.dialled().says(OK);
      expect(rig.log()).toEqual(["http GET api.test/a 200"]);
    });
  }

  test("of another run is not taken", () => {
    const rig = new SessionRig();
    const other = rig.upstreams.putIdle(makeRun({ runId: "other" }), rig.target(KEY));
    rig.client.says(GET);
    expect(other.heard()).toBe("");
    expect(rig.dial().run).toBe(rig.run);
    rig.dialled().says(OK);
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("that another client of the run has left is taken", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    const upstream = rig.dialled();
    upstream.says(OK);
    rig.connectClient().says(GET);
    expect(upstream.heard()).toBe(SENT + SENT.replace("req-1", "req-2"));
    upstream.says(OK);
    expect(rig.clients[1]?.heard()).toBe(OK);
  });

  /** [method, idle for so many ms, taken] */
  const ages = [
    ["POST", 1_999, true],
    ["POST", 2_000, false],
    ["PATCH", 2_000, false],
    ["PUT", 49_000, true],
    ["DELETE", 49_000, true],
    ["OPTIONS", 49_000, true],
    ["HEAD", 49_000, true],
  ] as const;
  for (const [method, idleMs, taken] of ages) {
    test(`idle for ${idleMs} ms is ${taken ? "" : "not "}taken for ${method}`, () => {
      const rig = new SessionRig();
      const idle = rig.putIdle(KEY, idleMs);
      rig.client.says(request(method));
      expect(idle.heard() !== "").toBe(taken);
      expect(rig.upstreams.pending).toHaveLength(taken ? 0 : 1);
      rig.client.reset();
      expect(rig.log()).toEqual([`http ${method} api.test/a 0`]);
    });
  }

  test("idle for 2 s is not taken for a GET with a body: it cannot be sent twice", () => {
    const rig = new SessionRig();
    const idle = rig.putIdle(KEY, 2_000);
    rig.client.says(`${GET.replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\n")}ok`);
    expect(idle.heard()).toBe("");
    rig.dialled().says(OK);
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });
});

describe("a request is sent again", () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]) {
    for (const end of ["fin", "reset"] as const) {
      test(`once, on a fresh connection: ${method}, ${end} on the idle one`, () => {
        const rig = new SessionRig();
        const stale = rig.putIdle(KEY, 10_000);
        const another = rig.putIdle("http://other.test", 0);
        rig.client.says(request(method));
        expect(stale.heard()).toBe(SENT.replace("GET", method));
        stale[end]();
        expect(rig.client.heard()).toBe("");
        const fresh = rig.dialled();
        expect(fresh.heard()).toBe(SENT.replace("GET", method));
        fresh.says(head("HTTP/1.1 200 OK", "Content-Length: 0"));
        expect(rig.client.heard()).toBe(head("HTTP/1.1 200 OK", "Content-Length: 0"));
        expect(stale.closed).toBe(true);
        expect(another.heard()).toBe("");
        expect(rig.log()).toEqual([`http ${method} api.test/a 200`]);
      });
    }
  }

  test("never on a second idle connection", () => {
    const rig = new SessionRig();
    const older = rig.putIdle(KEY);
    const newer = rig.putIdle(KEY);
    rig.client.says(GET);
    newer.fin();
    expect(older.heard()).toBe("");
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK);
  });

  test("not twice", () => {
    const rig = new SessionRig();
    const stale = rig.putIdle(KEY);
    rig.client.says(GET);
    stale.fin();
    rig.dialled().fin();
    expect(rig.client.heard()).toBe(LOST);
    expect(rig.upstreams.dials).toHaveLength(1);
    expect(rig.log()).toEqual([`http GET api.test/a 502 error=${NO_ANSWER}`]);
  });

  test("not when the connection was fresh", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    rig.dialled().fin();
    expect(rig.client.heard()).toBe(LOST);
    expect(rig.upstreams.dials).toHaveLength(1);
    expect(rig.log()).toEqual([`http GET api.test/a 502 error=${NO_ANSWER}`]);
  });

  test("not when a byte of an answer was seen", () => {
    const rig = new SessionRig();
    const stale = rig.putIdle(KEY);
    rig.client.says(GET);
    stale.says("H").fin();
    expect(rig.client.heard()).toBe(LOST);
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.log()).toEqual([`http GET api.test/a 502 error=${NO_ANSWER}`]);
  });

  test("not when a 103 was seen", () => {
    const rig = new SessionRig();
    const stale = rig.putIdle(KEY);
    rig.client.says(GET);
    stale.says(head("HTTP/1.1 103 Early Hints")).reset();
    expect(rig.client.heard()).toBe(head("HTTP/1.1 103 Early Hints") + LOST);
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.records.map(({ status }) => status)).toEqual([502]);
  });

  for (const method of ["POST", "PATCH"]) {
    test(`not ${method}, of which the socket took bytes`, () => {
      const rig = new SessionRig();
      const stale = rig.putIdle(KEY, 100, { room: 1 });
      rig.client.says(request(method));
      stale.fin();
      expect(rig.client.heard()).toBe(LOST);
      expect(rig.upstreams.dials).toEqual([]);
      expect(rig.log()).toEqual([`http ${method} api.test/a 502 error=${NO_ANSWER}`]);
    });

    test(`also ${method}, of which the socket took no byte`, () => {
      const rig = new SessionRig();
      const stale = rig.putIdle(KEY, 100, { room: 0 });
      rig.client.says(request(method));
      stale.reset();
      const fresh = rig.dialled();
      expect(fresh.heard()).toBe(SENT.replace("GET", method));
      fresh.says(OK);
      expect(rig.client.heard()).toBe(OK);
      expect(rig.log()).toEqual([`http ${method} api.test/a 200`]);
    });
  }

  test("not when its body was on the way: that is not kept", () => {
    const rig = new SessionRig();
    const stale = rig.putIdle(KEY);
    rig.client.says(`${POST}ok`);
    stale.fin();
    expect(rig.client.heard()).toBe(LOST);
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.log()).toEqual([`http POST api.test/a 502 error=${NO_ANSWER}`]);
  });

  test("never without its body: what was at hand of it is gone with the connection", () => {
    const rig = new SessionRig();
    const stale = rig.putIdle(KEY, 100, { room: 0 });
    rig.client.says(`${POST}ok`);
    stale.reset();
    expect(rig.client.heard()).toBe(LOST);
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.log()).toEqual([`http POST api.test/a 502 error=${NO_ANSWER}`]);
  });

  test("with its body, when neither head nor body had left", () => {
    const rig = new SessionRig();
    const stale = rig.putIdle(KEY, 100, { room: 0 });
    rig.client.says(POST);
    stale.reset();
    rig.client.says("ok");
    const fresh = rig.dialled();
    expect(fresh.heard()).toEndWith("\r\n\r\nok");
    fresh.says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.log()).toEqual(["http POST api.test/a 200"]);
  });

  test("and the next request may be sent again too", () => {
    const rig = new SessionRig();
    const first = rig.putIdle(KEY);
    rig.client.says(GET);
    first.fin();
    const second = rig.dialled();
    second.says(OK);
    rig.client.says(GET);
    second.heard();
    second.fin();
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK + OK);
    expect(rig.records.map(({ status }) => status)).toEqual([200, 200]);
  });

  test("with the same bytes: injected once", () => {
    const rig = new SessionRig({ credentials: [credential("api.test", "k", { header: "X-Key" })] });
    const inner = rig.tunnel();
    const stale = rig.putIdle("https://api.test");
    inner.says(head("GET /a HTTP/1.1", "Host: api.test", "TE: trailers"));
    const first = stale.heard();
    stale.fin();
    const fresh = rig.dialled();
    expect(fresh.heard()).toBe(first);
    expect(first.match(/X-Key: k\r\n/g)).toHaveLength(1);
    fresh.says(OK);
    expect(rig.log()).toEqual(["connect GET api.test/a 200"]);
  });
});

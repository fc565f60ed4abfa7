// WebSocket and nothing else: the upgrade request, its 101, the byte tunnel it becomes. Any
// other upgrade is stripped, any other 101 is refused. wire.md section 4.
import { afterEach, describe, expect, test } from "bun:test";
import { credential, finishRigs, head, plainReply, SessionRig } from "../../support/session-rig.ts";

afterEach(finishRigs);

const ASK = head(
  "GET http://api.test/ws HTTP/1.1",
  "Host: api.test",
  "Connection: keep-alive, Upgrade",
  "Upgrade: WebSocket",
  "Sec-WebSocket-Key: k",
);
const SENT = head(
  "GET /ws HTTP/1.1",
  "Host: api.test",
  "Sec-WebSocket-Key: k",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "X-Request-Id: req-1",
);
const SWITCH = head(
  "HTTP/1.1 101 Switching Protocols",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Accept: a",
);
const SWITCHED = head(
  "HTTP/1.1 101 Switching Protocols",
  "Sec-WebSocket-Accept: a",
  "Connection: Upgrade",
  "Upgrade: websocket",
);
const UNASKED = plainReply("502 Bad Gateway", "the upstream switched protocols unasked\n");

describe("an upgrade to WebSocket", () => {
  function switched() {
    const rig = new SessionRig();
    rig.client.says(ASK);
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(SENT);
    upstream.says(SWITCH);
    expect(rig.client.heard()).toBe(SWITCHED);
    return { rig, upstream };
  }

  test("becomes a tunnel: bytes pass both ways as they come", () => {
    const { rig, upstream } = switched();
    rig.client.says("\x81\x02hi");
    expect(upstream.heard()).toBe("\x81\x02hi");
    upstream.says("\x81\x02yo", "\x88\0");
    expect(rig.client.heard()).toBe("\x81\x02yo\x88\0");
    rig.client.fin();
    expect(upstream.state).toBe("fin");
    upstream.says("!").fin();
    expect(rig.client.heard()).toBe("!");
    expect([rig.client.state, upstream.state]).toEqual(["closed", "closed"]);
    expect(rig.upstreams.released).toEqual([]);
    expect(rig.log()).toEqual(["http GET api.test/ws 101"]);
    expect(rig.records[0]).toMatchObject({ requestSize: 4, responseSize: 7 });
  });

  test("has no inactivity limit", () => {
    const { rig, upstream } = switched();
    rig.pass(1_000_000_000);
    rig.client.says("a");
    expect(upstream.heard()).toBe("a");
    rig.client.reset();
    expect(upstream.closed).toBe(true);
    expect(rig.log()).toEqual(["http GET api.test/ws 101"]);
  });

  test("frames in the same chunk as the 101 are passed on behind it", () => {
    const rig = new SessionRig();
    rig.client.says(ASK);
    const upstream = rig.dialled();
    upstream.says(`${SWITCH}early`);
    expect(rig.client.heard()).toBe(`${SWITCHED}early`);
    rig.client.reset();
    expect(rig.log()).toEqual(["http GET api.test/ws 101"]);
  });

  test("frames that the client sends too early wait for the 101", () => {
    const rig = new SessionRig();
    rig.client.says(`${ASK}early`, "more");
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(SENT);
    upstream.says(SWITCH);
    expect(upstream.heard()).toBe("earlymore");
    rig.client.says("now");
    expect(upstream.heard()).toBe("now");
    rig.client.reset();
    expect(rig.records).toMatchObject([{ status: 101, requestSize: 12 }]);
  });

  test("a full client pauses the upstream, and the other way round", () => {
    const { rig, upstream } = switched();
    rig.client.acceptUpTo(1);
    upstream.says("abc", "def");
    expect(rig.client.heard()).toBe("a");
    expect(upstream.paused).toBe(true);
    expect(upstream.unread).toBe(3);
    upstream.acceptUpTo(1);
    rig.client.says("uvw", "xyz");
    expect(upstream.heard()).toBe("u");
    expect(rig.client.unread).toBe(3);
    rig.client.drain();
    upstream.drain();
    expect(rig.client.heard()).toBe("bcdef");
    expect(upstream.heard()).toBe("vwxyz");
    rig.client.reset();
  });

  test("carries the credential and the record names it", () => {
    const rig = new SessionRig({ credentials: [credential("api.test", "k", { header: "X-Key" })] });
    const inner = rig.tunnel();
    inner.says(ASK.replace("http://api.test", ""));
    const upstream = rig.dialled();
    expect(upstream.heard()).toContain("\r\nX-Key: k\r\n");
    upstream.says(SWITCH);
    expect(inner.heard()).toBe(SWITCHED);
    inner.says("ping");
    expect(upstream.heard()).toBe("ping");
    inner.reset();
    expect(upstream.closed).toBe(true);
    expect(rig.log()).toEqual(["connect GET api.test/ws 101"]);
    expect(rig.records[0]?.injectedHeaders).toEqual(["X-Key"]);
  });

  test("that is declined is an ordinary answer", () => {
    const rig = new SessionRig();
    rig.client.says(ASK);
    rig.dialled().says(`${head("HTTP/1.1 403 Forbidden", "Content-Length: 2")}no`);
    expect(rig.client.heard()).toBe(`${head("HTTP/1.1 403 Forbidden", "Content-Length: 2")}no`);
    expect(rig.client.state).toBe("open");
    expect(rig.log()).toEqual(["http GET api.test/ws 403"]);
  });

  test("is never sent twice", () => {
    const rig = new SessionRig();
    const stale = rig.putIdle("http://api.test");
    rig.client.says(ASK);
    stale.fin();
    expect(rig.client.heard()).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.records.map(({ status }) => status)).toEqual([502]);
  });

  test("with a body is 400", () => {
    const rig = new SessionRig();
    rig.client.says(`${ASK.replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\n")}hi`);
    expect(rig.client.heard()).toStartWith("HTTP/1.1 400 Bad Request\r\n");
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.records.map(({ status }) => status)).toEqual([400]);
  });

  test("ends with the proxy", () => {
    const { rig, upstream } = switched();
    rig.stop();
    rig.client.says("still");
    expect(upstream.heard()).toBe("still");
    rig.kill();
    expect(rig.client.closed).toBe(true);
    expect(upstream.closed).toBe(true);
    expect(rig.log()).toEqual(["http GET api.test/ws 101"]);
  });
});

describe("a 101", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["unasked", head("GET http://api.test/ HTTP/1.1", "Host: api.test"), SWITCH],
    [
      "to h2c, asked for and stripped",
      head("GET http://api.test/ HTTP/1.1", "Host: api.test", "Connection: Upgrade", "Upgrade: h2c"),
      SWITCH.replace("websocket", "h2c"),
    ],
    ["to another protocol than asked", ASK, SWITCH.replace("websocket", "h2c")],
    ["without Upgrade", ASK, SWITCH.replace("Upgrade: websocket\r\n", "")],
  ];
  for (const [what, asked, answer] of cases) {
    test(`${what} is 502 and the upstream is destroyed`, () => {
      const rig = new SessionRig();
      rig.client.says(asked);
      const upstream = rig.dialled();
      upstream.says(`${answer}bytes of it`);
      expect(rig.client.heard()).toBe(UNASKED);
      expect(upstream.state).toBe("destroyed");
      expect(rig.client.state).toBe("open");
      expect(rig.records.map(({ status, error }) => [status, error])).toEqual([
        [502, "the upstream switched protocols unasked"],
      ]);
    });
  }
});

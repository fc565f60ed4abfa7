// Tokens put into requests: path, Authorization and a small body that is gathered first, byte for byte as the upstream
// gets them; larger and encoded bodies stream. wire.md section 6 (token substitution).
import { afterEach, describe, expect, test } from "bun:test";
import type { RequestHead } from "../../../src/http1/head.ts";
import { HeaderList } from "../../../src/http1/headers.ts";
import {
  expectsContinue,
  Gathering,
  MAX_GATHERED_BYTES,
  whyNotGathered,
} from "../../../src/proxy/exchange/gathering.ts";
import type { FakeWire } from "../../support/fake-wire.ts";
import {
  credential,
  finishRigs,
  head,
  plainReply,
  type RigOptions,
  ScriptedSlot,
  SessionRig,
  settled,
} from "../../support/session-rig.ts";

afterEach(finishRigs);

const STUB = "stub-token";
const REAL = "real/token+1";
const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;
const CONTINUE = head("HTTP/1.1 100 Continue");

/** A run that puts REAL, or what the slot has, in the place of STUB. */
function substituting(slot: ScriptedSlot = new ScriptedSlot(REAL), more: RigOptions = {}): RigOptions {
  const substitutions = [{ host: "api.test", placeholder: STUB, slot }];
  return { ...more, more: { substitutions, ...more.more } };
}

function opened(options: RigOptions = substituting()): { rig: SessionRig; inner: FakeWire } {
  const rig = new SessionRig(options);
  return { rig, inner: rig.tunnel() };
}

function post(body: string, ...fields: readonly string[]): string {
  return head("POST /p HTTP/1.1", "Host: api.test", ...fields, `Content-Length: ${body.length}`) + body;
}

/** What the upstream gets of post(). */
function posted(id: string, body: string, ...fields: readonly string[]): string {
  const length = `Content-Length: ${body.length}`;
  return head("POST /p HTTP/1.1", "Host: api.test", ...fields, length, `X-Request-Id: ${id}`) + body;
}

describe("a token in the head", () => {
  test("takes the placeholder's place in the path, encoded, never in the query", () => {
    const { rig, inner } = opened();
    inner.says(head(`GET /bot${STUB}/x/${STUB}?q=${STUB} HTTP/1.1`, "Host: api.test"));
    const upstream = rig.dialled();
    const real = "real%2Ftoken+1";
    expect(upstream.heard()).toBe(
      head(`GET /bot${real}/x/${real}?q=${STUB} HTTP/1.1`, "Host: api.test", "X-Request-Id: req-2"),
    );
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
    expect(rig.log()).toEqual([`connect GET api.test/bot${STUB}/x/${STUB} 200`]);
  });

  const authorizations: readonly (readonly [string, string])[] = [
    [`Bearer ${STUB}`, `Bearer ${REAL}`],
    [`token "${STUB}", ${STUB}`, `token "${REAL}", ${REAL}`],
    [`Basic ${btoa(`x:${STUB}`)}`, `Basic ${btoa(`x:${REAL}`)}`],
    [`Basic ${btoa("x:other")}`, `Basic ${btoa("x:other")}`],
    ["Bearer other", "Bearer other"],
  ];
  for (const [sent, received] of authorizations) {
    test(`in Authorization: ${sent}`, () => {
      const { rig, inner } = opened();
      inner.says(head("GET / HTTP/1.1", "Host: api.test", `Authorization: ${sent}`));
      const upstream = rig.dialled();
      expect(upstream.heard()).toBe(
        head("GET / HTTP/1.1", "Host: api.test", `Authorization: ${received}`, "X-Request-Id: req-2"),
      );
      upstream.says(OK);
    });
  }

  test("is not put into another field, nor into a request of another host", () => {
    const rig = new SessionRig(substituting());
    const inner = rig.tunnel("other.test:443");
    inner.says(head(`GET /${STUB} HTTP/1.1`, "Host: other.test", `X-Key: ${STUB}`));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      head(`GET /${STUB} HTTP/1.1`, "Host: other.test", `X-Key: ${STUB}`, "X-Request-Id: req-2"),
    );
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
  });
});

describe("a small body", () => {
  test("gets its tokens, and a Content-Length that fits, in one write with its head", () => {
    const { rig, inner } = opened();
    inner.says(post(`a=${STUB}&b=${STUB}`));
    const upstream = rig.dialled();
    const body = `a=${REAL}&b=${REAL}`;
    expect(upstream.writes).toEqual([posted("req-2", body)]);
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
    expect(rig.upstreams.released).toHaveLength(1);
    expect(rig.records[0]).toMatchObject({
      requestSize: 2 * STUB.length + 5,
      substitutionSkipped: undefined,
      status: 200,
    });
  });

  const types: readonly (readonly [type: string, real: string, put: string])[] = [
    ["application/json; charset=utf-8", 'a"b\\c', 'a\\"b\\\\c'],
    ["application/vnd.api+json", 'a"b', 'a\\"b'],
    ["application/x-www-form-urlencoded", "a&b=c d", "a%26b%3Dc%20d"],
    ["text/plain", 'a"&b', 'a"&b'],
  ];
  for (const [type, real, put] of types) {
    test(`escapes them as ${type} wants it`, () => {
      const { rig, inner } = opened(substituting(new ScriptedSlot(real)));
      inner.says(post(`<${STUB}>`, `Content-Type: ${type}`));
      const upstream = rig.dialled();
      expect(upstream.heard()).toBe(posted("req-2", `<${put}>`, `Content-Type: ${type}`));
      upstream.says(OK);
    });
  }

  test("without one goes on as it came", () => {
    const { rig, inner } = opened();
    inner.says(post("\xff\0 stub-toke"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(posted("req-2", "\xff\0 stub-toke"));
    upstream.says(OK);
  });

  test("that comes in many reads waits until it is whole; nothing is dialled before", () => {
    const { rig, inner } = opened();
    const whole = post(`{"key":"${STUB}"}`, "Content-Type: application/json");
    inner.saysByteByByte(whole.slice(0, -1));
    expect(rig.upstreams.dials).toEqual([]);
    inner.says(whole.slice(-1));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(posted("req-2", `{"key":"${REAL}"}`, "Content-Type: application/json"));
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
  });

  test("does not swallow the next request behind it", () => {
    const { rig, inner } = opened();
    inner.says(post(STUB) + head("GET /next HTTP/1.1", "Host: api.test") + post(`2${STUB}`));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(posted("req-2", REAL));
    upstream.says(OK);
    expect(upstream.heard()).toBe(head("GET /next HTTP/1.1", "Host: api.test", "X-Request-Id: req-3"));
    upstream.says(OK);
    expect(upstream.heard()).toBe(posted("req-4", `2${REAL}`));
    upstream.says(OK);
    expect(inner.heard()).toBe(OK + OK + OK);
    expect(rig.records).toHaveLength(3);
  });

  test("of no bytes is none: the request goes on at once", () => {
    const { rig, inner } = opened();
    inner.says(post(""));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(posted("req-2", ""));
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
  });

  test("of 64 KiB is still a small one", () => {
    const { rig, inner } = opened();
    const filling = "x".repeat(MAX_GATHERED_BYTES - STUB.length);
    inner.says(post(filling + STUB));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(posted("req-2", filling + REAL));
    upstream.says(OK);
  });

  test("of an HTTP/1.0 client", () => {
    const { rig, inner } = opened();
    inner.says(`${head("POST /p HTTP/1.0", `Content-Length: ${STUB.length}`)}${STUB}`);
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      `${head("POST /p HTTP/1.1", `Content-Length: ${REAL.length}`, "Host: api.test", "X-Request-Id: req-2")}${REAL}`,
    );
    upstream.says(OK);
    expect(inner.heard()).toBe(`${head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close")}ok`);
    expect(inner.state).toBe("fin");
  });

  test("a slow upstream gets all of it, and the answer comes when it comes", () => {
    const { rig, inner } = opened();
    inner.says(post(`${"x".repeat(1000)}${STUB}`));
    const upstream = rig.dialled({ room: 100 });
    upstream.drain();
    expect(upstream.heard()).toBe(posted("req-2", `${"x".repeat(1000)}${REAL}`));
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
    expect(rig.upstreams.released).toHaveLength(1);
  });

  test("an upstream that answers early is not reused with the rest of the body unsent", () => {
    const { rig, inner } = opened();
    inner.says(post(`${"x".repeat(1000)}${STUB}`));
    const upstream = rig.dialled({ room: 100 });
    const no = head("HTTP/1.1 413 Content Too Large", "Connection: close", "Content-Length: 0");
    upstream.says(no);
    expect(inner.heard()).toBe(head("HTTP/1.1 413 Content Too Large", "Content-Length: 0"));
    expect(rig.upstreams.released).toEqual([]);
    expect(upstream.state).toBe("destroyed");
    expect(inner.state).toBe("open");
  });
});

describe("Expect: 100-continue", () => {
  for (const expectation of ["100-continue", "100-Continue"]) {
    test(`${expectation} is answered by us, and goes no further`, () => {
      const { rig, inner } = opened();
      const whole = post(STUB, `Expect: ${expectation}`);
      const cut = whole.length - STUB.length;
      inner.says(whole.slice(0, cut));
      expect(inner.heard()).toBe(CONTINUE);
      expect(rig.upstreams.dials).toEqual([]);
      inner.says(whole.slice(cut));
      const upstream = rig.dialled();
      expect(upstream.heard()).toBe(posted("req-2", REAL));
      upstream.says(OK);
      expect(inner.heard()).toBe(OK);
      inner.says(head("GET / HTTP/1.1", "Host: api.test"));
      upstream.says(OK);
      expect(inner.heard()).toBe(OK);
      expect(rig.records).toHaveLength(2);
    });
  }

  test("a refusal comes instead of the 100, and the connection ends: nobody knows what follows", () => {
    const { rig, inner } = opened(
      substituting(undefined, { network: { rules: [{ host: "api.test", rules: ["deny * /**"] }] } }),
    );
    inner.says(post(STUB, "Expect: 100-continue").slice(0, -STUB.length));
    expect(inner.heard()).toContain("HTTP/1.1 403 ");
    expect(inner.state).toBe("fin");
    expect(rig.upstreams.dials).toEqual([]);
  });

  test("of HTTP/1.0 is no expectation, and is not passed on either", () => {
    const { rig, inner } = opened();
    inner.says(
      `${head("POST /p HTTP/1.0", "Expect: 100-continue", `Content-Length: ${STUB.length}`)}${STUB}`,
    );
    const upstream = rig.dialled();
    expect(upstream.heard()).not.toContain("Expect");
    expect(inner.heard()).toBe("");
    upstream.says(OK);
  });

  test("of a body that is not gathered is the upstream's to answer", () => {
    const { rig, inner } = opened();
    inner.says(head("POST /p HTTP/1.1", "Host: api.test", "Expect: 100-continue", "Content-Length: 70000"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toContain("\r\nExpect: 100-continue\r\n");
    expect(inner.heard()).toBe("");
    upstream.says(CONTINUE);
    expect(inner.heard()).toBe(CONTINUE);
  });
});

describe("a body that streams unchanged", () => {
  const big = STUB + "x".repeat(MAX_GATHERED_BYTES + 1 - STUB.length);

  test("over 64 KiB: span by span, and the record says why", () => {
    const { rig, inner } = opened();
    const whole = post(big);
    inner.says(whole.slice(0, 100));
    const upstream = rig.dialled();
    inner.says(whole.slice(100));
    expect(upstream.heard()).toBe(posted("req-2", big));
    upstream.says(OK);
    expect(rig.records[0]).toMatchObject({ substitutionSkipped: "body over 64 KiB", status: 200 });
  });

  test("chunked: each chunk as it comes, and the record says why", () => {
    const { rig, inner } = opened();
    inner.says(head("POST /p HTTP/1.1", "Host: api.test", "Transfer-Encoding: chunked"));
    const upstream = rig.dialled();
    upstream.heard();
    inner.says(`a\r\n${STUB}\r\n`);
    expect(upstream.heard()).toBe(`a\r\n${STUB}\r\n`);
    inner.says("0\r\n\r\n");
    expect(upstream.heard()).toBe("0\r\n\r\n");
    upstream.says(OK);
    expect(rig.records[0]).toMatchObject({ substitutionSkipped: "body without a length" });
  });

  test("encoded: byte for byte, and the record says why", () => {
    const { rig, inner } = opened();
    inner.says(post(STUB, "Content-Encoding: gzip"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(posted("req-2", STUB, "Content-Encoding: gzip"));
    upstream.says(OK);
    expect(rig.records[0]).toMatchObject({ substitutionSkipped: "encoded body" });
  });

  test("still gets its token in path and Authorization", () => {
    const { rig, inner } = opened();
    inner.says(
      head(
        `POST /${STUB} HTTP/1.1`,
        "Host: api.test",
        `Authorization: ${STUB}`,
        "Transfer-Encoding: chunked",
      ),
    );
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      head(
        "POST /real%2Ftoken+1 HTTP/1.1",
        "Host: api.test",
        `Authorization: ${REAL}`,
        "Transfer-Encoding: chunked",
        "X-Request-Id: req-2",
      ),
    );
  });

  test("of a host without substitutions is no skipped one", () => {
    const { rig, inner } = opened({});
    inner.says(post(STUB, "Content-Encoding: gzip"));
    const upstream = rig.dialled();
    upstream.says(OK);
    expect(rig.records[0]?.substitutionSkipped).toBeUndefined();
  });
});

describe("a token in an answer", () => {
  test("becomes its placeholder in fields, interim answers and trailers; the body is left", () => {
    const { rig, inner } = opened();
    inner.says(head("GET / HTTP/1.1", "Host: api.test"));
    const upstream = rig.dialled();
    upstream.says(
      head("HTTP/1.1 103 Early Hints", `Link: <${REAL}>`),
      head("HTTP/1.1 200 OK", `X-A: <${REAL}> ${encodeURIComponent(REAL)}`, "Transfer-Encoding: chunked"),
      `${REAL.length.toString(16)}\r\n${REAL}\r\n0\r\nX-T: ${REAL}\r\n\r\n`,
    );
    expect(inner.heard()).toBe(
      head("HTTP/1.1 103 Early Hints", `Link: <${STUB}>`) +
        head("HTTP/1.1 200 OK", `X-A: <${STUB}> ${STUB}`, "Transfer-Encoding: chunked") +
        `${REAL.length.toString(16)}\r\n${REAL}\r\n0\r\nX-T: ${STUB}\r\n\r\n`,
    );
    expect(rig.upstreams.released).toHaveLength(1);
  });

  test("that looks like a length does not change how long the answer is", () => {
    const { rig, inner } = opened(substituting(new ScriptedSlot("1234")));
    inner.says(head("GET / HTTP/1.1", "Host: api.test"));
    const upstream = rig.dialled();
    upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 1234", "X-A: 1234") + "x".repeat(1234));
    expect(inner.heard()).toBe(
      head("HTTP/1.1 200 OK", "Content-Length: 1234", `X-A: ${STUB}`) + "x".repeat(1234),
    );
  });

  test("is looked for as it was sent, even when the secret is another by then", () => {
    const slot = new ScriptedSlot("first-secret");
    const { rig, inner } = opened(substituting(slot));
    inner.says(head(`GET /${STUB} HTTP/1.1`, "Host: api.test"));
    const upstream = rig.dialled();
    slot.resolve("second-secret");
    upstream.says(head("HTTP/1.1 302 Found", "Location: /first-secret", "Content-Length: 0"));
    expect(inner.heard()).toBe(head("HTTP/1.1 302 Found", `Location: /${STUB}`, "Content-Length: 0"));
  });

  test("is hidden in a 101", () => {
    const { rig, inner } = opened();
    inner.says(head("GET / HTTP/1.1", "Host: api.test", "Connection: Upgrade", "Upgrade: websocket"));
    const upstream = rig.dialled();
    upstream.says(
      head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", `X-A: ${REAL}`),
    );
    expect(inner.heard()).toBe(
      head("HTTP/1.1 101 Switching Protocols", `X-A: ${STUB}`, "Connection: Upgrade", "Upgrade: websocket"),
    );
  });
});

describe("a client that goes away while its body is gathered", () => {
  for (const how of ["reset", "fin"] as const) {
    test(`by ${how} is recorded, and nothing was dialled`, () => {
      const { rig, inner } = opened();
      inner.says(post(STUB).slice(0, -1));
      inner[how]();
      expect(rig.upstreams.dials).toEqual([]);
      expect(rig.records).toMatchObject([
        { method: "POST", status: 0, requestSize: STUB.length - 1, error: undefined },
      ]);
    });
  }

  test("in the clear by a half-close behind the whole body still gets its answer", () => {
    const run = { credentials: [credential("api.test", "s", { allowCleartext: true })] };
    const rig = new SessionRig(substituting(undefined, run));
    const whole = post(STUB).replace("POST /p", "POST http://api.test/p");
    rig.client.says(whole).fin();
    const upstream = rig.dialled({ privatePeer: true });
    upstream.says(OK);
    expect(rig.client.heard()).toBe(`${head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close")}ok`);
    expect(rig.records).toHaveLength(1);
  });
});

describe("an idle connection that its server has closed", () => {
  test("costs a gathered body nothing when the socket took no byte of it", () => {
    const { rig, inner } = opened();
    const idle = rig.upstreams.putIdle(rig.run, rig.target("https://api.test:443"), 100, { room: 0 });
    inner.says(post(STUB));
    idle.reset();
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(posted("req-2", REAL));
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
    expect(rig.records).toHaveLength(1);
  });

  test("fails a gathered POST of which a byte has left: it is not sent twice", () => {
    const { rig, inner } = opened();
    const idle = rig.upstreams.putIdle(rig.run, rig.target("https://api.test:443"), 100);
    inner.says(post(STUB));
    expect(idle.heard()).toBe(posted("req-2", REAL));
    idle.reset();
    expect(rig.upstreams.dials).toEqual([]);
    expect(inner.heard()).toBe(
      plainReply("502 Bad Gateway", "the upstream closed the connection without a complete answer\n"),
    );
    expect(inner.state).toBe("open");
  });

  test("is not taken for a gathered POST when it has been idle for 2 s", () => {
    const { rig, inner } = opened();
    const idle = rig.upstreams.putIdle(rig.run, rig.target("https://api.test:443"), 2_000);
    inner.says(post(STUB));
    expect(idle.heard()).toBe("");
    rig.dialled().says(OK);
    expect(inner.heard()).toBe(OK);
  });

  test("costs a GET with a token in its path nothing, and the token is put in once", () => {
    const { rig, inner } = opened();
    const idle = rig.upstreams.putIdle(rig.run, rig.target("https://api.test:443"), 30_000);
    inner.says(head(`GET /${STUB} HTTP/1.1`, "Host: api.test"));
    const sent = head("GET /real%2Ftoken+1 HTTP/1.1", "Host: api.test", "X-Request-Id: req-2");
    expect(idle.heard()).toBe(sent);
    idle.fin();
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(sent);
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
  });
});

describe("a token that is not at hand", () => {
  test("is fetched once the body is whole, and then all goes on", async () => {
    const slot = new ScriptedSlot();
    const { rig, inner } = opened(substituting(slot));
    inner.says(post(STUB).slice(0, -1));
    expect(slot.refreshes).toBe(0);
    inner.says(post(STUB).slice(-1));
    expect(slot.refreshes).toBe(1);
    expect(rig.upstreams.dials).toEqual([]);
    slot.resolve(REAL);
    await settled();
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(posted("req-2", REAL));
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
  });

  test("that cannot be fetched is 502, and the connection goes on", async () => {
    const slot = new ScriptedSlot();
    const { rig, inner } = opened(substituting(slot));
    inner.says(post(STUB));
    slot.reject(new Error("the process said no"));
    await settled();
    expect(inner.heard()).toBe(plainReply("502 Bad Gateway", "credential resolution failed\n"));
    expect(inner.state).toBe("open");
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.log()).toEqual([
      "connect POST api.test/p 502 error=credential resolution failed: the process said no",
    ]);
  });

  test("that never comes is 502 after 30 s", async () => {
    const slot = new ScriptedSlot();
    const { rig, inner } = opened(substituting(slot));
    inner.says(post(STUB));
    rig.pass(29_999);
    expect(inner.heard()).toBe("");
    rig.pass(1);
    expect(inner.heard()).toBe(plainReply("502 Bad Gateway", "credential resolution failed\n"));
    slot.resolve(REAL);
    await settled();
    expect(rig.upstreams.dials).toEqual([]);
  });

  test("of a client that leaves meanwhile is of no interest", async () => {
    const slot = new ScriptedSlot();
    const { rig, inner } = opened(substituting(slot));
    inner.says(post(STUB));
    inner.reset();
    slot.resolve(REAL);
    await settled();
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.records).toMatchObject([{ status: 0, error: undefined }]);
  });

  test("is fetched anew when the upstream has refused it", () => {
    const refused: unknown[] = [];
    const slot = Object.assign(new ScriptedSlot(REAL), {
      invalidate: (secret: unknown) => void refused.push(secret),
    });
    const { rig, inner } = opened(substituting(slot));
    inner.says(post(STUB));
    rig.dialled().says(head("HTTP/1.1 401 Unauthorized", "Content-Length: 0"));
    expect(inner.heard()).toBe(head("HTTP/1.1 401 Unauthorized", "Content-Length: 0"));
    expect(refused).toEqual([slot.current()]);
  });

  test("that cannot be sent is 502 and in no log", () => {
    const { rig, inner } = opened(substituting(new ScriptedSlot("bad\r\nX-Evil: 1")));
    inner.says(head(`GET /${STUB} HTTP/1.1`, "Host: api.test"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe("");
    expect(inner.heard()).toBe(plainReply("502 Bad Gateway", "credential resolution failed\n"));
    expect(JSON.stringify(rig.records)).not.toContain("X-Evil");
  });
});

describe("the order of what is done to a head", () => {
  const base: RigOptions = {
    credentials: [credential("api.test", "injected", { header: "X-Key" })],
    more: {
      removeHeaders: [
        { host: "api.test", header: "X-Key" },
        { host: "api.test", header: "X-Gone" },
        { host: "api.test", header: "X-Beta" },
      ],
      substitutions: [{ host: "api.test", placeholder: STUB, slot: new ScriptedSlot(REAL) }],
      extraHeaders: [
        { host: "api.test", header: "X-Beta", value: "ours" },
        { host: "api.test", header: "X-More", value: "ours" },
        { host: "api.test", header: "X-Key", value: "never" },
        { host: "api.test", header: "X-New", value: STUB },
      ],
    },
  };

  test("is remove, substitute, inject, extra; nothing is appended to a credential", () => {
    const { rig, inner } = opened(base);
    inner.says(
      head(
        "GET / HTTP/1.1",
        "Host: api.test",
        "X-Key: mine",
        "X-Gone: 1",
        "X-Beta: mine",
        "X-More: mine",
        "X-More: too",
        `Authorization: ${STUB}`,
      ),
    );
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      head(
        "GET / HTTP/1.1",
        "Host: api.test",
        "X-More: mine, too, ours",
        `Authorization: ${REAL}`,
        "X-Request-Id: req-2",
        "X-Key: injected",
        "X-Beta: ours",
        `X-New: ${STUB}`,
      ),
    );
    upstream.says(OK);
    expect(rig.records[0]?.injectedHeaders).toEqual(["X-Key"]);
  });

  test("a removed Authorization has no placeholder any more; an injected one stays whole", () => {
    const { rig, inner } = opened({
      credentials: [credential("api.test", `${STUB}-of-ours`)],
      more: {
        removeHeaders: [{ host: "api.test", header: "Authorization" }],
        substitutions: [{ host: "api.test", placeholder: STUB, slot: new ScriptedSlot(REAL) }],
      },
    });
    inner.says(head("GET / HTTP/1.1", "Host: api.test", `Authorization: ${STUB}`));
    expect(rig.dialled().heard()).toBe(
      head(
        "GET / HTTP/1.1",
        "Host: api.test",
        "X-Request-Id: req-2",
        `Authorization: Bearer ${STUB}-of-ours`,
      ),
    );
  });

  test("a trailer adds nothing to a credential", () => {
    const { rig, inner } = opened(base);
    inner.says(
      head("POST / HTTP/1.1", "Host: api.test", "Transfer-Encoding: chunked"),
      "0\r\nX-Key: mine\r\nX-Sum: 1\r\n\r\n",
    );
    const upstream = rig.dialled();
    expect(upstream.heard()).toEndWith("\r\n\r\n0\r\nX-Sum: 1\r\n\r\n");
    upstream.says(OK);
  });
});

describe("cleartext", () => {
  test("a token goes to no public address in the clear", () => {
    const rig = new SessionRig(substituting());
    rig.client.says(post(STUB).replace("POST /p", "POST http://api.test/p"));
    expect(rig.dial().privateOnly).toBe(true);
    rig.dial().connect({ privatePeer: true }).says(OK);
    expect(rig.client.heard()).toBe(OK);
  });

  test("an idle connection to a public address is no way around", () => {
    const rig = new SessionRig(substituting());
    const idle = rig.upstreams.putIdle(rig.run, rig.target("http://api.test:80"), 10);
    rig.client.says(post(STUB).replace("POST /p", "POST http://api.test/p"));
    expect(idle.heard()).toBe("");
    expect(rig.client.heard()).toContain("X-Moat-Blocked: cleartext-credential");
  });
});

describe("whether a body is gathered", () => {
  function request(minor: 0 | 1, ...fields: readonly (readonly [string, string])[]): RequestHead {
    const headers = new HeaderList();
    for (const [name, value] of fields) headers.push(name, value);
    return { method: "POST", target: "/", minor, headers };
  }

  test("is a matter of length and coding", () => {
    const plain = request(1);
    expect(whyNotGathered(plain, { kind: "none" })).toBeUndefined();
    expect(whyNotGathered(plain, { kind: "length", length: 65_536 })).toBeUndefined();
    expect(whyNotGathered(plain, { kind: "length", length: 65_537 })).toBe("body over 64 KiB");
    expect(whyNotGathered(plain, { kind: "chunked" })).toBe("body without a length");
    const length = { kind: "length", length: 1 } as const;
    expect(whyNotGathered(request(1, ["Content-Encoding", " Identity "]), length)).toBeUndefined();
    expect(whyNotGathered(request(1, ["Content-Encoding", "identity, br"]), length)).toBe("encoded body");
    expect(
      whyNotGathered(request(1, ["Content-Encoding", "identity"], ["Content-Encoding", "br"]), length),
    ).toBe("encoded body");
  });

  test("and who waits for a 100 is who says so, of HTTP/1.1", () => {
    expect(expectsContinue(request(1))).toBe(false);
    expect(expectsContinue(request(1, ["Expect", "100-CONTINUE"]))).toBe(true);
    expect(expectsContinue(request(0, ["Expect", "100-continue"]))).toBe(false);
    expect(expectsContinue(request(1, ["Expect", "200-ok"]))).toBe(false);
  });

  test("what is gathered comes out as it went in", () => {
    const gathering = new Gathering({ kind: "length", length: 3 });
    expect(gathering.whole()).toEqual(Buffer.alloc(0));
    gathering.push(Buffer.from("ab"));
    gathering.push(Buffer.from("c"));
    expect(gathering.whole().toString()).toBe("abc");
  });
});

// One request and its answer seen from both sides: what it waits for and how long, where a credential may go, and what
// the client hears when it fails. wire.md sections 4, 6 and 14.
import { afterEach, describe, expect, test } from "bun:test";
import { ProxyError } from "../../../src/values/errors.ts";
import {
  credential,
  dialFailed,
  finishRigs,
  head,
  plainReply,
  ScriptedSlot,
  SessionRig,
  settled,
} from "../../support/session-rig.ts";

afterEach(finishRigs);

const KEY = "http://api.test";
const GET = head("GET http://api.test/a HTTP/1.1", "Host: api.test");
const SENT = head("GET /a HTTP/1.1", "Host: api.test", "X-Request-Id: req-1");
const POST = head("POST http://api.test/a HTTP/1.1", "Host: api.test", "Content-Length: 2");
const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;

describe("a dial", () => {
  test("that fails is 502 without an errno or address; the client may go on", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    rig.dial().fail(dialFailed());
    expect(rig.client.heard()).toBe(plainReply("502 Bad Gateway", "cannot connect to the upstream\n"));
    expect(rig.log()).toEqual([
      "http GET api.test/a 502 error=cannot connect to the upstream: ECONNREFUSED 192.0.2.1",
    ]);
    rig.client.says(GET);
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.records.map(({ status }) => status)).toEqual([502, 200]);
  });

  for (const [code, status, blocked] of [
    ["certificate-rejected", 502, ""],
    ["destination", 403, "destination"],
    ["cleartext-credential", 403, "cleartext-credential"],
  ] as const) {
    test(`that ends with ${code} is ${status}, inside the tunnel, which stays`, () => {
      const rig = new SessionRig();
      const inner = rig.tunnel();
      inner.says(head("GET / HTTP/1.1", "Host: api.test"));
      rig.dial().fail(new ProxyError(code, "no"));
      const heard = inner.heard();
      expect(heard).toStartWith(`HTTP/1.1 ${status} `);
      expect(heard.includes("X-Moat-Blocked: ") ? blocked : "").toBe(blocked);
      expect(heard).not.toContain("Connection: close");
      inner.says(head("GET / HTTP/1.1", "Host: api.test"));
      rig.dialled().says(OK);
      expect(inner.heard()).toBe(OK);
      expect(rig.records.map((record) => record.status)).toEqual([status, 200]);
    });
  }

  test("is cancelled when the client leaves, and nothing is written", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    const dial = rig.dial();
    rig.client.reset();
    expect(dial.state).toBe("cancelled");
    expect(rig.log()).toEqual(["http GET api.test/a 0"]);
  });

  test("is awaited for a client that half-closed", () => {
    const rig = new SessionRig();
    rig.client.says(GET).fin();
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(SENT);
    upstream.says(OK);
    expect(rig.client.heard()).toBe(`${head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close")}ok`);
    expect(rig.client.state).toBe("closed");
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });
});

describe("a credential over plain http", () => {
  const credentials = [credential("api.test", "k")];
  const refused = plainReply(
    "403 Forbidden",
    "Moat: a credential is not sent over plain http:// to a public address.\n",
    "X-Moat-Blocked: cleartext-credential",
  );

  test("goes to private addresses only", () => {
    const rig = new SessionRig({ credentials });
    rig.client.says(GET);
    expect(rig.dial().privateOnly).toBe(true);
    const upstream = rig.dialled({ privatePeer: true });
    expect(upstream.heard()).toContain("\r\nAuthorization: Bearer k\r\n");
    upstream.says(OK);
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("does not go over an idle connection to a public address", () => {
    const rig = new SessionRig({ credentials });
    const idle = rig.putIdle(KEY);
    rig.client.says(GET);
    expect(idle.heard()).toBe("");
    expect(rig.client.heard()).toBe(refused);
    expect(rig.log()).toEqual(["http GET api.test/a 403 denied=cleartext-credential"]);
  });

  test("goes over an idle connection to a private one", () => {
    const rig = new SessionRig({ credentials });
    const idle = rig.putIdle(KEY, 0, { privatePeer: true });
    rig.client.says(GET);
    expect(idle.heard()).toContain("\r\nAuthorization: Bearer k\r\n");
    idle.says(OK);
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("goes anywhere when it says allow_cleartext", () => {
    const rig = new SessionRig({ credentials: [credential("api.test", "k", { allowCleartext: true })] });
    rig.client.says(GET);
    expect(rig.dial().privateOnly).toBe(false);
    expect(rig.dialled().heard()).toContain("\r\nAuthorization: Bearer k\r\n");
    rig.client.reset();
  });

  test("is under the same rule in a tunnel to a plain port", () => {
    const rig = new SessionRig({ credentials });
    rig.plainTunnel().says(head("GET / HTTP/1.1", "Host: api.test"));
    expect(rig.dial().privateOnly).toBe(true);
    rig.client.reset();
    expect(rig.log()).toEqual(["connect GET api.test/ 0"]);
  });

  test("over https is free", () => {
    const rig = new SessionRig({ credentials });
    rig.tunnel().says(head("GET / HTTP/1.1", "Host: api.test"));
    expect(rig.dial().privateOnly).toBe(false);
    expect(rig.dialled().heard()).toContain("\r\nAuthorization: Bearer k\r\n");
    rig.client.reset();
  });
});

describe("a credential that is not at hand", () => {
  const FAILED = plainReply("502 Bad Gateway", "credential resolution failed\n");

  function waiting() {
    const slot = new ScriptedSlot();
    const rig = new SessionRig({ credentials: [credential("api.test", slot, { allowCleartext: true })] });
    rig.client.says(GET);
    return { rig, slot };
  }

  test("is awaited before anything is dialled", async () => {
    const { rig, slot } = waiting();
    await settled();
    expect(slot.refreshes).toBe(1);
    expect(rig.upstreams.dials).toEqual([]);
    slot.resolve("late");
    await settled();
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      head("GET /a HTTP/1.1", "Host: api.test", "X-Request-Id: req-1", "Authorization: Bearer late"),
    );
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("and cannot be had is 502; the client may go on", async () => {
    const { rig, slot } = waiting();
    slot.reject(
      new ProxyError("credential-failed", "credential resolution failed", new Error("no such var")),
    );
    await settled();
    expect(rig.client.heard()).toBe(FAILED);
    expect(rig.client.state).toBe("open");
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.log()).toEqual(["http GET api.test/a 502 error=credential resolution failed: no such var"]);
  });

  test("for a client that leaves meanwhile is not sent anywhere", async () => {
    const { rig, slot } = waiting();
    rig.client.reset();
    slot.resolve("late");
    await settled();
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.client.writes).toEqual([]);
    expect(rig.log()).toEqual(["http GET api.test/a 0"]);
  });

  test("is given up after 30 s, and a late one changes nothing", async () => {
    const { rig, slot } = waiting();
    rig.pass(29_999);
    expect(rig.client.heard()).toBe("");
    rig.pass(1);
    expect(rig.client.heard()).toBe(FAILED);
    slot.resolve("late");
    await settled();
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.client.heard()).toBe("");
    expect(rig.log()).toEqual(["http GET api.test/a 502 error=credential resolution failed: timed out"]);
  });

  test("does not hold up a request to another host on another connection", async () => {
    const { rig } = waiting();
    const other = rig.connectClient();
    other.says(GET.replaceAll("api.test", "other.test"));
    rig.dialled().says(OK);
    expect(other.heard()).toBe(OK);
    expect(rig.log()).toEqual(["http GET other.test/a 200"]);
  });

  test("keeps the client's body outside", async () => {
    const slot = new ScriptedSlot();
    const rig = new SessionRig({ credentials: [credential("api.test", slot, { allowCleartext: true })] });
    rig.client.says(POST, "o", "k");
    expect(rig.client.unread).toBeLessThanOrEqual(1);
    expect(rig.client.paused).toBe(true);
    slot.resolve("late");
    await settled();
    const upstream = rig.dialled();
    await settled();
    expect(upstream.heard()).toEndWith("\r\n\r\nok");
    upstream.says(OK);
    expect(rig.log()).toEqual(["http POST api.test/a 200"]);
  });
});

describe("an upstream that does not answer", () => {
  const LATE = plainReply("504 Gateway Timeout", "the upstream did not answer in time\n");

  test("is given up after 15 minutes: 504, and the client may go on", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    const upstream = rig.dialled();
    rig.pass(899_999);
    expect(rig.client.heard()).toBe("");
    rig.pass(1);
    expect(rig.client.heard()).toBe(LATE);
    expect(rig.client.state).toBe("open");
    expect(upstream.state).toBe("destroyed");
    expect(rig.log()).toEqual(["http GET api.test/a 504 error=the upstream did not answer in time"]);
  });

  test("is given up although it said 100", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    const upstream = rig.dialled();
    upstream.says(head("HTTP/1.1 100 Continue"));
    rig.pass(900_000);
    expect(rig.client.heard()).toBe(head("HTTP/1.1 100 Continue") + LATE);
    expect(rig.records.map(({ status }) => status)).toEqual([504]);
  });

  test("is not to blame while the client owes it body bytes, however long", () => {
    const rig = new SessionRig({ limits: { responseHeaderMs: 1_000 } });
    rig.client.says(POST);
    const upstream = rig.dialled();
    rig.pass(10_000_000);
    rig.client.says("o");
    rig.pass(10_000_000);
    rig.client.says("k");
    rig.pass(900);
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.log()).toEqual(["http POST api.test/a 200"]);
  });

  test("is given up when the client's body waits for a 100 that does not come", () => {
    const rig = new SessionRig({ limits: { responseHeaderMs: 1_000 } });
    rig.client.says(
      head("POST http://api.test/a HTTP/1.1", "Host: api.test", "Expect: 100-continue", "Content-Length: 2"),
    );
    rig.dialled();
    rig.pass(1_100);
    expect(rig.client.heard()).toStartWith("HTTP/1.1 504 ");
  });

  test("has as long after the last body byte it was sent", () => {
    const rig = new SessionRig({ limits: { responseHeaderMs: 1_000 } });
    rig.client.says(POST);
    const upstream = rig.dialled();
    rig.pass(900);
    rig.client.says("o");
    rig.pass(900);
    rig.client.says("k");
    rig.pass(900);
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.log()).toEqual(["http POST api.test/a 200"]);
  });

  test("has no limit once its head is there", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    const upstream = rig.dialled();
    upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 2"));
    rig.pass(100_000_000);
    upstream.says("ok");
    expect(rig.client.heard()).toBe(OK);
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });
});

// What runs for a token ends when the token is no longer good, without anybody asking for it: streams, WebSockets,
// opaque tunnels, requests that wait. wire.md section 4.
import { afterEach, describe, expect, test } from "bun:test";
import type { Runs } from "../../src/proxy/ports.ts";
import type { RunContext } from "../../src/run/run-context.ts";
import { ProxyError } from "../../src/values/errors.ts";
import type { FakeWire } from "../support/fake-wire.ts";
import {
  credential,
  ESTABLISHED,
  finishRigs,
  head,
  makeRun,
  plainReply,
  type RigOptions,
  ScriptedRuns,
  ScriptedSlot,
  SessionRig,
  settled,
} from "../support/session-rig.ts";

afterEach(finishRigs);

const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;
const GONE = plainReply(
  "403 Forbidden",
  "Moat: the run of this tunnel has ended.\n",
  "X-Moat-Blocked: run",
  "Connection: close",
);
const TOKEN = "Proxy-Authorization: Bearer t1";

interface Revocable {
  readonly rig: SessionRig;
  readonly runs: ScriptedRuns;
}

function revocable(options: RigOptions = {}): Revocable {
  const runs = new ScriptedRuns(makeRun(options), true);
  return { rig: new SessionRig({ ...options, runs }), runs };
}

function streaming(options: RigOptions = {}): Revocable & { upstream: FakeWire; inner: FakeWire } {
  const one = revocable(options);
  const inner = one.rig.tunnel("api.test:443", TOKEN);
  inner.says(head("GET /stream HTTP/1.1", "Host: api.test"));
  const upstream = one.rig.dialled();
  upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 1000"), "begun");
  inner.heard();
  return { ...one, upstream, inner };
}

describe("a run that is gone", () => {
  test("ends a running answer with a cut, within one sweep, and the record says why", () => {
    const { rig, runs, upstream, inner } = streaming();
    rig.sweepRuns();
    expect(inner.state).toBe("open");
    runs.answer = undefined;
    rig.sweepRuns();
    expect([inner.state, upstream.state]).toEqual(["destroyed", "destroyed"]);
    expect(inner.heard()).toBe("");
    expect(rig.log()).toEqual(["connect GET api.test/stream 200 denied=run-revoked"]);
  });

  test("ends a WebSocket", () => {
    const { rig, runs } = revocable();
    const inner = rig.tunnel("api.test:443", TOKEN);
    inner.says(head("GET /ws HTTP/1.1", "Host: api.test", "Connection: Upgrade", "Upgrade: websocket"));
    const upstream = rig.dialled();
    upstream.says(head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"));
    inner.says("frame");
    expect(upstream.heard()).toEndWith("frame");
    rig.sweepRuns();
    expect(inner.state).toBe("open");
    runs.answer = undefined;
    rig.sweepRuns();
    expect([inner.state, upstream.state]).toEqual(["destroyed", "destroyed"]);
    expect(rig.log()).toEqual(["connect GET api.test/ws 101 denied=run-revoked"]);
  });

  test("ends an opaque tunnel", () => {
    const { rig, runs } = revocable({ intercept: false });
    rig.client.says(head("CONNECT api.test:443 HTTP/1.1", "Host: api.test:443", TOKEN));
    const upstream = rig.dialled();
    expect(rig.client.heard()).toBe(ESTABLISHED);
    rig.sweepRuns();
    expect(rig.client.state).toBe("open");
    runs.answer = undefined;
    rig.sweepRuns();
    expect([rig.client.state, upstream.state]).toEqual(["destroyed", "destroyed"]);
    expect(rig.log()).toEqual(["connect CONNECT api.test 200 denied=run-revoked"]);
    expect(rig.deps.lifecycle.tunnels).toBe(0);
  });

  test("ends an opaque tunnel that is still being dialled with a reply", () => {
    const { rig, runs } = revocable({ intercept: false });
    rig.client.says(head("CONNECT api.test:443 HTTP/1.1", "Host: api.test:443", TOKEN));
    runs.answer = undefined;
    rig.sweepRuns();
    expect(rig.client.heard()).toBe(GONE);
    expect(rig.upstreams.pending).toEqual([]);
  });

  const waits: readonly (readonly [what: string, reach: (rig: SessionRig) => void])[] = [
    ["the dial", () => undefined],
    ["the first byte of its answer", (rig) => void rig.dialled()],
  ];
  for (const [what, reach] of waits) {
    test(`answers a request that waits for ${what} with 403, and closes`, () => {
      const { rig, runs } = revocable();
      const inner = rig.tunnel("api.test:443", TOKEN);
      inner.says(head("GET /a HTTP/1.1", "Host: api.test"));
      reach(rig);
      runs.answer = undefined;
      rig.sweepRuns();
      expect(inner.heard()).toBe(GONE);
      expect(inner.state).toBe("fin");
      expect(rig.upstreams.pending).toEqual([]);
      expect(rig.log()).toEqual(["connect GET api.test/a 403 denied=run-revoked"]);
    });
  }

  test("answers a request that waits for its secret, or for its own body, with 403", async () => {
    const slot = new ScriptedSlot();
    for (const options of [
      { credentials: [credential("api.test", slot)] },
      { more: { substitutions: [{ host: "api.test", placeholder: "stub-token", slot }] } },
    ]) {
      const { rig, runs } = revocable(options);
      const inner = rig.tunnel("api.test:443", TOKEN);
      inner.says(head("POST /a HTTP/1.1", "Host: api.test", "Content-Length: 4"), "bo");
      runs.answer = undefined;
      rig.sweepRuns();
      expect(inner.heard()).toBe(GONE);
      await settled();
      expect(rig.upstreams.dials).toEqual([]);
    }
  });

  test("ends an answer that a transformer is still making", async () => {
    const { rig, runs } = revocable({
      more: { transformers: [{ host: "api.test", transformer: () => new Promise(() => undefined) }] },
    });
    const inner = rig.tunnel("api.test:443", TOKEN);
    inner.says(head("GET /a HTTP/1.1", "Host: api.test"));
    const upstream = rig.dialled();
    upstream.says(OK);
    await settled();
    runs.answer = undefined;
    rig.sweepRuns();
    expect(inner.heard()).toBe(GONE);
    expect(upstream.state).toBe("destroyed");
  });

  test("ends a plain request on the outer connection", () => {
    const { rig, runs } = revocable();
    rig.client.says(head("GET http://api.test/a HTTP/1.1", "Host: api.test", TOKEN));
    rig.dialled().says(head("HTTP/1.1 200 OK", "Content-Length: 1000"), "begun");
    runs.answer = undefined;
    rig.sweepRuns();
    expect(rig.client.state).toBe("destroyed");
  });

  test("leaves an idle tunnel until its next request, which is 403", () => {
    const { rig, runs } = revocable();
    const inner = rig.tunnel("api.test:443", TOKEN);
    inner.says(head("GET /a HTTP/1.1", "Host: api.test"));
    const upstream = rig.dialled();
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
    runs.answer = undefined;
    rig.sweepRuns();
    expect([inner.state, rig.client.state]).toEqual(["open", "open"]);
    inner.says(head("GET /b HTTP/1.1", "Host: api.test"));
    expect(inner.heard()).toBe(GONE);
    expect(inner.state).toBe("fin");
  });

  test("leaves the outer session of an intercepted CONNECT and a handshake under way", () => {
    const { rig, runs } = revocable();
    rig.client.says(head("CONNECT api.test:443 HTTP/1.1", "Host: api.test:443", TOKEN));
    const asked = runs.asked.length;
    runs.answer = undefined;
    rig.sweepRuns();
    expect(rig.client.state).toBe("open");
    expect(runs.asked).toHaveLength(asked);
  });

  test("leaves an idle plain tunnel", () => {
    const { rig, runs } = revocable();
    rig.client.says(head("CONNECT api.test:80 HTTP/1.1", "Host: api.test:80", TOKEN));
    expect(rig.client.heard()).toBe(ESTABLISHED);
    runs.answer = undefined;
    rig.sweepRuns();
    expect(rig.client.state).toBe("open");
    rig.client.says(head("GET /b HTTP/1.1", "Host: api.test"));
    expect(rig.client.heard()).toBe(GONE);
  });
});

describe("a run that has changed", () => {
  test("ends a stream from a host that it may no longer reach", () => {
    const { rig, runs, inner } = streaming();
    runs.answer = makeRun({ network: { policy: "strict", allow: ["other.test"] } });
    rig.sweepRuns();
    expect(inner.state).toBe("destroyed");
  });

  test("leaves a stream from a host that it may still reach", () => {
    const { rig, runs, inner, upstream } = streaming();
    runs.answer = makeRun({ network: { policy: "strict", allow: ["api.test"] } });
    rig.sweepRuns();
    upstream.says("x".repeat(995));
    expect(inner.heard()).toBe("x".repeat(995));
    expect(rig.log()).toEqual(["connect GET api.test/stream 200"]);
  });

  test("ends an opaque tunnel to a host that it may no longer reach", () => {
    const { rig, runs } = revocable({ intercept: false });
    rig.client.says(head("CONNECT api.test:443 HTTP/1.1", "Host: api.test:443", TOKEN));
    rig.dialled();
    runs.answer = makeRun({ network: { policy: "strict" } });
    rig.sweepRuns();
    expect(rig.client.state).toBe("destroyed");
  });
});

describe("a resolver that takes its time", () => {
  test("is asked once for a token, and again when it has answered", async () => {
    const { rig, runs, inner } = streaming();
    const answer = Promise.withResolvers<RunContext | undefined>();
    runs.answer = answer.promise;
    const before = runs.asked.length;
    for (let i = 0; i < 3; i++) rig.sweepRuns();
    expect(runs.asked.length - before).toBe(1);
    answer.resolve(rig.run);
    await settled();
    expect(inner.state).toBe("open");
    rig.sweepRuns();
    expect(runs.asked.length - before).toBe(2);
    await settled();
  });

  test("ends the stream when it says that the run is gone", async () => {
    const { rig, runs, inner } = streaming();
    runs.answer = Promise.resolve(undefined);
    rig.sweepRuns();
    await settled();
    expect(inner.state).toBe("destroyed");
  });

  test("that rejects leaves the stream, and is asked again", async () => {
    const { rig, runs, inner } = streaming();
    runs.answer = Promise.reject(new ProxyError("run-unresolved", "no"));
    rig.sweepRuns();
    await settled();
    expect(inner.state).toBe("open");
    runs.answer = undefined;
    rig.sweepRuns();
    expect(inner.state).toBe("destroyed");
  });

  test("that never answers is asked again after 30 sweeps", () => {
    const { rig, runs, inner } = streaming();
    runs.answer = new Promise(() => undefined);
    for (let i = 0; i < 30; i++) rig.sweepRuns();
    runs.answer = undefined;
    rig.sweepRuns();
    expect(inner.state).toBe("destroyed");
  });

  test("that throws leaves the stream, and keeps no other token from being looked up", () => {
    const good = makeRun();
    let mood: "good" | "bad" = "good";
    const runs: Runs = {
      authRequired: true,
      lookup(token) {
        if (mood === "good") return good;
        if (token === "t1") throw new ProxyError("run-unresolved", "no");
        return undefined;
      },
    };
    const rig = new SessionRig({ runs });
    const second = rig.connectClient();
    for (const [client, token] of [
      [rig.client, "t1"],
      [second, "t2"],
    ] as const) {
      const authorization = `Proxy-Authorization: Bearer ${token}`;
      client.says(head("GET http://api.test/a HTTP/1.1", "Host: api.test", authorization));
      rig.dialled().says(head("HTTP/1.1 200 OK", "Content-Length: 1000"), "begun");
    }
    mood = "bad";
    rig.sweepRuns();
    expect([rig.client.state, second.state]).toEqual(["open", "destroyed"]);
  });

  test("is asked once for all that runs with one token", () => {
    const { rig, runs } = revocable();
    for (const client of [rig.client, rig.connectClient(), rig.connectClient()]) {
      client.says(head("GET http://api.test/a HTTP/1.1", "Host: api.test", TOKEN));
      rig.dialled();
    }
    const before = runs.asked.length;
    rig.sweepRuns();
    expect(runs.asked.slice(before)).toEqual(["t1"]);
  });
});

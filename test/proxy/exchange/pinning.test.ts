// NTLM and Negotiate authenticate a connection: it stays with the client session that did so and
// never reaches the pool. wire.md section 4.
import { afterEach, describe, expect, test } from "bun:test";
import { credential, finishRigs, head, ScriptedSlot, SessionRig } from "../../support/session-rig.ts";

afterEach(finishRigs);

const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;

function get(...fields: readonly string[]): string {
  return head("GET http://api.test/a HTTP/1.1", "Host: api.test", ...fields);
}

function challenge(scheme: string): string {
  return head("HTTP/1.1 401 Unauthorized", `WWW-Authenticate: ${scheme}`, "Content-Length: 0");
}

describe("an upstream connection", () => {
  for (const scheme of ["NTLM", "Negotiate", "negotiate abc", "NTLM TlRMTVNTUAAC"]) {
    test(`that asked for ${scheme} stays with its client`, () => {
      const rig = new SessionRig();
      rig.client.says(get());
      const upstream = rig.dialled();
      upstream.says(challenge(scheme));
      expect(rig.upstreams.released).toEqual([]);
      rig.connectClient().says(get());
      expect(rig.upstreams.pending).toHaveLength(1);
      upstream.heard();
      rig.client.says(get("Authorization: Negotiate x"));
      expect(upstream.heard()).toContain("\r\nAuthorization: Negotiate x\r\n");
      upstream.says(OK);
      rig.client.says(get());
      expect(upstream.heard()).toStartWith("GET /a HTTP/1.1\r\n");
      upstream.says(OK);
      expect(rig.upstreams.released).toEqual([]);
      expect(rig.records.map(({ status }) => status)).toEqual([401, 200, 200]);
      rig.client.reset();
      expect(upstream.closed).toBe(true);
    });
  }

  test("that saw Authorization: Negotiate stays with its client", () => {
    const rig = new SessionRig();
    rig.client.says(get("authorization: Negotiate x"));
    const upstream = rig.dialled();
    upstream.says(OK);
    expect(rig.upstreams.released).toEqual([]);
    rig.client.reset();
    expect(upstream.closed).toBe(true);
  });

  for (const [what, fields, answer] of [
    ["saw Bearer", ["Authorization: Bearer x"], OK],
    ["asked for Basic", [], challenge("Basic realm=a")],
    ["asked for Negotiator", [], challenge("Negotiator")],
  ] as const) {
    test(`that ${what} goes back to the pool`, () => {
      const rig = new SessionRig();
      rig.client.says(get(...fields));
      rig.dialled().says(answer);
      expect(rig.upstreams.released).toHaveLength(1);
    });
  }

  test("that was authenticated and goes away between two requests is replaced", () => {
    for (const end of ["fin", "reset"] as const) {
      const rig = new SessionRig();
      rig.client.says(get());
      const upstream = rig.dialled();
      upstream.says(challenge("NTLM"));
      upstream[end]();
      expect(upstream.closed).toBe(true);
      rig.client.says(get());
      rig.dialled().says(OK);
      expect(rig.client.heard()).toBe(challenge("NTLM") + OK);
      expect(rig.records.map(({ status }) => status)).toEqual([401, 200]);
    }
  });

  test("that was authenticated and speaks unasked is dropped", () => {
    const rig = new SessionRig();
    rig.client.says(get());
    const upstream = rig.dialled();
    upstream.says(challenge("NTLM"));
    upstream.says(OK);
    expect(upstream.state).toBe("destroyed");
    rig.client.says(get());
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(challenge("NTLM") + OK);
  });

  test("that was authenticated serves its client's other targets not", () => {
    const rig = new SessionRig();
    rig.client.says(get());
    const upstream = rig.dialled();
    upstream.says(challenge("NTLM"));
    upstream.heard();
    rig.client.says(get().replaceAll("api.test", "other.test"));
    expect(upstream.heard()).toBe("");
    rig.dialled().says(OK);
    expect(rig.records.map(({ host, status }) => `${host} ${status}`)).toEqual([
      "api.test 401",
      "other.test 200",
    ]);
  });

  test("that was authenticated is read again after a slow client caught up", () => {
    const rig = new SessionRig();
    rig.client.says(get());
    const upstream = rig.dialled();
    rig.client.acceptUpTo(10);
    upstream.says(challenge("NTLM"));
    rig.client.drain();
    rig.client.says(get());
    upstream.says(OK);
    expect(rig.client.heard()).toBe(challenge("NTLM") + OK);
    expect(rig.records.map(({ status }) => status)).toEqual([401, 200]);
  });

  test("that was authenticated and closes under a GET: the GET is sent again on a fresh one", () => {
    const rig = new SessionRig();
    rig.client.says(get());
    const upstream = rig.dialled();
    upstream.says(challenge("NTLM"));
    rig.client.says(get());
    upstream.fin();
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(challenge("NTLM") + OK);
    expect(rig.records.map(({ status }) => status)).toEqual([401, 200]);
  });

  test("that was authenticated never reaches the pool, even when the next request fails", () => {
    const slot = new ScriptedSlot("good");
    const rig = new SessionRig({
      credentials: [credential("api.test", slot, { header: "X-Key", allowCleartext: true })],
    });
    rig.client.says(get());
    const upstream = rig.dialled();
    upstream.says(challenge("NTLM"));
    slot.resolve("not\r\nsendable");
    rig.client.says(get());
    expect(rig.client.heard()).toContain("HTTP/1.1 502 Bad Gateway\r\n");
    expect(rig.upstreams.released).toEqual([]);
    expect(rig.records.map(({ status }) => status)).toEqual([401, 502]);
  });
});

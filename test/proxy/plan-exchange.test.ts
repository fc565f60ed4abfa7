// What is refused before anything is fetched or dialled, in which order, and which credentials a request
// gets. wire.md sections 6 to 8.
import { afterEach, describe, expect, test } from "bun:test";
import {
  credential,
  finishRigs,
  head,
  plainReply,
  ScriptedSlot,
  SessionRig,
} from "../support/session-rig.ts";

afterEach(finishRigs);

const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;

function get(authority: string, ...fields: readonly string[]): string {
  return head(`GET http://${authority}/ HTTP/1.1`, `Host: ${authority}`, ...fields);
}

function blocked(host: string): string {
  return plainReply(
    "407 Proxy Authentication Required",
    `Moat: request blocked by network policy.\nHost "${host}" is not in the allow list.\n` +
      "Add it to network.allow in moat.yaml or use policy: permissive.\n",
    "Proxy-Authenticate: Moat-Policy",
    "X-Moat-Blocked: network-policy",
  );
}

describe("policy", () => {
  test("comes before any credential is fetched and any name resolved", () => {
    const slot = new ScriptedSlot();
    const rig = new SessionRig({
      network: { policy: "strict", allow: ["good.test"] },
      credentials: [credential("evil.test", slot, { allowCleartext: true })],
    });
    rig.client.says(get("evil.test"));
    expect(rig.client.heard()).toBe(blocked("evil.test"));
    expect(slot.refreshes).toBe(0);
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.client.state).toBe("open");
    expect(rig.log()).toEqual(["http GET evil.test/ 407 denied=network-policy"]);
  });

  for (const [authority, allowed] of [
    ["good.test", true],
    ["GOOD.test.", true],
    ["good.test:443", true],
    ["good.test:8080", false],
    ["sub.good.test", false],
    ["good.test.evil.test", false],
  ] as const) {
    test(`${authority} is ${allowed ? "allowed" : "denied"}`, () => {
      const rig = new SessionRig({ network: { policy: "strict", allow: ["good.test"] } });
      rig.client.says(get(authority));
      expect(rig.upstreams.pending).toHaveLength(allowed ? 1 : 0);
      if (!allowed) expect(rig.client.heard()).toBe(blocked(authority));
      rig.client.reset();
      expect(rig.records).toHaveLength(1);
    });
  }

  test("comes before the destination check", () => {
    const rig = new SessionRig({ network: { policy: "strict" } });
    rig.upstreams.denied.add("192.0.2.99");
    rig.client.says(get("192.0.2.99"));
    expect(rig.client.heard()).toBe(blocked("192.0.2.99"));
  });
});

describe("a literal destination that is refused", () => {
  test("is 403 before a credential is fetched or anything dialled", () => {
    const slot = new ScriptedSlot();
    const rig = new SessionRig({ credentials: [credential("192.0.2.99", slot, { allowCleartext: true })] });
    rig.upstreams.denied.add("192.0.2.99");
    rig.client.says(get("192.0.2.99"));
    expect(rig.client.heard()).toBe(
      plainReply(
        "403 Forbidden",
        "Moat: this destination is not allowed through the proxy.\n",
        "X-Moat-Blocked: destination",
      ),
    );
    expect(slot.refreshes).toBe(0);
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.log()).toEqual(["http GET 192.0.2.99/ 403 denied=destination"]);
  });
});

describe("the credentials of a host", () => {
  const credentials = [
    credential("api.test", "a", { header: "X-A", grant: "ga" }),
    credential("api.test", "b", { header: "X-B", grant: "gb" }),
    credential("*.test", "w", { header: "X-W" }),
  ];

  /** [the client's fields, what the upstream gets of them, in the record] */
  const cases: readonly (readonly [readonly string[], readonly string[], readonly string[]])[] = [
    [[], ["X-A: a", "X-B: b"], ["X-A", "X-B"]],
    [["x-b: placeholder"], ["X-B: b"], ["X-B"]],
    [
      ["X-A: placeholder", "X-B:"],
      ["X-A: a", "X-B: b"],
      ["X-A", "X-B"],
    ],
    [["X-W: mine"], ["X-A: a", "X-B: b", "X-W: mine"], ["X-A", "X-B"]],
  ];
  for (const [sent, received, injected] of cases) {
    test(`a client that sends ${sent.join() || "none"} gets ${injected.join()}`, () => {
      const rig = new SessionRig({ credentials });
      const inner = rig.tunnel();
      inner.says(head("GET / HTTP/1.1", "Host: api.test", ...sent));
      const upstream = rig.dialled();
      const fields = upstream
        .heard()
        .split("\r\n")
        .filter((line) => line.startsWith("X-") && !line.startsWith("X-R"));
      expect(fields.sort()).toEqual([...received]);
      upstream.says(OK);
      expect(rig.records[0]?.injectedHeaders).toEqual(injected);
    });
  }

  test("are those of the host asked for, not of the client's Host field", () => {
    const rig = new SessionRig({
      credentials: [
        credential("api.test", "right", { allowCleartext: true }),
        credential("other.test", "wrong", { allowCleartext: true }),
      ],
    });
    rig.client.says(head("GET http://api.test/ HTTP/1.1", "Host: other.test"));
    expect(rig.dialled().heard()).toBe(
      head("GET / HTTP/1.1", "Host: api.test", "X-Request-Id: req-1", "Authorization: Bearer right"),
    );
    rig.client.reset();
    expect(rig.records).toHaveLength(1);
  });
});

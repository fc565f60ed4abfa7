// A body that waits in memory for its tokens: bounded in size and in time.

import { afterEach, describe, expect, test } from "bun:test";
import { Gathering } from "../../../src/proxy/exchange/gathering.ts";
import { finishRigs, head, ScriptedSlot, SessionRig } from "../../support/session-rig.ts";

afterEach(finishRigs);

function rigWithToken(): SessionRig {
  const substitution = { host: "api.test", placeholder: "PLACEHOLDER", slot: new ScriptedSlot("real") };
  return new SessionRig({ more: { substitutions: [substitution] } });
}

describe("Gathering", () => {
  test("keeps no span, so that a body of single bytes costs no more than its length", () => {
    const gathering = new Gathering({ kind: "length", length: 3 });
    const span = Buffer.from("a");
    for (const byte of "abc") {
      span.write(byte);
      gathering.push(span);
    }
    expect(gathering.whole().toString()).toBe("abc");
  });
});

describe("a body that is gathered", () => {
  const POST = head("POST /x HTTP/1.1", "Host: api.test", "Content-Length: 11");

  test("goes on with its token and its new length", () => {
    const rig = rigWithToken();
    rig.tunnel().says(POST).saysByteByByte("PLACEHOLDER");
    expect(rig.dialled().heard()).toBe(
      `${head("POST /x HTTP/1.1", "Host: api.test", "Content-Length: 4", "X-Request-Id: req-2")}real`,
    );
  });

  test("that stops coming is given up, like any other upload", () => {
    const rig = rigWithToken();
    const client = rig.tunnel();
    client.says(POST, "P");
    rig.pass(899_000);
    client.says("L");
    rig.pass(899_000);
    expect(client.heard()).toBe("");
    rig.pass(1_000);
    expect(client.heard()).toStartWith("HTTP/1.1 408 Request Timeout\r\n");
    expect(client.state).toBe("fin");
    expect(rig.upstreams.dials).toEqual([]);
  });
});

// Whether a connection carries another request, from what the client said and sent. RFC 9112 section 9.3.
import { describe, expect, test } from "bun:test";
import { connectionOptions } from "../../src/http1/forwarding.ts";
import { HeaderList } from "../../src/http1/headers.ts";
import type { Current } from "../../src/proxy/decision.ts";
import { Intake } from "../../src/proxy/intake.ts";
import { asksToPersist, bodyMayCome, MAX_DRAIN_BYTES } from "../../src/proxy/persistence.ts";
import { Recorder } from "../../src/proxy/recorder.ts";

function current(minor: 0 | 1, ...fields: readonly (readonly [string, string])[]): Current {
  const headers = new HeaderList();
  for (const [name, value] of fields) headers.push(name, value);
  const head = { method: "POST", target: "/", minor, headers };
  const recorder = new Recorder({
    records: { write() {} },
    clock: { now: () => 0 },
    ids: { next: () => "req-1" },
    detail: { captureHeaders: [], query: false },
  });
  const peer = { clientIp: "192.0.2.7", token: undefined, user: undefined };
  const record = recorder.begin(head, peer, "http", "api.test");
  const options = connectionOptions(headers, "malformed-request");
  return { head, framing: { kind: "length", length: 4 }, options, record };
}

function intake(sent: string): Intake {
  const reader = new Intake({ onBodySpan() {} });
  reader.startBody({ kind: "length", length: 4 });
  if (sent !== "") reader.push(Buffer.from(sent));
  reader.readBody();
  return reader;
}

describe("a client asks for another request", () => {
  const cases: readonly (readonly [minor: 0 | 1, connection: string | undefined, persists: boolean])[] = [
    [1, undefined, true],
    [1, "close", false],
    [1, "Keep-Alive, Close", false],
    [1, "x-hop", true],
    [0, undefined, false],
    [0, "keep-alive", true],
    [0, "close", false],
  ];
  for (const [minor, connection, persists] of cases) {
    test(`HTTP/1.${minor}, Connection: ${connection ?? "absent"}: ${persists}`, () => {
      const fields = connection === undefined ? [] : [["Connection", connection] as const];
      expect(asksToPersist(current(minor, ...fields))).toBe(persists);
    });
  }
});

describe("the rest of a body may come", () => {
  const expects = current(1, ["Expect", "100-continue"]);

  test("from who did not wait for a 100", () => {
    expect(bodyMayCome(current(1), intake(""), false)).toBe(true);
    expect(bodyMayCome(undefined, intake(""), false)).toBe(true);
  });

  test("from who waits only when the 100 was heard, or the body has begun", () => {
    expect(bodyMayCome(expects, intake(""), false)).toBe(false);
    expect(bodyMayCome(expects, intake(""), true)).toBe(true);
    expect(bodyMayCome(expects, intake("a"), false)).toBe(true);
    expect(bodyMayCome(expects, intake("body"), false)).toBe(true);
  });

  test("and what is dropped of it is bounded", () => {
    expect(MAX_DRAIN_BYTES).toBe(65_536);
  });
});

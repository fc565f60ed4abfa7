// The end of a connection after its last answer: flush, FIN, patience, and never a reset on top of the
// answer. RFC 9112 section 9.6.
import { describe, expect, test } from "bun:test";
import { Farewell } from "../../src/proxy/farewell.ts";
import type { Live } from "../../src/proxy/session-deps.ts";
import { EventLoop, FakeWire } from "../support/fake-wire.ts";

function farewell(options: {
  readonly room?: number;
  readonly peerEnded?: boolean;
  readonly paused?: boolean;
}) {
  const loop = new EventLoop();
  const wire = new FakeWire(loop, "client").acceptUpTo(options.room ?? Number.POSITIVE_INFINITY);
  const live = new Set<Live>();
  const clock = { time: 5_000, now: () => clock.time };
  wire.write(Buffer.from("the answer"));
  if (options.paused) wire.pause();
  const machine = new Farewell(wire, clock, live, options.peerEnded ?? false);
  const pass = (ms: number): void => {
    clock.time += ms;
    for (const one of [...live]) one.sweep(clock.time);
  };
  return { wire, live, machine, pass };
}

describe("a farewell", () => {
  test("sends the FIN at once, and closes when the peer's has come", () => {
    const { wire, live } = farewell({});
    expect(wire.state).toBe("fin");
    expect(live.size).toBe(1);
    wire.fin();
    expect(wire.state).toBe("closed");
    expect(live.size).toBe(0);
    expect(wire.heard()).toBe("the answer");
  });

  test("closes at once when the peer had ended before", () => {
    const { wire, live } = farewell({ peerEnded: true });
    expect(wire.state).toBe("closed");
    expect(wire.heard()).toBe("the answer");
    expect(live.size).toBe(0);
  });

  test("flushes first", () => {
    const { wire, live } = farewell({ room: 4, peerEnded: true });
    expect([wire.heard(), wire.state]).toEqual(["the ", "open"]);
    wire.takes(3);
    expect([wire.heard(), wire.state]).toEqual(["ans", "open"]);
    wire.drain();
    expect([wire.heard(), wire.state]).toEqual(["wer", "closed"]);
    expect(wire.breaches).toEqual([]);
    expect(live.size).toBe(0);
  });

  test("reads and drops what still comes, so that no reset destroys the answer", () => {
    const { wire } = farewell({ paused: true });
    wire.says("x".repeat(100_000)).says("y");
    expect(wire.unread).toBe(0);
    expect(wire.state).toBe("fin");
    wire.fin();
    expect(wire.state).toBe("closed");
  });

  // What has been flushed may still be in the kernel, on its way to a slow reader: a cut would drop it.
  test("waits 2 s for the peer, then closes in order", () => {
    const { wire, live, pass } = farewell({});
    pass(1_999);
    expect(wire.state).toBe("fin");
    pass(1);
    expect(wire.state).toBe("closed");
    expect(live.size).toBe(0);
  });

  test("gives a slow reader 120 s for what it is owed, then 2 s", () => {
    const { wire, pass } = farewell({ room: 4 });
    pass(119_999);
    expect(wire.state).toBe("open");
    wire.drain();
    expect(wire.state).toBe("fin");
    pass(1_999);
    expect(wire.state).toBe("fin");
    pass(1);
    expect(wire.state).toBe("closed");
  });

  test("cuts a reader that takes nothing", () => {
    const { wire, live, pass } = farewell({ room: 4 });
    pass(120_000);
    expect(wire.state).toBe("destroyed");
    expect(live.size).toBe(0);
  });

  test("is over when the peer is gone", () => {
    const { wire, live } = farewell({ room: 4 });
    wire.reset();
    expect(live.size).toBe(0);
  });

  test("goes on when the proxy stops, and ends when its time is over", () => {
    const { wire, live, machine } = farewell({ room: 4 });
    machine.drain();
    expect(wire.state).toBe("open");
    machine.destroy();
    expect(wire.state).toBe("destroyed");
    expect(live.size).toBe(0);
  });
});

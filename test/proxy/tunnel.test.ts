// Two wires spliced: order, backpressure and half-close in both directions, and no loose end.
// wire.md section 4.
import { describe, expect, test } from "bun:test";
import type { Live } from "../../src/proxy/session-deps.ts";
import { Tunnel } from "../../src/proxy/tunnel.ts";
import { EventLoop, FakeWire } from "../support/fake-wire.ts";

interface Spliced {
  readonly client: FakeWire;
  readonly upstream: FakeWire;
  readonly tunnel: Tunnel;
  /** Wires that were left to be flushed and closed. */
  readonly live: ReadonlySet<Live>;
  readonly lifecycle: { readonly tunnels: number };
  /** [from the client, from the upstream], once per time the owner was told. */
  readonly over: [number, number][];
}

function splice(early: readonly [string, string] = ["", ""], room = Number.POSITIVE_INFINITY): Spliced {
  const loop = new EventLoop();
  const client = new FakeWire(loop, "client").acceptUpTo(room);
  const upstream = new FakeWire(loop, "upstream").acceptUpTo(room);
  client.pause();
  upstream.pause();
  const over: [number, number][] = [];
  const live = new Set<Live>();
  const deps = { clock: { now: () => 0 }, live, lifecycle: { draining: false, tunnels: 0 } };
  const owner = { onTunnelClosed: (sent: number, received: number) => over.push([sent, received]) };
  let tunnel: Tunnel | undefined;
  loop.run(() => {
    tunnel = new Tunnel(owner, deps, client, upstream, Buffer.from(early[0]), Buffer.from(early[1]));
  });
  if (tunnel === undefined) throw new Error("no tunnel");
  return { client, upstream, tunnel, live, lifecycle: deps.lifecycle, over };
}

/** Both directions: who speaks, who listens. */
const DIRECTIONS = [
  ["client", "upstream"],
  ["upstream", "client"],
] as const;

function sizes(from: "client" | "upstream", bytes: number): [number, number] {
  return from === "client" ? [bytes, 0] : [0, bytes];
}

describe("a tunnel", () => {
  test("passes on what arrived before it, and reads both sides", () => {
    const { client, upstream, over } = splice(["abc", "defg"]);
    expect(upstream.heard()).toBe("abc");
    expect(client.heard()).toBe("defg");
    expect([client.paused, upstream.paused]).toEqual([false, false]);
    client.reset();
    expect(over).toEqual([[3, 4]]);
  });

  for (const [from, to] of DIRECTIONS) {
    describe(`from the ${from}`, () => {
      test("passes bytes as they come, in order", () => {
        const spliced = splice();
        for (const piece of ["a", "bc", "\0\xff"]) {
          spliced[from].says(piece);
          expect(spliced[to].heard()).toBe(piece);
        }
        spliced[from].reset();
        expect(spliced.over).toEqual([sizes(from, 5)]);
      });

      test("a full side pauses the other, a drained one resumes it", () => {
        const spliced = splice();
        spliced[to].acceptUpTo(2);
        spliced[from].says("abcd", "efgh", "ijkl");
        expect(spliced[to].heard()).toBe("ab");
        expect(spliced[from].paused).toBe(true);
        expect(spliced[to].backlog).toBe(2);
        expect(spliced[from].unread).toBe(8);
        spliced[to].takes(1);
        expect(spliced[from].unread).toBe(8);
        spliced[to].takes(3);
        expect(spliced[to].heard()).toBe("cdef");
        expect(spliced[from].unread).toBe(4);
        spliced[to].drain();
        expect(spliced[to].heard()).toBe("ghijkl");
        expect(spliced[from].paused).toBe(false);
        spliced[from].reset();
        expect(spliced.over).toEqual([sizes(from, 12)]);
      });

      test("pausing one direction leaves the other alone", () => {
        const spliced = splice();
        spliced[to].acceptUpTo(0);
        spliced[from].says("stuck");
        spliced[to].says("free");
        expect(spliced[from].heard()).toBe("free");
        spliced[from].reset();
      });

      test("half-close travels through; the other direction goes on", () => {
        const spliced = splice();
        spliced[from].says("last").fin();
        expect(spliced[to].heard()).toBe("last");
        expect(spliced[to].state).toBe("fin");
        expect(spliced[from].state).toBe("open");
        spliced[to].says("answer");
        expect(spliced[from].heard()).toBe("answer");
        expect(spliced.over).toEqual([]);
        spliced[to].fin();
        expect([spliced.client.state, spliced.upstream.state]).toEqual(["closed", "closed"]);
        expect(spliced.over).toEqual([from === "client" ? [4, 6] : [6, 4]]);
      });

      test("a FIN waits until what came before it is through", () => {
        const spliced = splice();
        spliced[to].acceptUpTo(1);
        spliced[from].says("abc").fin();
        expect(spliced[to].state).toBe("open");
        spliced[to].drain();
        expect(spliced[to].heard()).toBe("abc");
        expect(spliced[to].state).toBe("fin");
        spliced[from].reset();
      });

      test("both ends, one side still full: nothing is lost, then both close", () => {
        const spliced = splice();
        spliced[to].acceptUpTo(1);
        spliced[to].fin();
        spliced[from].says("abc");
        spliced[from].fin();
        expect(spliced.over).toEqual([]);
        spliced[to].drain();
        expect(spliced[to].heard()).toBe("abc");
        expect([spliced.client.state, spliced.upstream.state]).toEqual(["closed", "closed"]);
        expect(spliced.over).toEqual([sizes(from, 3)]);
      });

      test("a side that breaks off while the other is owed something", () => {
        const spliced = splice();
        spliced[to].acceptUpTo(1);
        spliced[from].says("abc");
        spliced[from].reset();
        // The client gets an upstream's last words; a client that broke off is owed no delivery.
        expect(spliced[to].closed).toBe(from === "client");
        expect(spliced.live.size).toBe(from === "client" ? 0 : 1);
        spliced[to].drain();
        if (from === "upstream") expect(spliced.client.heard()).toBe("abc");
        expect(spliced.lifecycle.tunnels).toBe(0);
        expect(spliced.over).toEqual([sizes(from, 3)]);
      });

      test("a side that breaks off with nothing owed: the other closes at once", () => {
        const spliced = splice();
        spliced[from].reset();
        expect(spliced[to].closed).toBe(true);
        expect(spliced.over).toEqual([[0, 0]]);
      });

      test("a side that breaks off after its FIN", () => {
        const spliced = splice();
        spliced[from].says("abc").fin();
        spliced[from].reset();
        expect(spliced[to].closed).toBe(true);
        expect(spliced.over).toEqual([sizes(from, 3)]);
      });
    });
  }

  test("that is cancelled cuts both sides and tells its owner once", () => {
    const { client, upstream, tunnel, over } = splice();
    client.says("abc");
    tunnel.cancel();
    expect([client.state, upstream.state]).toEqual(["destroyed", "destroyed"]);
    tunnel.cancel();
    expect(over).toEqual([[3, 0]]);
  });

  test("made over full wires keeps the order", () => {
    const { client, upstream } = splice(["early", "first"], 2);
    client.says("later");
    upstream.says("second");
    client.drain();
    upstream.drain();
    expect(upstream.heard()).toBe("earlylater");
    expect(client.heard()).toBe("firstsecond");
  });
});

// What every wire owes its owner, as tests that each kind of wire runs: nothing lost, doubled or exchanged, bounded
// memory, half-close, and silence after close() and destroy(). Declared by wire.test.ts and accept-tls-early.test.ts.
import { describe, expect, test } from "bun:test";
import type { Wire } from "../../src/proxy/ports.ts";
import type { ByteStream } from "./byte-stream.ts";
import { BULK, SOME, sha } from "./net-bulk.ts";
import { openPair, type Pair, type Way } from "./net-wires.ts";
import { settle, Witness } from "./net-witness.ts";

/** Writes BULK in pieces until one does not go out; gives what was handed over. */
async function fill(wire: Wire, piece = 1 << 20): Promise<Buffer> {
  for (let at = 0; at < BULK.length; at += piece) {
    if (wire.write(BULK.subarray(at, at + piece))) continue;
    // What stands between the two may take some more a little later.
    for (let before = -1; before !== wire.accepted; await settle()) before = wire.accepted;
    if (wire.backlog > 0) return BULK.subarray(0, at + piece);
  }
  throw new Error("everything went out to a peer that does not read");
}

/** Writes what the peer has room for, and waits until it has left. */
async function send({ wire, seen }: Pair, text: string): Promise<void> {
  if (!wire.write(Buffer.from(text))) await seen.until("room", () => wire.backlog === 0);
}

/** Collects what a stream receives from here on. */
function collect(stream: ByteStream): { readonly pieces: Buffer[] } {
  const pieces: Buffer[] = [];
  stream.sink = (chunk) => pieces.push(chunk);
  return { pieces };
}

/** Declares the tests of a wire that came about in that way. */
export function wireContract(way: Way): void {
  describe(`a wire that was ${way}`, () => {
    test("carries bytes both ways, in order", async () => {
      await using pair = await openPair(way);
      let sent = "";
      for (let at = 0; at < 500; at++) {
        const piece = `${at},`;
        sent += piece;
        await send(pair, piece);
      }
      expect((await pair.peer.readBytes(sent.length)).toString()).toBe(sent);
      await pair.peer.write("hello");
      await pair.seen.until("5 bytes", () => pair.seen.count === 5);
      expect(pair.seen.text).toBe("hello");
      expect(pair.wire.accepted).toBe(sent.length);
      expect(pair.wire.backlog).toBe(0);
    });

    test("keeps what a peer that does not read leaves it with, and goes on in order", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      peer.pause();
      const got = collect(peer);
      const given = await fill(wire);
      expect(wire.backlog).toBeGreaterThan(0);
      expect(wire.accepted + wire.backlog).toBe(given.length);
      // More may be given; it stands in line.
      const tail = Buffer.from("the tail");
      wire.queue(tail);
      expect(wire.accepted + wire.backlog).toBe(given.length + tail.length);
      await settle();
      const before = seen.drains;
      expect(wire.backlog).toBeGreaterThan(0);
      peer.resume();
      await seen.until("drain", () => seen.drains > before);
      expect(wire.backlog).toBe(0);
      expect(wire.accepted).toBe(given.length + tail.length);
      await peer.untilReceived(wire.accepted);
      await settle();
      expect(peer.bytesIn).toBe(wire.accepted);
      expect(sha(...got.pieces)).toBe(sha(given, tail));
      expect(seen.events).toEqual([]);
    });

    test("keeps nothing in memory beyond its backlog: a stuck peer stops the source", async () => {
      await using pair = await openPair(way);
      pair.peer.pause();
      // fill() fails when the runtime takes everything.
      const given = await fill(pair.wire, 64 << 10);
      await settle();
      // The piece that did not go out, and what TLS adds to it.
      expect(pair.wire.backlog).toBeLessThanOrEqual(66 << 10);
      expect(given.length).toBeLessThan(BULK.length);
    });

    test("sends nothing that is queued before the flush, and then all of it", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      for (const piece of ["a", "bc", "", "def"]) wire.queue(Buffer.from(piece));
      expect([wire.accepted, wire.backlog]).toEqual([0, 6]);
      if (!wire.flush()) await seen.until("room", () => wire.backlog === 0);
      expect([wire.accepted, wire.backlog]).toEqual([6, 0]);
      expect((await peer.readBytes(6)).toString()).toBe("abcdef");
      expect(wire.flush()).toBe(true);
      await settle();
      expect(peer.bytesIn).toBe(6);
    });

    test("hears nothing while paused, and everything once after resume", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      await peer.write("x");
      await seen.until("first byte", () => seen.count === 1);
      wire.pause();
      wire.pause();
      void peer.write(SOME);
      await settle();
      expect(seen.count).toBe(1);
      wire.resume();
      wire.resume();
      await seen.until("the rest", () => seen.count > SOME.length);
      await settle();
      expect(seen.count).toBe(SOME.length + 1);
      expect(sha(...seen.pieces)).toBe(sha(Buffer.from("x"), SOME));
    });

    test("can be paused at every piece of a large transfer without a loss or a repeat", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      seen.onPiece = () => wire.pause();
      void peer.write(SOME);
      while (seen.count < SOME.length) {
        const before = seen.count;
        const next = seen.until("another piece", () => seen.count > before);
        wire.resume();
        await next;
        // Turns of the loop in which a paused wire must stay silent.
        const paused = seen.count;
        await new Promise((resolve) => setImmediate(resolve));
        expect(seen.count).toBe(paused);
      }
      expect(sha(...seen.pieces)).toBe(sha(SOME));
    });

    test("stops a peer that sends to a paused wire", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      wire.pause();
      void peer.write(BULK);
      let before = -1;
      while (before !== peer.bytesOut) {
        before = peer.bytesOut;
        await settle();
      }
      expect(before).toBeLessThan(BULK.length);
      expect(seen.count).toBe(0);
      wire.resume();
      await seen.until("all bytes", () => seen.count >= BULK.length);
      expect(sha(...seen.pieces)).toBe(sha(BULK));
    });

    test("tells of bytes and the end that came while it was paused, in that order", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      wire.pause();
      await peer.write("last words");
      peer.end();
      await settle();
      expect(seen.events).toEqual([]);
      wire.resume();
      await seen.untilEvent("end");
      expect(seen.text).toBe("last words");
      expect(seen.events.slice(0, 2)).toEqual(["data", "end"]);
    });

    test("end(): what is queued leaves, then FIN, and reading goes on", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      peer.pause();
      const got = collect(peer);
      const given = await fill(wire);
      wire.end();
      wire.end();
      wire.write(Buffer.from("too late"));
      expect(wire.accepted + wire.backlog).toBe(given.length);
      peer.resume();
      await peer.readToEnd();
      expect(sha(...got.pieces)).toBe(sha(given));
      expect(peer.closed).toBe(false);
      expect(wire.closed).toBe(false);
      await peer.write("still heard");
      await seen.until("the peer's answer", () => seen.text === "still heard");
      peer.end();
      // Behind our own FIN, a plain socket tells of the peer's by its close.
      await seen.untilOver();
      expect(wire.accepted).toBe(given.length);
    });

    test("end() with nothing queued sends FIN at once", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      wire.end();
      expect((await peer.readToEnd()).length).toBe(0);
      await peer.write("still heard");
      await seen.until("the peer's answer", () => seen.text === "still heard");
    });

    test("end() sends what was queued without a flush", async () => {
      await using pair = await openPair(way);
      pair.wire.queue(Buffer.from("goodbye"));
      pair.wire.end();
      expect((await pair.peer.readToEnd()).toString()).toBe("goodbye");
    });

    afterTheEnd(way);

    test("is closed once both sides have said their end, and says so once", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      peer.end();
      await seen.untilEvent("end");
      wire.end();
      await peer.whenClosed();
      await seen.untilEvent("close");
      await settle();
      expect(seen.events).toEqual(["end", "close"]);
      expect(wire.closed).toBe(true);
    });

    test("tells once of a peer that goes away without an end", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      await peer.write("x");
      await seen.untilEvent("data");
      peer.destroy();
      await seen.untilEvent("close");
      await settle();
      expect(seen.happened("close")).toBe(1);
      expect(seen.events.at(-1)).toBe("close");
      expect(wire.closed).toBe(true);
      // A closed wire is harmless.
      expect(wire.write(Buffer.from("x"))).toBe(true);
      expect(wire.backlog).toBe(0);
      wire.pause();
      wire.resume();
      wire.end();
      wire.close();
      wire.destroy();
      await settle();
      expect(seen.happened("close")).toBe(1);
    });

    test("tells of a peer that resets the connection while it is paused", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      wire.pause();
      await peer.write("x");
      await settle();
      expect(seen.events).toEqual([]);
      peer.destroy();
      await seen.untilEvent("close");
      wire.resume();
      await settle();
      expect(seen.happened("close")).toBe(1);
      expect(seen.events.at(-1)).toBe("close");
    });

    test.each([
      ["close", true],
      ["destroy", false],
    ] as const)("%s(): the peer sees an orderly end: %p", async (how, orderly) => {
      await using pair = await openPair(way);
      const { wire, peer } = pair;
      let ends = 0;
      const { onEnd } = peer;
      peer.onEnd = () => {
        ends++;
        onEnd.call(peer);
      };
      await send(pair, "abc");
      await peer.readBytes(3);
      wire[how]();
      await peer.whenEnded();
      peer.end();
      await peer.whenClosed();
      expect(ends === 1).toBe(orderly);
    });

    test("tells of a peer that goes away while bytes for it wait", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      peer.pause();
      await fill(wire);
      peer.destroy();
      await seen.untilEvent("close");
      await settle();
      expect(seen.happened("close")).toBe(1);
      expect(seen.events.at(-1)).toBe("close");
      expect(wire.closed).toBe(true);
      expect(wire.backlog).toBe(0);
    });

    test.each(["close", "destroy"] as const)("%s() ends the connection and calls no handler", async (how) => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      wire[how]();
      expect(wire.closed).toBe(true);
      void peer.write("too late");
      await peer.whenEnded();
      wire[how]();
      expect(wire.write(Buffer.from("x"))).toBe(true);
      peer.end();
      await peer.whenClosed();
      await settle();
      expect(seen.events).toEqual([]);
      expect(peer.bytesIn).toBe(0);
    });

    test.each(["close", "destroy"] as const)("%s() within onData is the last call", async (how) => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      seen.onPiece = () => wire[how]();
      void peer.write(SOME);
      await peer.whenEnded();
      peer.destroy();
      await settle();
      expect(seen.events).toEqual(["data"]);
      expect(seen.count).toBeLessThan(SOME.length);
    });

    test("close() after write(): the peer has it all, then the end", async () => {
      await using pair = await openPair(way);
      await send(pair, "goodbye");
      pair.wire.close();
      expect((await pair.peer.readToEnd()).toString()).toBe("goodbye");
    });

    test("destroy() drops the backlog: the peer sees a cut", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      peer.pause();
      collect(peer);
      const given = await fill(wire);
      wire.destroy();
      expect(wire.backlog).toBe(0);
      peer.resume();
      await peer.whenEnded();
      expect(peer.bytesIn).toBeLessThan(given.length);
      await settle();
      expect(seen.events).toEqual([]);
    });

    test("a handler that hands over in onData gets nothing more", async () => {
      await using pair = await openPair(way);
      const { wire, seen, peer } = pair;
      const heir = new Witness();
      seen.onPiece = () => {
        wire.handler = heir;
      };
      void peer.write(SOME);
      await heir.until("the rest", () => seen.count + heir.count >= SOME.length);
      expect(sha(...seen.pieces, ...heir.pieces)).toBe(sha(SOME));
      expect(seen.events).toEqual(["data"]);
      peer.end();
      await heir.untilEvent("end");
      expect(seen.events).toEqual(["data"]);
    });
  });
}

function afterTheEnd(way: Way): void {
  test("after the peer's FIN, what is written still arrives", async () => {
    await using pair = await openPair(way);
    const { wire, seen, peer } = pair;
    const got = collect(peer);
    peer.end();
    await seen.untilEvent("end");
    expect(wire.closed).toBe(false);
    wire.write(SOME);
    wire.end();
    await peer.readToEnd();
    expect(sha(...got.pieces)).toBe(sha(SOME));
    expect(seen.happened("end")).toBe(1);
  });
}

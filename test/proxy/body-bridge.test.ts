// Bytes into a stream and out of one: order, bounds, backpressure counted in bytes, ends of every kind.

import { describe, expect, test } from "bun:test";
import { BodyPump, BodySource, type PumpReceiver } from "../../src/proxy/body-bridge.ts";
import { settled } from "../support/session-rig.ts";

const KIB = 1024;

function bytes(size: number, first = 0): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (first + i) & 0xff);
}

function source(): { source: BodySource; rooms: () => number } {
  let rooms = 0;
  return { source: new BodySource({ onSourceRoom: () => rooms++ }), rooms: () => rooms };
}

describe("a source", () => {
  test("gives out what was pushed, in order, and ends", async () => {
    const { source: body } = source();
    body.push(bytes(3));
    body.push(bytes(2, 7));
    body.close();
    expect(await new Response(body.stream).bytes()).toEqual(Uint8Array.of(0, 1, 2, 7, 8));
  });

  test.each([
    [64 * KIB, 1],
    [16 * KIB, 4],
    [4 * KIB, 16],
    [1, 256],
  ])("takes 64 KiB that nobody reads, objects included, then says stop: spans of %d", (size, spans) => {
    const { source: body, rooms } = source();
    let taken = 1;
    while (body.push(bytes(size))) taken++;
    expect(taken).toBe(spans);
    expect(rooms()).toBe(0);
    expect(body.push(bytes(0))).toBe(false);
  });

  test("asks for more once a read has made room, and only once", async () => {
    const { source: body, rooms } = source();
    expect(body.push(bytes(65 * KIB))).toBe(false);
    const reader = body.stream.getReader();
    await settled();
    expect(rooms()).toBe(0);
    await reader.read();
    await settled();
    expect(rooms()).toBe(1);
    void reader.read();
    await settled();
    expect(rooms()).toBe(1);
  });

  test("does not say stop to a reader that waits", async () => {
    const { source: body } = source();
    const read = body.stream.getReader().read();
    expect(body.push(bytes(65 * KIB))).toBe(true);
    expect((await read).value?.byteLength).toBe(65 * KIB);
  });

  test("hands out copies: a consumer can neither change nor see the buffer behind a span", async () => {
    const { source: body } = source();
    const whole = Buffer.from("secret|span|secret");
    body.push(whole.subarray(7, 11));
    const { value } = await body.stream.getReader().read();
    expect(Object.getPrototypeOf(value)).toBe(Uint8Array.prototype);
    expect(value?.buffer.byteLength).toBe(4);
    value?.fill(0);
    expect(whole.toString()).toBe("secret|span|secret");
  });

  test("that is cancelled drops what comes, and sets a stopped writer free", async () => {
    const { source: body, rooms } = source();
    expect(body.push(bytes(65 * KIB))).toBe(false);
    await body.stream.cancel();
    expect(rooms()).toBe(1);
    expect(body.done).toBe(true);
    expect(body.push(bytes(65 * KIB))).toBe(true);
    body.close();
    body.fail(new Error("late"));
  });

  test("that fails rejects the read that waits, and drops what was not read", async () => {
    const { source: body } = source();
    const read = body.stream.getReader().read();
    body.fail(new Error("broken off"));
    await expect(read).rejects.toThrow("broken off");
    const { source: full } = source();
    full.push(bytes(9));
    full.fail(new Error("broken off"));
    await expect(new Response(full.stream).bytes()).rejects.toThrow("broken off");
    expect(full.push(bytes(1))).toBe(true);
  });

  test("that is complete stays complete: a later failure takes nothing back", async () => {
    const { source: body } = source();
    body.push(bytes(9));
    body.close();
    body.fail(new Error("late"));
    expect(await new Response(body.stream).bytes()).toEqual(bytes(9));
  });
});

/** Notes what it is told; `script` may act on its pump in the middle of a call. */
class Receiver implements PumpReceiver {
  readonly calls: string[] = [];
  script: (span: Uint8Array) => void = () => undefined;

  onPumpBytes(span: Uint8Array): void {
    this.calls.push(`bytes ${span.byteLength}`);
    this.script(span);
  }
  onPumpEnd(): void {
    this.calls.push("end");
  }
  onPumpFailed(error: unknown): void {
    this.calls.push(`failed ${error instanceof Error ? error.message : String(error)}`);
  }
}

function pump(stream: ReadableStream<unknown>): { receiver: Receiver; pump: BodyPump } {
  const receiver = new Receiver();
  return { receiver, pump: new BodyPump(stream, receiver) };
}

/** Chunks on demand; counts how many were asked for, and notes why it was cancelled. */
function counted(chunks: readonly unknown[]): {
  stream: ReadableStream;
  pulls: () => number;
  why: unknown[];
} {
  let pulls = 0;
  const why: unknown[] = [];
  const stream = new ReadableStream(
    {
      pull(controller) {
        const chunk = chunks[pulls++];
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      },
      cancel(reason) {
        why.push(reason);
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, pulls: () => pulls, why };
}

describe("a pump", () => {
  test("begins paused and reads nothing", async () => {
    const { stream, pulls } = counted([bytes(1)]);
    const { receiver } = pump(stream);
    await settled();
    expect([pulls(), receiver.calls]).toEqual([0, []]);
  });

  test("gives out every chunk, leaves out empty ones, and ends once", async () => {
    const { stream } = counted([bytes(1), bytes(0), Buffer.from("ab")]);
    const { receiver, pump: running } = pump(stream);
    running.resume();
    running.resume();
    await settled();
    expect(receiver.calls).toEqual(["bytes 1", "bytes 2", "end"]);
  });

  test("paused in the middle reads no further chunk", async () => {
    const { stream, pulls } = counted([bytes(1), bytes(2), bytes(3)]);
    const { receiver, pump: running } = pump(stream);
    receiver.script = () => running.pause();
    running.resume();
    await settled();
    expect([pulls(), receiver.calls]).toEqual([1, ["bytes 1"]]);
    running.resume();
    await settled();
    expect([pulls(), receiver.calls]).toEqual([2, ["bytes 1", "bytes 2"]]);
  });

  test("paused during a read keeps the one chunk until it may go on", async () => {
    const { stream, pulls } = counted([bytes(1), bytes(2)]);
    const { receiver, pump: running } = pump(stream);
    running.resume();
    running.pause();
    await settled();
    expect([pulls(), receiver.calls]).toEqual([1, []]);
    running.resume();
    expect(receiver.calls).toEqual(["bytes 1"]);
    await settled();
    expect(receiver.calls).toEqual(["bytes 1", "bytes 2", "end"]);
  });

  test("gives a chunk of any size out in spans of 64 KiB, and stops between them", async () => {
    const whole = bytes(150 * KIB);
    const { receiver, pump: running } = pump(counted([whole]).stream);
    const seen: Uint8Array[] = [];
    receiver.script = (span) => {
      seen.push(span);
      running.pause();
    };
    for (const calls of [1, 2, 3]) {
      running.resume();
      await settled();
      expect(receiver.calls.length).toBe(calls);
    }
    expect(receiver.calls).toEqual(["bytes 65536", "bytes 65536", "bytes 22528"]);
    expect(Buffer.concat(seen).equals(whole)).toBe(true);
  });

  test("paused and resumed within one call keeps the order", async () => {
    const { receiver, pump: running } = pump(counted([bytes(150 * KIB), bytes(1)]).stream);
    receiver.script = () => {
      running.pause();
      running.resume();
    };
    running.resume();
    await settled();
    expect(receiver.calls).toEqual(["bytes 65536", "bytes 65536", "bytes 22528", "bytes 1", "end"]);
  });

  test.each([["text"], [7], [null], [new ArrayBuffer(3)], [[1, 2]], [new Uint16Array(2)]])(
    "fails on a chunk that is no Uint8Array: %p",
    async (chunk) => {
      const { stream, why } = counted([bytes(1), chunk, bytes(2)]);
      const { receiver, pump: running } = pump(stream);
      running.resume();
      await settled();
      expect(receiver.calls).toEqual(["bytes 1", "failed a chunk of the body is no Uint8Array"]);
      expect(why.length).toBe(1);
    },
  );

  test("fails when the stream does", async () => {
    const { receiver, pump: running } = pump(
      new ReadableStream({ pull: () => Promise.reject(new Error("no more")) }, { highWaterMark: 0 }),
    );
    running.resume();
    await settled();
    expect(receiver.calls).toEqual(["failed no more"]);
  });

  test("fails when its receiver throws, and lets the stream go", async () => {
    const { stream, why } = counted([bytes(1), bytes(2)]);
    const { receiver, pump: running } = pump(stream);
    receiver.script = () => {
      throw new Error("receiver");
    };
    running.resume();
    await settled();
    expect(receiver.calls).toEqual(["bytes 1", "failed receiver"]);
    expect(why.length).toBe(1);
  });

  test("cancelled is silent: no chunk that was being read, no end, no failure of the cancellation", async () => {
    let give: (chunk: Uint8Array) => void = () => undefined;
    let why: unknown;
    const stream = new ReadableStream({
      start(controller) {
        give = (chunk) => controller.enqueue(chunk);
      },
      cancel(reason) {
        why = reason;
        throw new Error("cannot stop");
      },
    });
    const { receiver, pump: running } = pump(stream);
    running.resume();
    give(bytes(1));
    running.cancel(new Error("enough"));
    running.cancel(new Error("twice"));
    await settled();
    running.resume();
    await settled();
    expect(receiver.calls).toEqual([]);
    expect(String(why)).toBe("Error: enough");
  });

  test("cancelled from within a call gives out nothing more", async () => {
    const { receiver, pump: running } = pump(counted([bytes(150 * KIB), bytes(1)]).stream);
    receiver.script = () => running.cancel(new Error("enough"));
    running.resume();
    await settled();
    expect(receiver.calls).toEqual(["bytes 65536"]);
  });

  test("refuses a stream that somebody reads already", () => {
    const { stream } = counted([]);
    stream.getReader();
    expect(() => pump(stream)).toThrow(TypeError);
  });
});

describe("a source into a pump", () => {
  test("loses, doubles and reorders nothing, whatever the sizes and stops", async () => {
    let state = 1;
    const chance = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state % limit;
    };
    const sent = new Bun.CryptoHasher("sha256");
    const seen = new Bun.CryptoHasher("sha256");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let left = 400;
    let pushing: () => void = () => undefined;
    const body = new BodySource({ onSourceRoom: () => pushing() });
    const running: BodyPump = new BodyPump(body.stream, {
      onPumpBytes(span) {
        seen.update(span);
        if (chance(3) === 0) {
          running.pause();
          setImmediate(() => running.resume());
        }
      },
      onPumpEnd: resolve,
      onPumpFailed: reject,
    });
    pushing = () => {
      while (left-- > 0) {
        const span = bytes(chance(20) === 0 ? chance(200 * KIB) : chance(3000), chance(256));
        sent.update(span);
        if (!body.push(span)) return;
      }
      body.close();
    };
    running.resume();
    pushing();
    await promise;
    expect(seen.digest("hex")).toBe(sent.digest("hex"));
  });
});

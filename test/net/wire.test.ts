// The contract of a wire, kept by each kind of socket that the program has: accepted and dialled, plain and TLS. Then
// the exact steps of one over a scripted socket, whose short writes can be said in advance.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { SILENT, SocketWire, type WireSocket } from "../../src/net/wire.ts";
import { wireContract } from "../support/net-wire-contract.ts";
import { Witness } from "../support/net-witness.ts";
import { runProgram } from "../support/programs.ts";

for (const way of ["accepted", "dialled", "TLS accepted", "TLS dialled"] as const) wireContract(way);

/** A socket that takes what the script says, and writes down what was asked of it. */
class ScriptedSocket {
  readonly calls: string[] = [];
  readonly taken: string[] = [];
  readonly #takes: number[];

  constructor(...takes: number[]) {
    this.#takes = takes;
  }

  write(whole: Uint8Array, from = 0, length = whole.length): number {
    const bytes = whole.subarray(from, from + length);
    const most = this.#takes.shift() ?? Number.POSITIVE_INFINITY;
    const taken = Math.min(bytes.length, most);
    this.calls.push(`write ${bytes.length}`);
    if (taken > 0) this.taken.push(Buffer.from(bytes.subarray(0, taken)).toString("latin1"));
    return taken;
  }

  pause(): void {
    this.calls.push("pause");
  }

  resume(): void {
    this.calls.push("resume");
  }

  shutdown(): void {
    this.calls.push("shutdown");
  }

  end(): void {
    this.calls.push("end");
  }

  terminate(): void {
    this.calls.push("terminate");
  }
}

function scripted(...takes: number[]): { wire: SocketWire; socket: ScriptedSocket; seen: Witness } {
  const socket = new ScriptedSocket(...takes);
  const wire = new SocketWire();
  wire.socket = socket as unknown as WireSocket; // only what a wire calls
  const seen = new Witness();
  wire.handler = seen;
  return { wire, socket, seen };
}

const text = (length: number): Uint8Array => Buffer.alloc(length, "x");

describe("a wire over a scripted socket", () => {
  test("joins queued pieces to one write", () => {
    const { wire, socket } = scripted();
    for (const piece of ["HTTP/1.1 200 OK\r\n", "\r\n", "body"]) wire.queue(Buffer.from(piece));
    expect(socket.calls).toEqual([]);
    wire.flush();
    expect(socket.calls).toEqual(["write 23"]);
    expect(socket.taken).toEqual(["HTTP/1.1 200 OK\r\n\r\nbody"]);
  });

  test("takes latin1 text beside bytes, every character one byte", () => {
    const { wire, socket } = scripted(7);
    wire.queue("A: \xe9\r\n");
    wire.queue(Buffer.from("\xff\x00", "latin1"));
    wire.queue("end");
    expect(wire.backlog).toBe(11);
    expect(wire.flush()).toBe(false);
    // Another wire writes through the same scratch meanwhile.
    scripted().wire.write("overwritten?");
    wire.onSocketDrain();
    expect(socket.taken.join("")).toBe("A: \xe9\r\n\xff\x00end");
    expect(socket.calls).toEqual(["write 11", "write 4"]);
  });

  test("text larger than what is joined goes by itself", () => {
    const { wire, socket } = scripted();
    wire.queue("x".repeat(70_000));
    wire.queue("y");
    wire.flush();
    expect(socket.calls).toEqual(["write 70000", "write 1"]);
  });

  test("writes a single piece as it is, and large ones one by one rather than copy them", () => {
    const { wire, socket } = scripted();
    wire.write(text(5));
    wire.queue(text(40_000));
    wire.queue(text(40_000));
    wire.flush();
    expect(socket.calls).toEqual(["write 5", "write 40000", "write 40000"]);
  });

  test("joins many small pieces to writes of at most 64 KiB", () => {
    const { wire, socket } = scripted();
    for (let at = 0; at < 100; at++) wire.queue(text(1_000));
    wire.queue(text(70_000));
    wire.queue(text(1));
    wire.flush();
    expect(socket.calls).toEqual(["write 65000", "write 35000", "write 70000", "write 1"]);
    expect([wire.accepted, wire.backlog]).toEqual([170_001, 0]);
  });

  describe("memory of bytes that were given", () => {
    const own = (length: number): Buffer => Buffer.allocUnsafeSlow(length).fill("x");

    test("goes back when the last of them has left, and not before", () => {
      const { wire, socket } = scripted(10_000, 10_000);
      const bytes = own(30_000);
      const behind = own(20_000);
      wire.queue("head ");
      wire.give(bytes);
      wire.give(behind);
      wire.flush();
      expect([bytes.length, behind.length]).toEqual([30_000, 20_000]);
      wire.onSocketDrain();
      expect([bytes.length, behind.length]).toEqual([30_000, 20_000]);
      wire.onSocketDrain();
      expect([bytes.length, behind.length]).toEqual([0, 0]);
      expect(socket.taken.join("")).toBe(`head ${"x".repeat(50_000)}`);
      expect([wire.accepted, wire.backlog]).toEqual([50_005, 0]);
    });

    test("stays where it holds something else, is small, or was queued", () => {
      const { wire, socket } = scripted();
      const shared = own(30_000);
      const small = own(100);
      const queued = own(30_000);
      wire.give(shared.subarray(1));
      wire.give(small);
      wire.queue(queued);
      wire.flush();
      expect([shared.length, small.length, queued.length]).toEqual([30_000, 100, 30_000]);
      expect(socket.taken.join("").length).toBe(60_099);
    });

    test("is left to the collector when the connection is given up", () => {
      const { wire } = scripted(1);
      const bytes = own(30_000);
      wire.give(bytes);
      wire.flush();
      wire.destroy();
      wire.give(own(30_000));
      expect(wire.flush()).toBe(true);
      expect(bytes.length).toBe(30_000);
    });
  });

  test("goes on after each short write exactly where it stopped", () => {
    const { wire, socket, seen } = scripted(3, 0, 2);
    expect(wire.write(Buffer.from("abcdefgh"))).toBe(false);
    expect([wire.accepted, wire.backlog]).toEqual([3, 5]);
    wire.onSocketDrain();
    expect([wire.accepted, wire.backlog]).toEqual([3, 5]);
    wire.onSocketDrain();
    expect([wire.accepted, wire.backlog]).toEqual([5, 3]);
    expect(seen.drains).toBe(0);
    wire.onSocketDrain();
    expect(socket.taken).toEqual(["abc", "de", "fgh"]);
    expect([wire.accepted, wire.backlog]).toEqual([8, 0]);
    expect(seen.drains).toBe(1);
  });

  // The runtime answers -1 for a peer that can no longer be written to.
  test("gives up writing to a peer that is gone, and reads on to notice its end", () => {
    const { wire, socket, seen } = scripted(3, -1);
    wire.write(Buffer.from("abcdefgh"));
    wire.pause();
    wire.onSocketDrain();
    expect([wire.accepted, wire.backlog, wire.closed]).toEqual([3, 0, false]);
    expect(socket.calls).toEqual(["write 8", "pause", "write 5", "resume"]);
    expect(wire.write(Buffer.from("more"))).toBe(true);
    wire.pause();
    expect(socket.calls).toHaveLength(4);
    wire.onSocketClose();
    expect(seen.events).toEqual(["close"]);
  });

  test("does not overtake: a write behind a backlog waits, and its owner is told once", () => {
    const { wire, socket, seen } = scripted(1, 0);
    wire.write(Buffer.from("ab"));
    wire.write(Buffer.from("cd"));
    expect([wire.accepted, wire.backlog]).toEqual([1, 3]);
    wire.onSocketDrain();
    expect(socket.taken.join("")).toBe("abcd");
    expect(seen.drains).toBe(1);
  });

  test("end() sends FIN only behind the last byte, and only once", () => {
    const { wire, socket } = scripted(1, 1);
    wire.write(Buffer.from("abc"));
    wire.end();
    expect(socket.calls).not.toContain("shutdown");
    wire.onSocketDrain();
    expect(socket.calls.at(-1)).toBe("shutdown");
    expect(socket.taken.join("")).toBe("abc");
    wire.end();
    wire.onSocketDrain();
    expect(socket.calls.filter((call) => call === "shutdown")).toHaveLength(1);
  });

  test("pause and resume reach the socket once for any number of calls", () => {
    const { wire, socket } = scripted();
    wire.resume();
    for (let i = 0; i < 3; i++) wire.pause();
    for (let i = 0; i < 3; i++) wire.resume();
    expect(socket.calls).toEqual(["pause", "resume"]);
  });

  test.each([
    ["close", "end"],
    ["destroy", "terminate"],
  ] as const)("%s() is %s on the socket, once, whatever follows", (how, call) => {
    const { wire, socket, seen } = scripted(0);
    wire.write(Buffer.from("abc"));
    wire[how]();
    wire.close();
    wire.destroy();
    wire.end();
    wire.pause();
    wire.onSocketDrain();
    wire.onSocketClose();
    expect(socket.calls).toEqual(["write 3", call]);
    expect(seen.events).toEqual([]);
    expect([wire.closed, wire.backlog]).toEqual([true, 0]);
  });

  test("a closed socket is told once, to the handler of that moment, and lets go of it", () => {
    const { wire, socket, seen } = scripted(0);
    wire.write(Buffer.from("abc"));
    wire.onSocketClose();
    wire.onSocketClose();
    expect(seen.events).toEqual(["close"]);
    expect(wire.handler).toBe(SILENT);
    expect(wire.socket).toBeUndefined();
    expect(socket.calls).toEqual(["write 3"]);
  });

  test("a drain whose flush ends in a close is not told", () => {
    const { wire, seen } = scripted(0);
    wire.write(Buffer.from("a"));
    wire.close();
    wire.onSocketDrain();
    expect(seen.drains).toBe(0);
  });
});

test("what a handler throws is reported for the process, and ends the connection", async () => {
  const support = join(import.meta.dir, "../support");
  const script = `
    const { listenWires } = await import(${JSON.stringify(join(support, "net-wires.ts"))});
    const { Witness } = await import(${JSON.stringify(join(support, "net-witness.ts"))});
    const { connect } = await import(${JSON.stringify(join(support, "client.ts"))});
    process.on("uncaughtException", (error) => console.log("reported:", error.message));
    const seen = new Witness();
    const server = listenWires((wire) => {
      seen.onPiece = () => { throw new Error("a bug of ours"); };
      wire.handler = seen;
    });
    const client = await connect("127.0.0.1", server.port);
    await client.write("x");
    await client.whenClosed();
    await seen.untilEvent("close");
    console.log("closed");
    server.stop(true);
  `;
  const { stdout } = await runProgram([process.execPath, "-e", script]);
  expect(stdout.trim().split("\n").sort()).toEqual(["closed", "reported: a bug of ours"]);
});

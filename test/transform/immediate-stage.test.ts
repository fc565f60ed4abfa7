// What every stage that works within the call owes its sink.

import { describe, expect, test } from "bun:test";
import { ImmediateStage } from "../../src/transform/immediate-stage.ts";
import { ProxyError } from "../../src/values/errors.ts";
import { RecordingSink, responseHead } from "../support/stage-sink.ts";

/** Passes bytes on; a "!" fails, and the end adds a full stop to what was something. */
class Probe extends ImmediateStage {
  #some = false;
  protected override take(bytes: Uint8Array): void {
    this.#some = true;
    if (Buffer.from(bytes).includes("!")) this.fail(new ProxyError("bad-response", "no"));
    this.give(bytes);
    this.give(Buffer.from(","));
  }
  protected override finish(): void {
    if (this.#some) this.give(Buffer.from("."));
  }
}

function probe() {
  const sink = new RecordingSink();
  return { sink, stage: new Probe(responseHead(200, {}), sink) };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("ImmediateStage", () => {
  test("the head does not come from within begin(), but before any byte has", async () => {
    const { sink } = probe();
    expect(sink.head).toBeUndefined();
    await sink.until(() => sink.head !== undefined);
    expect(sink.size).toBe(0);
  });

  test("bytes that come at once find the head before them, once", async () => {
    const { sink, stage } = probe();
    stage.write(Buffer.from("a"));
    stage.end();
    await turn();
    expect(sink.text).toBe("a,.");
    expect(sink.ended).toBe(true);
    expect(sink.breaches).toEqual([]);
  });

  test("an answer without a body is its head and its end", () => {
    const { sink, stage } = probe();
    stage.end();
    expect(sink.head).toBeDefined();
    expect([sink.size, sink.ended]).toEqual([0, true]);
  });

  test("an empty write is none", () => {
    const { sink, stage } = probe();
    expect(stage.write(new Uint8Array(0))).toBe(true);
    expect(sink.size).toBe(0);
  });

  test("paused, a write says no and is done all the same; room is told once, on resume", () => {
    const { sink, stage } = probe();
    stage.pause();
    stage.resume();
    expect(sink.rooms).toBe(0);
    stage.pause();
    expect(stage.write(Buffer.from("a"))).toBe(false);
    expect(sink.text).toBe("a,");
    stage.resume();
    stage.resume();
    expect(sink.rooms).toBe(1);
    expect(stage.write(Buffer.from("b"))).toBe(true);
  });

  test("a pause from within onStageBytes counts for the write that it is in", () => {
    const { sink, stage } = probe();
    sink.onBytes = () => stage.pause();
    expect(stage.write(Buffer.from("a"))).toBe(false);
  });

  test("after abort() nothing is called, not even the head", async () => {
    const { sink, stage } = probe();
    stage.abort();
    sink.aborted = true;
    await turn();
    stage.write(Buffer.from("a"));
    stage.resume();
    stage.end();
    expect(sink.breaches).toEqual([]);
    expect(sink.head).toBeUndefined();
  });

  test("abort() from within a call is heard in the middle of a write", () => {
    const { sink, stage } = probe();
    sink.onBytes = () => {
      stage.abort();
      sink.aborted = true;
    };
    expect(stage.write(Buffer.from("a"))).toBe(true);
    stage.end();
    expect(sink.text).toBe("a");
    expect(sink.breaches).toEqual([]);
  });

  test("a failure is the last that is heard", async () => {
    const { sink, stage } = probe();
    stage.write(Buffer.from("a!"));
    stage.write(Buffer.from("b"));
    stage.end();
    await turn();
    expect(sink.error?.message).toBe("no");
    expect(sink.size).toBe(0);
    expect(sink.breaches).toEqual([]);
  });
});

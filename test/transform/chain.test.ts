// Two stages behind each other: bytes forwards, room backwards, and whatever ends one ends both.

import { describe, expect, test } from "bun:test";
import type { BodyStage } from "../../src/transform/body-stage.ts";
import { type ByteSink, chained } from "../../src/transform/chain.ts";
import { ProxyError } from "../../src/values/errors.ts";
import { RecordingSink, responseHead } from "../support/stage-sink.ts";

/** A stage that writes down its calls and passes bytes on under its name. */
class Probe implements BodyStage {
  readonly calls: string[] = [];
  room = true;
  readonly sink: ByteSink;
  readonly #name: string;

  constructor(name: string, sink: ByteSink) {
    this.#name = name;
    this.sink = sink;
  }

  write(bytes: Uint8Array): boolean {
    this.calls.push(`write ${Buffer.from(bytes)}`);
    this.sink.onStageBytes(Buffer.from(`${this.#name}(${Buffer.from(bytes)})`));
    return this.room;
  }
  end(): void {
    this.calls.push("end");
    this.sink.onStageEnd();
  }
  abort(): void {
    this.calls.push("abort");
  }
  pause(): void {
    this.calls.push("pause");
  }
  resume(): void {
    this.calls.push("resume");
  }
}

function rig() {
  const sink = new RecordingSink();
  const made: Record<string, Probe> = {};
  const stage = chained(
    (inner) => (made.front = new Probe("front", inner)),
    (outer) => {
      made.back = new Probe("back", outer);
      outer.onStageHead(responseHead(200, {}));
      return made.back;
    },
    sink,
  );
  return { sink, stage, front: made.front as Probe, back: made.back as Probe };
}

describe("chained", () => {
  test("bytes go through both, the end too", () => {
    const { sink, stage } = rig();
    expect(stage.write(Buffer.from("x"))).toBe(true);
    stage.end();
    expect(sink.text).toBe("back(front(x))");
    expect(sink.ended).toBe(true);
    expect(sink.breaches).toEqual([]);
  });

  test("a full back pauses the front, its room resumes it; the front's own room is the chain's", () => {
    const { sink, stage, front, back } = rig();
    back.room = false;
    front.room = false;
    expect(stage.write(Buffer.from("x"))).toBe(false);
    expect(front.calls).toEqual(["write x", "pause"]);
    back.sink.onStageRoom();
    expect(front.calls.at(-1)).toBe("resume");
    expect(sink.rooms).toBe(0);
    front.sink.onStageRoom();
    expect(sink.rooms).toBe(1);
  });

  test("the client's pause reaches the back", () => {
    const { stage, front, back } = rig();
    stage.pause();
    stage.resume();
    expect(back.calls).toEqual(["pause", "resume"]);
    expect(front.calls).toEqual([]);
  });

  test.each(["front", "back"] as const)("a failure of the %s ends the other and is told once", (which) => {
    const made = rig();
    const error = new ProxyError("bad-response", "no");
    made[which].sink.onStageFailed(error);
    expect(made.sink.error).toBe(error);
    expect(made[which === "front" ? "back" : "front"].calls).toEqual(["abort"]);
  });

  test("abort() reaches both, and so does an end that the back finds by itself", () => {
    const aborted = rig();
    aborted.stage.abort();
    expect([aborted.front.calls, aborted.back.calls]).toEqual([["abort"], ["abort"]]);
    const ended = rig();
    ended.back.sink.onStageEnd();
    expect(ended.front.calls).toEqual(["abort"]);
    expect(ended.sink.ended).toBe(true);
  });
});

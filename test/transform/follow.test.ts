// A transformer behind a stage: it sees what the stage makes, the client sees what it makes of that.

import { describe, expect, test } from "bun:test";
import type { BodyStage, StageSink, TransformContext, Transformer } from "../../src/transform/body-stage.ts";
import { followed } from "../../src/transform/follow.ts";
import { ProxyError } from "../../src/values/errors.ts";
import { RecordingSink, responseHead, transformContext } from "../support/stage-sink.ts";

/** Writes down its calls and passes bytes on under its name. */
class Probe implements BodyStage {
  readonly calls: string[] = [];
  room = true;
  readonly sink: StageSink;
  readonly #name: string;

  constructor(name: string, sink: StageSink) {
    this.#name = name;
    this.sink = sink;
  }

  write(bytes: Uint8Array): boolean {
    this.sink.onStageBytes(Buffer.from(`${this.#name}(${Buffer.from(bytes)})`));
    return this.room;
  }
  end(): void {
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

const CONTEXT: TransformContext = transformContext({});

function rig(answers = true) {
  const sink = new RecordingSink();
  const made: { front?: Probe; back?: Probe } = {};
  const last: Transformer = {
    begin(_, head, outer) {
      if (!answers) return undefined;
      head.headers.set("X-Seen", head.headers.get("x-made") ?? "");
      outer.onStageHead(head);
      made.back = new Probe("back", outer);
      return made.back;
    },
  };
  const stage = followed((inner) => (made.front = new Probe("front", inner)), last, CONTEXT, sink);
  if (stage === undefined || made.front === undefined) throw new Error("no stage");
  return { sink, stage, front: made.front, made };
}

describe("followed", () => {
  test("the last sees the head of the front, and its bytes", () => {
    const { sink, stage, front } = rig();
    front.sink.onStageHead(responseHead(200, { "X-Made": "by the front" }));
    expect(stage.write(Buffer.from("x"))).toBe(true);
    stage.end();
    expect(sink.head?.headers.get("x-seen")).toBe("by the front");
    expect(sink.text).toBe("back(front(x))");
    expect(sink.ended).toBe(true);
  });

  test("a last that leaves the answer alone passes it on as the front made it", () => {
    const { sink, stage, front } = rig(false);
    front.sink.onStageHead(responseHead(200, { "X-Made": "by the front" }));
    stage.write(Buffer.from("x"));
    stage.end();
    expect(sink.head?.headers.get("x-made")).toBe("by the front");
    expect(sink.text).toBe("front(x)");
    expect(sink.ended).toBe(true);
  });

  test("a front that leaves the answer alone is no stage at all", () => {
    const last: Transformer = { begin: () => undefined };
    expect(followed(() => undefined, last, CONTEXT, new RecordingSink())).toBeUndefined();
  });

  test("a full last pauses the front, its room resumes it; a client that pauses pauses the last", () => {
    const { stage, front, made } = rig();
    stage.pause();
    front.sink.onStageHead(responseHead(200, {}));
    const back = made.back as Probe;
    expect([front.calls, back.calls]).toEqual([["pause"], ["pause"]]);
    stage.resume();
    expect([front.calls.at(-1), back.calls.at(-1)]).toEqual(["resume", "resume"]);
    back.room = false;
    stage.write(Buffer.from("x"));
    expect(front.calls.at(-1)).toBe("pause");
    back.sink.onStageRoom();
    expect(front.calls.at(-1)).toBe("resume");
  });

  test("whatever ends one ends the other", () => {
    const error = new ProxyError("bad-response", "no");
    const first = rig();
    first.front.sink.onStageHead(responseHead(200, {}));
    first.front.sink.onStageFailed(error);
    expect([first.sink.error, first.made.back?.calls]).toEqual([error, ["abort"]]);
    const second = rig();
    second.front.sink.onStageHead(responseHead(200, {}));
    second.made.back?.sink.onStageFailed(error);
    expect([second.sink.error, second.front.calls]).toEqual([error, ["abort"]]);
    const third = rig();
    third.front.sink.onStageHead(responseHead(200, {}));
    third.stage.abort();
    expect([third.front.calls, third.made.back?.calls]).toEqual([["abort"], ["abort"]]);
  });
});

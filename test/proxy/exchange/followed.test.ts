// One stage behind another that is begun by the head which the first gives out.
import { describe, expect, test } from "bun:test";
import type { ResponseHead } from "../../../src/http1/head.ts";
import { HeaderList } from "../../../src/http1/headers.ts";
import { followed } from "../../../src/proxy/exchange/followed.ts";
import type { BodyStage, StageSink } from "../../../src/transform/body-stage.ts";
import { ProxyError } from "../../../src/values/errors.ts";

const HEAD: ResponseHead = { status: 200, reason: "OK", minor: 1, headers: new HeaderList() };
const CHANGED: ResponseHead = { ...HEAD, status: 201 };
const FAILURE = new ProxyError("bad-response", "no");

/** A stage that notes what is asked of it, and says what the test wants. */
class Scripted implements BodyStage {
  readonly #name: string;
  readonly #notes: string[];
  readonly says: StageSink;
  room = true;
  replaces = false;

  constructor(name: string, notes: string[], says: StageSink) {
    this.#name = name;
    this.#notes = notes;
    this.says = says;
  }

  write(bytes: Uint8Array): boolean {
    this.#notes.push(`${this.#name} gets ${Buffer.from(bytes)}`);
    return this.room;
  }

  end(): void {
    this.#notes.push(`${this.#name} ends`);
  }

  abort(): void {
    this.#notes.push(`${this.#name} is aborted`);
  }

  pause(): void {
    this.#notes.push(`${this.#name} is paused`);
  }

  resume(): void {
    this.#notes.push(`${this.#name} goes on`);
  }
}

function sinkOf(notes: string[]): StageSink {
  return {
    onStageHead: ({ status }) => notes.push(`head ${status}`),
    onStageBytes: (bytes) => notes.push(`bytes ${Buffer.from(bytes)}`),
    onStageRoom: () => notes.push("room"),
    onStageEnd: () => notes.push("end"),
    onStageFailed: (error) => notes.push(`failed ${error.message}`),
  };
}

interface Pair {
  readonly notes: string[];
  readonly stage: BodyStage;
  readonly front: Scripted;
  /** Undefined before the front has given its head. */
  back(): Scripted;
  /** What has been noted since the last time. */
  noted(): string[];
}

function pair(hasBack = true): Pair {
  const notes: string[] = [];
  let front: Scripted | undefined;
  let back: Scripted | undefined;
  const stage = followed(
    (sink) => {
      front = new Scripted("front", notes, sink);
      return front;
    },
    (head, sink) => {
      notes.push(`back is asked about ${head.status}`);
      if (hasBack) back = new Scripted("back", notes, sink);
      return back;
    },
    HEAD,
    sinkOf(notes),
  );
  if (stage === undefined || front === undefined) throw new Error("nothing has begun");
  return {
    ...{ notes, stage, front },
    back() {
      if (back === undefined) throw new Error("there is no second stage yet");
      return back;
    },
    noted: () => notes.splice(0),
  };
}

const bytes = (text: string): Buffer => Buffer.from(text);

describe("without a first stage", () => {
  test("the second decides by the upstream's head", () => {
    const notes: string[] = [];
    const back = new Scripted("back", notes, sinkOf(notes));
    expect(
      followed(
        () => undefined,
        (head) => (head === HEAD ? back : undefined),
        HEAD,
        sinkOf(notes),
      ),
    ).toBe(back);
  });

  test("and without a second one the answer goes on as it is", () => {
    expect(
      followed(
        () => undefined,
        () => undefined,
        HEAD,
        sinkOf([]),
      ),
    ).toBeUndefined();
  });

  test("what the first one throws is thrown", () => {
    const refuse = (): BodyStage => {
      throw FAILURE;
    };
    expect(() => followed(refuse, () => undefined, HEAD, sinkOf([]))).toThrow(FAILURE);
  });
});

describe("a first stage alone", () => {
  test("is heard as it speaks", () => {
    const { front, stage, noted } = pair(false);
    stage.write(bytes("a"));
    front.says.onStageHead(CHANGED);
    front.says.onStageBytes(bytes("b"));
    front.says.onStageRoom();
    stage.pause();
    stage.resume();
    stage.end();
    front.says.onStageEnd();
    expect(noted()).toEqual([
      ...["front gets a", "back is asked about 201", "head 201", "bytes b", "room"],
      ...["front is paused", "front goes on", "front ends", "end"],
    ]);
  });
});

describe("two stages", () => {
  test("make another answer where the first one does", () => {
    const { front, stage } = pair();
    expect(stage.replaces).toBe(false);
    front.replaces = true;
    expect(stage.replaces).toBe(true);
  });

  test("bytes go through both, and what the second says is heard", () => {
    const { front, back, stage, noted } = pair();
    stage.write(bytes("a"));
    front.says.onStageHead(CHANGED);
    front.says.onStageBytes(bytes("b"));
    back().says.onStageHead(CHANGED);
    back().says.onStageBytes(bytes("c"));
    stage.end();
    front.says.onStageEnd();
    expect(noted()).toEqual([
      ...["front gets a", "back is asked about 201", "back gets b", "head 201", "bytes c"],
      ...["front ends", "back ends"],
    ]);
    back().says.onStageEnd();
    expect(noted()).toEqual(["front is aborted", "end"]);
  });

  test("a second stage that is full pauses the first, and its room lets it go on", () => {
    const { front, back, noted } = pair();
    front.says.onStageHead(CHANGED);
    back().room = false;
    noted();
    front.says.onStageBytes(bytes("b"));
    back().says.onStageRoom();
    front.says.onStageRoom();
    expect(noted()).toEqual(["back gets b", "front is paused", "front goes on", "room"]);
  });

  test("a client that is slow before the head has come stops the second, never the first for good", () => {
    const { front, stage, noted } = pair();
    stage.pause();
    front.says.onStageHead(CHANGED);
    stage.resume();
    expect(noted()).toEqual([
      ...["front is paused", "back is asked about 201", "back is paused", "front goes on", "back goes on"],
    ]);
  });

  test("a failure of the first ends the second", () => {
    const { front, noted } = pair();
    front.says.onStageHead(CHANGED);
    noted();
    front.says.onStageFailed(FAILURE);
    front.says.onStageBytes(bytes("late"));
    front.says.onStageEnd();
    expect(noted()).toEqual(["back is aborted", "failed no"]);
  });

  test("a failure of the first before its head is one as well", () => {
    const { front, noted } = pair();
    front.says.onStageFailed(FAILURE);
    front.says.onStageHead(CHANGED);
    expect(noted()).toEqual(["failed no"]);
  });

  test("a failure of the second ends the first", () => {
    const { front, back, noted } = pair();
    front.says.onStageHead(CHANGED);
    noted();
    back().says.onStageFailed(FAILURE);
    front.says.onStageBytes(bytes("late"));
    expect(noted()).toEqual(["front is aborted", "failed no"]);
  });

  test("an abort ends both, and nothing is said any more", () => {
    const { front, stage, noted } = pair();
    front.says.onStageHead(CHANGED);
    noted();
    stage.abort();
    front.says.onStageBytes(bytes("late"));
    front.says.onStageRoom();
    front.says.onStageEnd();
    front.says.onStageFailed(FAILURE);
    expect(noted()).toEqual(["front is aborted", "back is aborted"]);
  });
});

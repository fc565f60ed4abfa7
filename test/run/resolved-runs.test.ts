// Tokens that select runs: what a resolver of an embedding program may answer, and what is no answer.

import { describe, expect, test } from "bun:test";
import { ResolvedRuns, type Resolver } from "../../src/run/resolved-runs.ts";
import { makeRun } from "../support/session-rig.ts";

const RUN = makeRun();
const DATA = { runID: "r" };

function runs(resolve: Resolver<object>): ResolvedRuns<object> {
  return new ResolvedRuns(resolve, () => RUN);
}

/** A promise that is no Promise, as query builders are. */
function thenable<T>(value: T): PromiseLike<T> {
  // biome-ignore lint/suspicious/noThenProperty: that is what is tested
  return { then: (onValue) => Promise.resolve(value).then(onValue) } as PromiseLike<T>;
}

describe("ResolvedRuns", () => {
  test("the same value is the same run, compiled once", () => {
    let compiled = 0;
    const twice = new ResolvedRuns(
      () => DATA,
      () => {
        compiled++;
        return makeRun();
      },
    );
    expect(twice.lookup("a")).toBe(twice.lookup("b"));
    expect(compiled).toBe(1);
  });

  test.each([undefined, ""])("nobody is asked for the token %j", (token) => {
    const none = runs(() => {
      throw new Error("asked");
    });
    expect(none.lookup(token)).toBeUndefined();
  });

  test("a promise of another make is awaited: taken for a run it would let every token in", async () => {
    expect(await runs(() => thenable(undefined)).lookup("wrong")).toBeUndefined();
    expect(await runs(() => thenable(DATA)).lookup("right")).toBe(RUN);
  });

  test("a resolver that throws or rejects, and data that is no run, are run-unresolved", async () => {
    const failing = (): never => {
      throw new Error("no");
    };
    expect(() => runs(failing).lookup("t")).toThrow("the run of this token could not be looked up");
    expect(() => new ResolvedRuns(() => DATA, failing).lookup("t")).toThrow("could not be looked up");
    const rejecting = runs(() => Promise.reject(new Error("no")));
    expect(Promise.resolve(rejecting.lookup("t"))).rejects.toThrow("could not be looked up");
  });
});

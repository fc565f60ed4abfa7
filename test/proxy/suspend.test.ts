// The one place that waits for a promise: exactly one call back, later, and none once cancelled.
// architecture.md, the life of a request, step 6.
import { describe, expect, test } from "bun:test";
import type { Decision } from "../../src/proxy/decision.ts";
import { decideLater, suspend } from "../../src/proxy/suspend.ts";
import { settled } from "../support/session-rig.ts";

/** What was called, in order. */
function watch<T>(promise: Promise<T>) {
  const calls: string[] = [];
  const wait = suspend(
    promise,
    (value) => calls.push(`value ${value}`),
    (error) => calls.push(`error ${error instanceof Error ? error.message : error}`),
  );
  return { calls, wait };
}

describe("a wait", () => {
  test("ends with the value, once, later", async () => {
    const { calls } = watch(Promise.resolve(7));
    expect(calls).toEqual([]);
    await settled();
    expect(calls).toEqual(["value 7"]);
  });

  test("ends with the error, once", async () => {
    const { calls } = watch(Promise.reject(new Error("no")));
    await settled();
    expect(calls).toEqual(["error no"]);
  });

  test("that is cancelled calls nobody, whatever the outcome", async () => {
    for (const outcome of [() => Promise.resolve(1), () => Promise.reject(new Error("no"))]) {
      const { calls, wait } = watch<number>(outcome());
      wait.cancel();
      await settled();
      expect(calls).toEqual([]);
    }
  });

  test("cancelled after its end stays ended", async () => {
    const { calls, wait } = watch(Promise.resolve(1));
    await settled();
    wait.cancel();
    await settled();
    expect(calls).toEqual(["value 1"]);
  });
});

describe("a decision that has to wait", () => {
  test("is made when the value is there, by whoever asks for it; a rejection is thrown there", async () => {
    const heard: string[] = [];
    const sink = {
      onDecided(outcome: () => Decision) {
        try {
          heard.push(outcome().kind);
        } catch (error) {
          heard.push(String(error));
        }
      },
    };
    const reply: Decision = { kind: "reply", reply: { status: 200, fields: [], contentType: "", body: "" } };
    decideLater(Promise.resolve(1), sink, () => reply);
    decideLater(Promise.reject(new Error("no")), sink, () => reply);
    decideLater(Promise.resolve(1), sink, () => reply).cancel();
    expect(heard).toEqual([]);
    await settled();
    expect(heard.sort()).toEqual(["Error: no", "reply"]);
  });
});

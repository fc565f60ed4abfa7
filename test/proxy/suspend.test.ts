// The one place that waits for a promise: exactly one call back, later, and none once cancelled.
// architecture.md, the life of a request, step 6.
import { describe, expect, test } from "bun:test";
import { refreshAll, suspend } from "../../src/proxy/suspend.ts";
import { ScriptedSlot, settled } from "../support/session-rig.ts";

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

describe("fetching several secrets", () => {
  test("is done when the last one is there", async () => {
    const slots = [new ScriptedSlot(), new ScriptedSlot()];
    const { calls } = watch(refreshAll(slots.map((slot) => ({ slot }))).then(() => "all"));
    expect(slots.map((slot) => slot.refreshes)).toEqual([1, 1]);
    slots[1]?.resolve("b");
    await settled();
    expect(calls).toEqual([]);
    slots[0]?.resolve("a");
    await settled();
    expect(calls).toEqual(["value all"]);
  });

  test("fails with the first that fails", async () => {
    const slots = [new ScriptedSlot(), new ScriptedSlot()];
    const { calls } = watch(refreshAll(slots.map((slot) => ({ slot }))).then(() => "all"));
    slots[1]?.reject(new Error("gone"));
    await settled();
    expect(calls).toEqual(["error gone"]);
  });
});

// The library's proxy as a hostile client meets it: which tokens a context resolver lets in.

import { describe, expect, test } from "bun:test";
import { MoatProxy } from "../../src/api/proxy.ts";
import type { RunContextData } from "../../src/api/types.ts";

describe("a context resolver that looks tokens up in an object", () => {
  const table: Record<string, RunContextData> = { good: { runID: "r" } };
  const proxy = new MoatProxy();
  proxy.setContextResolver((token) => table[token]);
  const { runs } = proxy.snapshot();

  test("lets in what it has", () => {
    expect(runs.lookup("good")).toMatchObject({ runId: "r" });
    expect(runs.lookup("bad")).toBeUndefined();
  });

  test.each(["__proto__", "constructor", "toString", "hasOwnProperty"])(
    "does not let in %s, which every object has",
    (token) => {
      expect(() => runs.lookup(token)).toThrow("the run of this token could not be looked up");
    },
  );
});

describe("a context resolver that answers with something else than a run", () => {
  const answers: Record<string, unknown> = {
    "an empty object": {},
    "a list": [],
    "a number for a name": { runID: 1 },
    "a function": () => undefined,
    true: true,
  };
  test.each(Object.keys(answers))("%s lets nobody in", (name) => {
    const proxy = new MoatProxy();
    // The types of an embedding program in JavaScript are what they are.
    proxy.setContextResolver(() => answers[name] as RunContextData);
    expect(() => proxy.snapshot().runs.lookup("t")).toThrow("could not be looked up");
  });
});

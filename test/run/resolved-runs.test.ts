// Runs by token: what a resolver may answer, and what becomes of it. wire.md section 6. Also: it fits the Runs port.

import { describe, expect, test } from "bun:test";
import { runInNewContext } from "node:vm";
import type { Runs } from "../../src/proxy/ports.ts";
import { ResolvedRuns, type Resolver } from "../../src/run/resolved-runs.ts";
import { compileRun, type RunContext } from "../../src/run/run-context.ts";
import { ProxyError } from "../../src/values/errors.ts";

interface Data {
  readonly runId: string;
}

function compile({ runId }: Data): RunContext {
  if (runId === "broken") throw new Error("s3cret detail");
  return compileRun({ runId, network: { policy: "permissive", allow: [], grants: [] }, credentials: [] });
}

/** What a program without types may write. */
function resolved(answer: unknown): ResolvedRuns<Data> {
  return new ResolvedRuns(() => answer as ReturnType<Resolver<Data>>, compile);
}

async function failure(lookup: () => unknown): Promise<ProxyError> {
  try {
    await lookup();
  } catch (error) {
    if (error instanceof ProxyError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

describe("a token", () => {
  test("is always required, and is what the resolver is asked for", () => {
    const asked: string[] = [];
    const runs: Runs = new ResolvedRuns<Data>((token) => {
      asked.push(token);
      return { runId: token };
    }, compile);
    expect(runs.authRequired).toBe(true);
    expect((runs.lookup("a") as RunContext).runId).toBe("a");
    expect((runs.lookup(" a ") as RunContext).runId).toBe(" a ");
    expect(asked).toEqual(["a", " a "]);
  });

  test.each([undefined, ""])("that is missing or cannot be read selects nothing, unasked: %j", (token) => {
    const runs = new ResolvedRuns<Data>(() => {
      throw new Error("asked");
    }, compile);
    expect(runs.lookup(token)).toBeUndefined();
  });

  test.each([undefined, null])("for which the resolver has nothing selects nothing: %j", async (answer) => {
    expect(resolved(answer).lookup("t")).toBeUndefined();
    expect(await resolved(Promise.resolve(answer)).lookup("t")).toBeUndefined();
  });
});

describe("the same value is the same run", () => {
  test("compiled once, whatever the token and however it is answered", async () => {
    const data = { runId: "r" };
    let compiled = 0;
    const runs = new ResolvedRuns<Data>(
      (token) => (token === "later" ? Promise.resolve(data) : data),
      (item) => {
        compiled++;
        return compile(item);
      },
    );
    const first = runs.lookup("a");
    expect(runs.lookup("b")).toBe(first);
    expect(await runs.lookup("later")).toBe(first as RunContext);
    expect(compiled).toBe(1);
  });

  test("another value is another run, even for the same token and with the same content", () => {
    const runs = new ResolvedRuns<Data>(() => ({ runId: "r" }), compile);
    expect(runs.lookup("a")).not.toBe(runs.lookup("a"));
  });

  test("a revoked token selects nothing from the next request on", () => {
    const live = new Map([["t", { runId: "r" }]]);
    const runs = new ResolvedRuns<Data>((token) => live.get(token), compile);
    expect(runs.lookup("t")).toBeDefined();
    live.delete("t");
    expect(runs.lookup("t")).toBeUndefined();
  });
});

describe("a promise of any make is waited for: taken for the data it would be a run with every default", () => {
  // Of another realm: no instance of this one's Promise.
  const foreign = (code: string): unknown => runInNewContext(code);

  test("one of another realm", async () => {
    const answer = foreign(`Promise.resolve({ runId: "r" })`);
    expect(answer instanceof Promise).toBe(false);
    expect((await resolved(answer).lookup("t"))?.runId).toBe("r");
  });

  test("one of another realm that has nothing, or fails", async () => {
    expect(await resolved(foreign("Promise.resolve(undefined)")).lookup("t")).toBeUndefined();
    const failing = resolved(foreign(`Promise.reject(new Error("s3cret"))`));
    expect((await failure(() => failing.lookup("t"))).code).toBe("run-unresolved");
  });
});

describe("fails with run-unresolved, the reason for the log only", () => {
  const cases: readonly (readonly [string, () => ResolvedRuns<Data>])[] = [
    [
      "a resolver that throws",
      () =>
        new ResolvedRuns<Data>(() => {
          throw new Error("s3cret detail");
        }, compile),
    ],
    ["a resolver that rejects", () => resolved(Promise.reject(new Error("s3cret detail")))],
    ["a resolver that rejects without an error", () => resolved(Promise.reject("s3cret detail"))],
    ["data that cannot be compiled", () => resolved({ runId: "broken" })],
    ["data that cannot be compiled, later", () => resolved(Promise.resolve({ runId: "broken" }))],
    ["true", () => resolved(true)],
    ["false", () => resolved(false)],
    ["a string", () => resolved("s3cret detail")],
    ["an empty string", () => resolved("")],
    ["a number", () => resolved(1)],
    ["a function", () => resolved(() => ({ runId: "r" }))],
    ["true, later", () => resolved(Promise.resolve(true))],
  ];
  test.each(cases)("%s", async (_name, make) => {
    const runs = make();
    const error = await failure(() => runs.lookup("t"));
    expect([error.code, error.message]).toEqual([
      "run-unresolved",
      "the run of this token could not be looked up",
    ]);
    expect(error.cause).toBeDefined();
  });

  test("and the next request is looked up afresh", () => {
    let broken = true;
    const runs = new ResolvedRuns<Data>(() => {
      if (broken) throw new Error("down");
      return { runId: "r" };
    }, compile);
    expect(() => runs.lookup("t")).toThrow(ProxyError);
    broken = false;
    expect((runs.lookup("t") as RunContext).runId).toBe("r");
  });
});

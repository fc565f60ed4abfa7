// Runs by token: what a resolver may answer, and that whatever else it does is a failure and never a run.

import { describe, expect, test } from "bun:test";
import type { Runs } from "../../src/proxy/ports.ts";
import { ResolvedRuns } from "../../src/run/resolved-runs.ts";
import { compileRun, type RunContext } from "../../src/run/run-context.ts";
import { ProxyError } from "../../src/values/errors.ts";

interface Data {
  readonly id: string;
}

function compiled({ id }: Data): RunContext {
  if (id === "bad") throw new Error("credential for a.test: value: expected a text");
  const network = { policy: "permissive", allow: [], grants: [] } as const;
  return compileRun({ runId: id, network, credentials: [] });
}

/** A resolver without types. */
function runs(resolve: (token: string) => unknown): Runs {
  return new ResolvedRuns<Data>(resolve as (token: string) => Data, compiled);
}

async function lookedUp(
  resolve: (token: string) => unknown,
  token: string | undefined = "token",
): Promise<unknown> {
  try {
    return (await runs(resolve).lookup(token))?.runId;
  } catch (error) {
    return error;
  }
}

const THEN: string = "then";
/** A promise of another make. */
const THENABLE: unknown = Object.fromEntries([
  [THEN, (done: (value: Data) => void) => done({ id: "later" })],
]);

describe("ResolvedRuns", () => {
  test.each<[string, (token: string) => unknown, string | undefined]>([
    ["a value", () => ({ id: "now" }), "now"],
    ["a promise", async () => ({ id: "later" }), "later"],
    ["a promise of another make", () => THENABLE, "later"],
    ["undefined", () => undefined, undefined],
    ["null", () => null, undefined],
    ["a promise of undefined", async () => undefined, undefined],
    ["a promise of null", async () => null, undefined],
  ])("%s", async (_what, resolve, expected) => {
    expect(await lookedUp(resolve)).toBe(expected);
  });

  test.each<[string, (token: string) => unknown, string]>([
    [
      "throws",
      () => {
        throw new Error("database is down");
      },
      "database is down",
    ],
    ["rejects", () => Promise.reject(new Error("database is down")), "database is down"],
    ["rejects with no error", () => Promise.reject("down"), ""],
    ["answers false", () => false, "expected an object or undefined"],
    ["answers a text", () => "run-1", "expected an object or undefined"],
    ["answers a number later", async () => 7, "expected an object or undefined"],
    ["answers a function", () => () => undefined, "expected an object or undefined"],
    ["answers what cannot be compiled", () => ({ id: "bad" }), "credential for a.test"],
    ["answers that later", async () => ({ id: "bad" }), "credential for a.test"],
    [
      "answers what throws when it is read",
      () => ({
        get id(): string {
          throw new Error("getter");
        },
      }),
      "getter",
    ],
    [
      "answers what throws when it is awaited",
      () =>
        Object.defineProperty({}, THEN, {
          get: () => {
            throw new Error("then");
          },
        }),
      "then",
    ],
  ])("one that %s is run-unresolved, with the reason for the log", async (_what, resolve, reason) => {
    const error = await lookedUp(resolve);
    expect(error).toBeInstanceOf(ProxyError);
    const { code, message, cause } = error as ProxyError;
    expect([code, message]).toEqual(["run-unresolved", "the run of this token could not be looked up"]);
    expect(cause instanceof Error ? cause.message : "").toContain(reason);
  });

  test("a value is at hand at once: nothing waits for a promise that nobody made", () => {
    expect(runs(() => ({ id: "now" })).lookup("token")).not.toBeInstanceOf(Promise);
  });

  test.each([[undefined], [""]])("the token %j selects nothing, and the resolver is not asked", (token) => {
    let asked = 0;
    const all = runs(() => {
      asked++;
      return { id: "a" };
    });
    expect([all.authRequired, all.lookup(token), asked]).toEqual([true, undefined, 0]);
  });

  test("the same value is the same run; another one that says the same is another run", async () => {
    const data = { id: "a" };
    let answer: Data = data;
    const all = runs((token) => (token === "later" ? Promise.resolve(answer) : answer));
    const first = all.lookup("one");
    expect([all.lookup("two") === first, (await all.lookup("later")) === first]).toEqual([true, true]);
    answer = { id: "a" };
    expect(all.lookup("one")).not.toBe(first);
    answer = data;
    expect(all.lookup("one")).toBe(first);
  });

  test("what could not be compiled is tried again: it may have been mended", () => {
    const data = { id: "bad" };
    const all = runs(() => data);
    expect(() => all.lookup("one")).toThrow(ProxyError);
    data.id = "good";
    expect((all.lookup("one") as RunContext).runId).toBe("good");
  });
});

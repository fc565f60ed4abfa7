// Runs by token: what a context resolver answers, compiled once for each value that it gives. The same value is the same
// run; another value is another run, even for the same token. Fits the Runs port of the proxy folder by shape.
// wire.md section 6.

import { ProxyError } from "../values/errors.ts";
import type { RunContext } from "./run-context.ts";

/** Undefined or null for a token that selects nothing. */
export type Resolver<T extends object> = (
  token: string,
) => T | null | undefined | PromiseLike<T | null | undefined>;

export class ResolvedRuns<T extends object> {
  /** A token is what selects a run. */
  readonly authRequired = true;
  readonly #resolve: Resolver<T>;
  readonly #compile: (data: T) => RunContext;
  readonly #compiled = new WeakMap<T, RunContext>();

  /** @param compile throws an Error of one line for data that cannot be a run */
  constructor(resolve: Resolver<T>, compile: (data: T) => RunContext) {
    this.#resolve = resolve;
    this.#compile = compile;
  }

  /** @throws ProxyError `run-unresolved`, or rejects with it, when the resolver fails or answers what is no run */
  lookup(token: string | undefined): RunContext | undefined | Promise<RunContext | undefined> {
    // An empty token is one that could not be read.
    if (token === undefined || token === "") return undefined;
    let answer: unknown;
    try {
      answer = this.#resolve(token);
      // Also the promises of others, which are none of the runtime's own.
      if (isThenable(answer)) answer = Promise.resolve(answer);
    } catch (error) {
      throw unresolved(error);
    }
    // Whatever can be awaited is: query builders and promises of another realm are none of our Promise class, and
    // one of those taken for a run would let every token in.
    if (!isThenable(answer)) return this.#runOf(answer);
    return Promise.resolve(answer).then(
      (data: unknown) => this.#runOf(data),
      (error: unknown) => {
        throw unresolved(error);
      },
    );
  }

  #runOf(data: unknown): RunContext | undefined {
    // Null is what a database gives for what it does not have.
    if (data === undefined || data === null) return undefined;
    try {
      // The type says that it is an object; a program without types may say otherwise.
      if (typeof data !== "object") throw new Error("expected an object or undefined");
      const known = this.#compiled.get(data as T);
      if (known !== undefined) return known;
      const run = this.#compile(data as T);
      this.#compiled.set(data as T, run);
      return run;
    } catch (error) {
      throw unresolved(error);
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

function unresolved(cause: unknown): ProxyError {
  return new ProxyError("run-unresolved", "the run of this token could not be looked up", cause);
}

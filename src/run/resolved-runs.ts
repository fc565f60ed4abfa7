// Runs by token: what a context resolver answers, compiled once for each value that it gives. The same value is the same
// run; another value is another run, even for the same token. Fits the Runs port of the proxy folder by shape.
// wire.md section 6.

import { ProxyError } from "../values/errors.ts";
import type { RunContext } from "./run-context.ts";

/** Undefined for a token that selects nothing. */
export type Resolver<T extends object> = (token: string) => T | undefined | PromiseLike<T | undefined>;

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
    let answer: ReturnType<Resolver<T>>;
    try {
      answer = this.#resolve(token);
    } catch (error) {
      throw unresolved(error);
    }
    // Whatever can be awaited is: query builders and promises of another realm are none of our Promise class, and
    // one of those taken for a run would let every token in.
    if (!isThenable(answer)) return this.#runOf(answer);
    return Promise.resolve(answer).then(
      (data) => this.#runOf(data),
      (error: unknown) => {
        throw unresolved(error);
      },
    );
  }

  #runOf(data: T | undefined): RunContext | undefined {
    // Null is what a look-up in a map of another language's making gives.
    if (data === undefined || data === null) return undefined;
    let run = this.#compiled.get(data);
    if (run === undefined) {
      try {
        // A program without types may answer anything; what is no data must not become a run with every default.
        if (typeof data !== "object") throw new TypeError(`the resolver answered a ${typeof data}`);
        run = this.#compile(data);
      } catch (error) {
        throw unresolved(error);
      }
      this.#compiled.set(data, run);
    }
    return run;
  }
}

/** A promise of any make: one taken for the data itself would be a run with every default. */
function isThenable<T>(answer: T | PromiseLike<T>): answer is PromiseLike<T> {
  return (
    typeof answer === "object" && answer !== null && "then" in answer && typeof answer.then === "function"
  );
}

function unresolved(cause: unknown): ProxyError {
  return new ProxyError("run-unresolved", "the run of this token could not be looked up", cause);
}

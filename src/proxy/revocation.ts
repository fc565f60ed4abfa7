// Ends what runs for a token that is no longer good: streams, WebSockets and opaque tunnels last as long as they like
// and look nothing up by themselves. The sweep asks for each token in use, once a second. wire.md section 4.

import { admitsHost } from "../policy/verdict.ts";
import type { RunContext } from "../run/run-context.ts";
import type { Cancellable, Runs } from "./ports.ts";
import type { Live } from "./session-deps.ts";
import { suspend } from "./suspend.ts";

/** Sweeps, about one a second, after which a look-up without an answer is given up and made anew. */
const MAX_SWEEPS = 30;

/** A look-up under way. */
interface Asked {
  readonly wait: Cancellable;
  readonly since: number;
}

export class Revocation {
  readonly #runs: () => Runs;
  readonly #live: ReadonlySet<Live>;
  readonly #asked = new Map<string | undefined, Asked>();
  #sweeps = 0;

  /** @param runs as they are now: a reload replaces them */
  constructor(runs: () => Runs, live: ReadonlySet<Live>) {
    this.#runs = runs;
    this.#live = live;
  }

  sweep(): void {
    this.#sweeps++;
    const runs = this.#runs();
    const tokens = new Set<string | undefined>();
    for (const session of this.#live) {
      if (session.running !== undefined) tokens.add(session.running.token);
    }
    for (const token of this.#asked.keys()) if (!tokens.has(token)) this.#forget(token);
    for (const token of tokens) if (!this.#waitsFor(token)) this.#check(runs, token);
  }

  #forget(token: string | undefined): void {
    this.#asked.get(token)?.wait.cancel();
    this.#asked.delete(token);
  }

  #waitsFor(token: string | undefined): boolean {
    const asked = this.#asked.get(token);
    if (asked === undefined) return false;
    if (this.#sweeps - asked.since < MAX_SWEEPS) return true;
    this.#forget(token);
    return false;
  }

  #check(runs: Runs, token: string | undefined): void {
    let run: ReturnType<Runs["lookup"]>;
    try {
      run = runs.lookup(token);
    } catch {
      // A resolver that fails says nothing about the run; requests are refused meanwhile, and their records say why.
      return;
    }
    if (!(run instanceof Promise)) {
      this.#judge(token, run);
      return;
    }
    const wait = suspend(
      run,
      (found) => {
        this.#asked.delete(token);
        this.#judge(token, found);
      },
      () => this.#asked.delete(token),
    );
    this.#asked.set(token, { wait, since: this.#sweeps });
  }

  #judge(token: string | undefined, run: RunContext | undefined): void {
    for (const session of [...this.#live]) {
      const { running } = session;
      if (running === undefined || running.token !== token) continue;
      const { authority } = running;
      if (run === undefined || (authority !== undefined && !admitsHost(run, authority))) session.revoke?.();
    }
  }
}

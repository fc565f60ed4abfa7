// Ends what runs for a token that is no longer good: streams, WebSockets and opaque tunnels last as long as they like
// and look nothing up by themselves. The sweep asks for each token in use, once a second. wire.md section 4.

import { admitsHost } from "../policy/verdict.ts";
import type { RunContext } from "../run/run-context.ts";
import type { Runs } from "./ports.ts";
import type { Live } from "./session-deps.ts";
import { suspend } from "./suspend.ts";

export class Revocation {
  readonly #runs: () => Runs;
  readonly #live: ReadonlySet<Live>;
  /** Tokens whose look-up is under way. */
  readonly #asked = new Set<string | undefined>();

  /** @param runs as they are now: a reload replaces them */
  constructor(runs: () => Runs, live: ReadonlySet<Live>) {
    this.#runs = runs;
    this.#live = live;
  }

  sweep(): void {
    const runs = this.#runs();
    const tokens = new Set<string | undefined>();
    for (const session of this.#live) {
      if (session.running !== undefined) tokens.add(session.running.token);
    }
    for (const token of tokens) if (!this.#asked.has(token)) this.#check(runs, token);
  }

  #check(runs: Runs, token: string | undefined): void {
    const run = runs.lookup(token);
    if (!(run instanceof Promise)) {
      this.#judge(token, run);
      return;
    }
    this.#asked.add(token);
    suspend(
      run,
      (found) => {
        this.#asked.delete(token);
        this.#judge(token, found);
      },
      // A resolver that fails says nothing about the run; requests are refused meanwhile.
      () => this.#asked.delete(token),
    );
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

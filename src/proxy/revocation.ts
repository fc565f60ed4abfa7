// Ends what runs for a token that is no longer good: streams, WebSockets and opaque tunnels last as long as they like
// and look nothing up by themselves. The sweep asks for each token in use, once a second. wire.md section 4.

import { admitsHost } from "../policy/verdict.ts";
import type { RunContext } from "../run/run-context.ts";
import type { Cancellable, Runs } from "./ports.ts";
import type { Live } from "./session-deps.ts";
import { MAX_WAIT_MS, suspend } from "./suspend.ts";

/** Sweeps, one a second, that a look-up may take; then it is given up and the next sweep asks anew. */
const PATIENCE = MAX_WAIT_MS / 1_000;

/** A look-up under way. */
interface Asked {
  readonly wait: Cancellable;
  sweeps: number;
}

export class Revocation {
  readonly #runs: () => Runs;
  readonly #live: ReadonlySet<Live>;
  readonly #asked = new Map<string | undefined, Asked>();

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
    this.#giveUp();
    for (const token of tokens) if (!this.#asked.has(token)) this.#check(runs, token);
  }

  /** A resolver that hung once must not keep a token from ever being asked for again. */
  #giveUp(): void {
    for (const [token, asked] of this.#asked) {
      if (++asked.sweeps <= PATIENCE) continue;
      asked.wait.cancel();
      this.#asked.delete(token);
    }
  }

  #check(runs: Runs, token: string | undefined): void {
    let run: ReturnType<Runs["lookup"]>;
    try {
      run = runs.lookup(token);
    } catch {
      // A resolver that fails says nothing about the run; requests are refused meanwhile.
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
      // As above.
      () => this.#asked.delete(token),
    );
    this.#asked.set(token, { wait, sweeps: 0 });
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

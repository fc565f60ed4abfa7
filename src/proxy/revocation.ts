// Ends what runs for a token that is no longer good: streams, WebSockets and opaque tunnels last as long as they like
// and look nothing up by themselves. The sweep asks for each token in use, once a second. wire.md section 4.

import { admitsHost } from "../policy/verdict.ts";
import type { RunContext } from "../run/run-context.ts";
import type { Runs } from "./ports.ts";
import type { Live } from "./session-deps.ts";
import { suspend } from "./suspend.ts";

type Lookup = ReturnType<Runs["lookup"]>;

/** Sweeps after which a look-up that has not answered is given up and asked anew: one lost answer is no pardon. */
const PATIENCE = 10;

export class Revocation {
  readonly #runs: () => Runs;
  readonly #live: ReadonlySet<Live>;
  /** Tokens whose look-up is under way, and the sweep that asked. */
  readonly #asked = new Map<string | undefined, number>();
  #sweeps = 0;

  /** @param runs as they are now: a reload replaces them */
  constructor(runs: () => Runs, live: ReadonlySet<Live>) {
    this.#runs = runs;
    this.#live = live;
  }

  /** Its cost grows with the number of sessions, however many tokens they have. */
  sweep(): void {
    this.#sweeps++;
    const runs = this.#runs();
    const sessions = new Map<string | undefined, Live[]>();
    for (const session of this.#live) {
      if (session.running === undefined) continue;
      const { token } = session.running;
      const list = sessions.get(token);
      if (list === undefined) sessions.set(token, [session]);
      else list.push(session);
    }
    for (const [token, list] of sessions) {
      const asked = this.#asked.get(token);
      if (asked === undefined || this.#sweeps - asked >= PATIENCE) this.#check(runs, token, list);
    }
  }

  #check(runs: Runs, token: string | undefined, sessions: readonly Live[]): void {
    const run = lookUp(runs, token);
    if (run === FAILED) return;
    if (!(run instanceof Promise)) {
      judge(token, run, sessions);
      return;
    }
    const asked = this.#sweeps;
    this.#asked.set(token, asked);
    const answered = (): void => {
      if (this.#asked.get(token) === asked) this.#asked.delete(token);
    };
    suspend(
      run,
      (found) => {
        answered();
        judge(token, found, sessions);
      },
      answered,
    );
  }
}

const FAILED = Symbol("the look-up failed");

function lookUp(runs: Runs, token: string | undefined): Lookup | typeof FAILED {
  try {
    return runs.lookup(token);
  } catch {
    // A resolver that fails says nothing about the run, nor about the runs of other tokens; requests are refused
    // meanwhile.
    return FAILED;
  }
}

/** @param sessions those of the token when it was looked up; what they do may have changed since */
function judge(token: string | undefined, run: RunContext | undefined, sessions: readonly Live[]): void {
  for (const session of sessions) {
    const { running } = session;
    if (running === undefined || running.token !== token) continue;
    const { authority } = running;
    if (run === undefined || (authority !== undefined && !admitsHost(run, authority))) session.revoke?.();
  }
}

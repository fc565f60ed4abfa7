// moat-proxy once more, with a single pattern, credential, host and run, beside itself with a thousand: the difference
// between the two in the same rounds is what the many cost.

import type { Needs, Running, Target, World } from "./target.ts";

export const WITH_ONE = "moat-proxy with 1";

export class WithOne implements Target {
  readonly name = WITH_ONE;
  readonly missing: string | undefined;
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
    this.missing = target.missing;
  }

  refuses(needs: Needs): string | undefined {
    return this.#target.refuses(one(needs));
  }

  start(world: World, needs: Needs, label: string): Promise<Running> {
    return this.#target.start(world, one(needs), label.replaceAll(" ", "-"));
  }
}

function one(needs: Needs): Needs {
  return {
    ...needs,
    credentials: 1,
    patterns: Math.min(1, needs.patterns),
    hosts: 1,
    runs: Math.min(1, needs.runs),
  };
}

// From the start of a program until it accepts a connection, and the memory it takes with nothing to do.

import { residentKib } from "./processes.ts";
import { originPort } from "./rounds.ts";
import type { Needs, Target, World } from "./targets/target.ts";

const SETTLE_MS = 1_000;

export interface Startup {
  readonly target: string;
  /** Milliseconds, one for each round. */
  readonly ready: readonly number[];
  /** KiB, one for each round. */
  readonly rss: readonly number[];
  readonly problem?: string;
}

export async function measureStartup(
  targets: readonly Target[],
  world: World,
  rounds: number,
): Promise<Startup[]> {
  const needs: Needs = {
    ...{ passage: "secure", credentials: 1, patterns: 0, hosts: 1, runs: 0 },
    originPort: originPort(world, "nginx"),
  };
  const results = targets.map((target) => ({
    target: target.name,
    ready: [] as number[],
    rss: [] as number[],
    ...(target.missing === undefined ? {} : { problem: target.missing }),
  }));
  for (let round = 0; round < rounds; round++) {
    for (const [i, target] of targets.entries()) {
      if (target.missing !== undefined) continue;
      const running = await target.start(world, needs, `${target.name}-start-${round}`);
      // What a target prepares before it starts the program (files, keys) is not the program's time.
      results[i]?.ready.push(running.readyMs);
      await Bun.sleep(SETTLE_MS);
      results[i]?.rss.push(residentKib(running.child.pid));
      await world.ground.end(running.child);
    }
  }
  return results;
}

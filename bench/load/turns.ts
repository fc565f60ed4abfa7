// Targets that take turns in slices of milliseconds, until each has had its time or its operations, round after
// round. One that fails stays out from there on; the others go on.

import { readFileSync } from "node:fs";
import type { Bounds, Contestant, Measured, Outcome, TurnsPlan } from "../plan.ts";
import { ClosedSide } from "./closed-side.ts";
import { ConnectSide } from "./connect-side.ts";
import type { Side } from "./side.ts";

/** For all connections of a target to stand. */
const OPEN_MS = 30_000;

export async function turns(plan: TurnsPlan): Promise<Outcome[]> {
  const sides: Side[] = [];
  for (const contestant of plan.contestants) {
    const side = sideOf(contestant, plan.upstreams);
    const late = setTimeout(() => side.onFailed("its connections do not stand"), OPEN_MS);
    await side.quiet();
    clearTimeout(late);
    sides.push(side);
  }
  await round(sides, plan.warmUp, plan.sliceMs);
  const results = sides.map((): Measured[] => []);
  for (let i = 0; i < plan.rounds; i++) {
    await round(i % 2 === 0 ? sides : [...sides].reverse(), plan.measure, plan.sliceMs);
    for (const [at, side] of sides.entries()) {
      if (side.problem === undefined) results[at]?.push(side.result());
    }
  }
  return sides.map(({ problem }, i) => ({
    rounds: results[i] ?? [],
    ...(problem === undefined ? {} : { problem }),
  }));
}

function sideOf(contestant: Contestant, upstreams: readonly number[]): Side {
  const { load, route } = contestant;
  const ca = readFileSync(route.caFile, "utf8");
  return load.kind === "closed"
    ? new ClosedSide(contestant, upstreams, ca)
    : new ConnectSide(contestant, load, upstreams, ca);
}

async function round(
  sides: readonly Side[],
  { seconds, operations }: Bounds,
  sliceMs: number,
): Promise<void> {
  for (const side of sides) side.begin(operations);
  const open = (side: Side): boolean =>
    side.problem === undefined && side.seconds < seconds && !side.exhausted;
  for (let left = sides.filter(open); left.length > 0; left = left.filter(open)) {
    for (const side of left) await side.slice(sliceMs);
  }
}

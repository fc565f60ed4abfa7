// The load generator, a process of its own: takes a plan as its one argument, prints one JSON line. Anything that is
// not as it should be (a wrong byte, a lost connection) is a failure of that target, with its reason. It connects to
// 127.0.0.1 only, and never runs much longer than its plan.

import { readFileSync } from "node:fs";
import type { AlonePlan, Measured, Outcome, Plan } from "../plan.ts";
import type { Opening } from "./connection.ts";
import { prepare } from "./exchange.ts";
import { idle } from "./idle.ts";
import { openLoop } from "./open-loop.ts";
import { streams } from "./streams.ts";
import { turns } from "./turns.ts";

/** For connecting and for the last answers, beyond the plan's own time. */
const GRACE_SECONDS = 60;
/** A slice ends with its last answer, which may come long after its time. */
const OVERTIME = 4;

function alone(plan: AlonePlan): Promise<Measured> {
  const { load, route } = plan;
  const ca = readFileSync(route.caFile, "utf8");
  const opening: Opening = { route, host: "localhost", ca, resume: false };
  switch (load.kind) {
    case "open":
      return openLoop(plan, load, opening, prepare(load.exchange, route, opening.host));
    case "streams":
      return streams(plan, load.connections, opening);
    case "idle":
      return idle(plan, load.connections, opening, prepare(load.exchange, route, opening.host));
  }
}

async function run(plan: Plan): Promise<readonly Outcome[]> {
  return plan.kind === "turns" ? await turns(plan) : [{ rounds: [await alone(plan)] }];
}

function limitOf(plan: Plan): number {
  const { warmUp, measure } = plan;
  if (plan.kind === "alone") return warmUp.seconds + measure.seconds + GRACE_SECONDS;
  const seconds = warmUp.seconds + plan.rounds * measure.seconds;
  return OVERTIME * plan.contestants.length * seconds + GRACE_SECONDS;
}

const plan = JSON.parse(Bun.argv[2] ?? "") as Plan;
const limit = limitOf(plan);
setTimeout(() => {
  console.error(`not finished after ${limit} s`);
  process.exit(1);
}, limit * 1000);
try {
  console.log(JSON.stringify(await run(plan)));
  process.exit(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
}

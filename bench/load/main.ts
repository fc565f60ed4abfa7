// The load generator, a process of its own: takes a plan as its one argument, prints one JSON line. Anything that is
// not as it should be (a wrong byte, a lost connection) ends it with a message and exit code 1. It connects to
// 127.0.0.1 only, and never runs longer than its plan and a grace period.

import { readFileSync } from "node:fs";
import type { Measured, Plan } from "../plan.ts";
import { closedLoop } from "./closed-loop.ts";
import type { Opening } from "./connection.ts";
import { connects } from "./connects.ts";
import { prepare } from "./exchange.ts";
import { idle } from "./idle.ts";
import { openLoop } from "./open-loop.ts";
import { streams } from "./streams.ts";

/** For connecting and for the last answers, beyond the plan's own time. */
const GRACE_SECONDS = 60;

function run(plan: Plan): Promise<Measured> {
  const { load, route } = plan;
  const ca = readFileSync(route.caFile, "utf8");
  const opening: Opening = { route, host: "localhost", ca, resume: false };
  switch (load.kind) {
    case "closed":
      return closedLoop(plan, load.connections, opening, prepare(load.exchange, route, opening.host));
    case "open":
      return openLoop(plan, load, opening, prepare(load.exchange, route, opening.host));
    case "connects":
      return connects(plan, load, ca);
    case "streams":
      return streams(plan, load.connections, opening);
    case "idle":
      return idle(plan, load.connections, opening, prepare(load.exchange, route, opening.host));
  }
}

const plan = JSON.parse(Bun.argv[2] ?? "") as Plan;
const limit = plan.warmUp.seconds + plan.measure.seconds + GRACE_SECONDS;
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

// The regression guard: CPU per small GET of the compiled binary as a ratio to the reference workload's, in five
// interleaved rounds. It fails when the median is more than 20 % over the baseline, twice in a row. It trusts no
// clock: CPU time only, and both programs in the same seconds. `--renew` writes the baseline instead.

import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-ports.ts";
import { type Certificates, Ground, makeCertificates } from "./ground.ts";
import type { Contestant, Outcome, Plan } from "./plan.ts";
import { cpuMicros, median, ratios } from "./report/statistics.ts";
import { generate } from "./rounds.ts";
import { GatekeeperStyle } from "./targets/gatekeeper.ts";
import { PLACEHOLDER, type World } from "./targets/target.ts";
import { SMALL_BODY, startOwn } from "./upstreams.ts";
import { type Baseline, judge } from "./verdict.ts";

const BASELINE = join(import.meta.dir, "baseline.json");
const BINARY = join(import.meta.dir, "../dist/moat-proxy");
const ROUNDS = 5;
/** Series that make a baseline. */
const RENEWAL = 7;
const CONNECTIONS = 32;
/** Until the compiler of the runtime is done. */
const WARM_UP_SECONDS = 3;
/** Of each of the two, and about as much CPU: the ticks of /proc are 1 % of it. */
const ROUND_SECONDS = 1.2;

/** So short that whatever else the machine does hits both alike. */
const SLICE_MS = 40;
const LOAD = {
  kind: "closed",
  connections: CONNECTIONS,
  exchange: { kind: "get", path: "/small", body: SMALL_BODY },
} as const;

async function startReference(
  ground: Ground,
  certificates: Certificates,
  upstreamPort: number,
): Promise<Contestant> {
  const port = await freePort();
  const settings = {
    port,
    upstreamPort,
    certFile: certificates.leaf,
    keyFile: certificates.leafKey,
    caFile: certificates.ca,
    authorization: `Bearer ${ground.secret}`,
  };
  const script = join(import.meta.dir, "reference.ts");
  const child = ground.start("reference", [process.execPath, script, JSON.stringify(settings)]);
  await ground.ready("reference", child, port);
  const route = { way: "tls", port, originPort: upstreamPort, caFile: certificates.ca } as const;
  return { target: child.pid, load: LOAD, route: { ...route, authorization: PLACEHOLDER } };
}

/** The ratios of one series, on programs that were just started, as in every run of CI. */
async function series(): Promise<number[]> {
  const ground = new Ground();
  try {
    const [ours, reference] = await startBoth(ground);
    const plan: Plan = {
      kind: "turns",
      contestants: [ours, reference],
      warmUp: { seconds: WARM_UP_SECONDS, operations: Number.MAX_SAFE_INTEGER },
      measure: { seconds: ROUND_SECONDS, operations: Number.MAX_SAFE_INTEGER },
      rounds: ROUNDS,
      sliceMs: SLICE_MS,
      upstreams: [],
    };
    const [outcome, other] = await generate({ ground }, plan);
    const problem = outcome?.problem ?? other?.problem;
    if (outcome === undefined || other === undefined || problem !== undefined) throw new Error(problem);
    const micros = ({ rounds }: Outcome): string => median(rounds.map(cpuMicros)).toFixed(1);
    console.log(`moat-proxy ${micros(outcome)} µs, reference ${micros(other)} µs`);
    return ratios(outcome.rounds, other.rounds);
  } finally {
    await ground.stop();
  }
}

/** Ours first. */
async function startBoth(ground: Ground): Promise<[Contestant, Contestant]> {
  const certificates = makeCertificates(ground, 0);
  const own = await startOwn(ground, certificates);
  const upstreams = { pids: [own.pid], nginx: undefined, plain: undefined, own: own.port };
  const world: World = { ground, certificates, upstreams };
  const ours = new GatekeeperStyle("moat-proxy", BINARY, true);
  if (ours.missing !== undefined) throw new Error(`${ours.missing}: npm run build`);
  const needs = {
    passage: "secure",
    originPort: own.port,
    credentials: 1,
    patterns: 0,
    hosts: 1,
    runs: 0,
  } as const;
  const { child, route } = await ours.start(world, needs, "moat-proxy");
  return [{ target: child.pid, load: LOAD, route }, await startReference(ground, certificates, own.port)];
}

async function check(): Promise<boolean> {
  const baseline = JSON.parse(readFileSync(BASELINE, "utf8")) as Baseline;
  for (const attempt of ["first", "second"]) {
    const { over, line } = judge(await series(), baseline);
    console.log(line);
    if (!over) return true;
    console.log(attempt === "first" ? "over the limit: once more" : "over the limit twice");
  }
  console.log("If it is meant to cost that much: npm run bench:baseline");
  return false;
}

async function renew(): Promise<void> {
  const medians: number[] = [];
  for (let i = 0; i < RENEWAL; i++) medians.push(round(median(await series())));
  const baseline: Baseline = {
    ratio: round(median(medians)),
    series: medians,
    bun: Bun.version,
    cpu: cpus()[0]?.model ?? "unknown",
  };
  writeFileSync(BASELINE, `${JSON.stringify(baseline, undefined, 2)}\n`);
  console.log(`baseline: ${baseline.ratio} (series ${medians.join(" ")})`);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

if (process.platform !== "linux")
  console.log("not checked: CPU time is read from /proc, which only Linux has");
else if (Bun.argv.includes("--renew")) await renew();
else process.exit((await check()) ? 0 : 1);

// `bun run bench`: what moat-proxy costs, beside nginx and every peer that is installed. Flags: see USAGE. Starts all
// it needs on the loopback address, measures in interleaved rounds, and leaves JSON, a table and a chart.

import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Ground, makeCertificates } from "./ground.ts";
import { publish } from "./report/main.ts";
import type { Result, ScenarioResult } from "./report/result.ts";
import { type Figures, figuresOf, median } from "./report/statistics.ts";
import { markdown } from "./report/table.ts";
import { type Pace, runScenario, type Series } from "./rounds.ts";
import { CLOSED_FOR_OPEN, MANY_HOSTS, SCENARIOS, type Scenario } from "./scenarios.ts";
import { measureStartup } from "./startup.ts";
import { Direct } from "./targets/direct.ts";
import { GatekeeperStyle } from "./targets/gatekeeper.ts";
import { Mitmdump } from "./targets/mitmdump.ts";
import { MoatProxy } from "./targets/moat-proxy.ts";
import { Nginx } from "./targets/nginx.ts";
import { Squid } from "./targets/squid.ts";
import type { Target, World } from "./targets/target.ts";
import { WithOne } from "./targets/with-one.ts";
import { startUpstreams } from "./upstreams.ts";

const USAGE = `npm run bench -- [flags]
  --quick             five scenarios with short rounds, moat-proxy and nginx and named peers only
  --only IDS          scenarios by id, with commas; "startup" is one too
  --rounds N          interleaved rounds, by default 5
  --peer NAME=PATH    mitmdump=PATH says where it is; any other name is a program that takes a Gatekeeper-style config
  --binary PATH       by default dist/moat-proxy
  --out DIR           by default dist/bench
  --list              the ids`;

const OURS = "moat-proxy";
const ROUNDS = 5;
/** Of a scenario's measured time. */
const QUICK_SHARE = 0.25;
const QUICK_STARTS = 3;

interface Choices {
  readonly quick: boolean;
  readonly rounds: number;
  readonly scenarios: readonly Scenario[];
  readonly startup: boolean;
  readonly targets: readonly Target[];
  readonly out: string;
  readonly missing: readonly string[];
}

function choicesOf(args: readonly string[]): Choices | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string" },
      rounds: { type: "string", default: String(ROUNDS) },
      peer: { type: "string", multiple: true, default: [] },
      binary: { type: "string", default: "dist/moat-proxy" },
      out: { type: "string", default: "dist/bench" },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help || values.list) {
    console.log(
      values.help ? USAGE : SCENARIOS.map(({ id, title }) => `${id.padEnd(18)}${title}`).join("\n"),
    );
    return undefined;
  }
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds ${values.rounds}: a number from 1 is expected`);
  const only = values.only?.split(",");
  const unknown =
    only?.filter((id) => id !== "startup" && !SCENARIOS.some((scenario) => scenario.id === id)) ?? [];
  if (unknown.length > 0) throw new Error(`--only ${unknown.join(",")}: see --list`);
  const peers = values.peer.map((peer) => {
    const [, name = "", path = ""] = /^([\w.-]+)=(.+)$/.exec(peer) ?? [];
    if (path === "") throw new Error(`--peer ${peer}: NAME=PATH is expected`);
    return { name, path: Bun.which(path) ?? resolve(path) };
  });
  const mitmdump = peers.find(({ name }) => name === "mitmdump")?.path ?? "mitmdump";
  const others = peers.filter(({ name }) => name !== "mitmdump");
  const targets: Target[] = [
    new MoatProxy(resolve(values.binary)),
    new Nginx(),
    ...others.map(({ name, path }) => new GatekeeperStyle(name, path, isMoatProxy(path))),
    ...(values.quick ? [] : [new Squid(), new Mitmdump(mitmdump)]),
  ];
  const missing = targets.flatMap(({ name, missing }) =>
    missing === undefined ? [] : [`${name}: ${missing}`],
  );
  if (!others.some(({ name }) => name === "gatekeeper")) missing.push("gatekeeper: not named, see --peer");
  const [ours] = targets;
  if (ours?.missing !== undefined) throw new Error(`${ours.missing}: npm run build`);
  return {
    quick: values.quick,
    rounds,
    scenarios: SCENARIOS.filter(({ id, quick }) => only?.includes(id) ?? (!values.quick || quick === true)),
    startup: only?.includes("startup") ?? true,
    targets,
    out: values.out,
    missing,
  };
}

/** Another build of ours gets what ours gets. */
function isMoatProxy(path: string): boolean {
  const { stdout } = Bun.spawnSync([path, "--version"], { stdin: "ignore", stderr: "ignore" });
  return /moat-proxy/.test(stdout.toString());
}

async function run(choices: Choices, ground: Ground): Promise<Result> {
  const many = choices.scenarios.some(({ needs }) => needs.hosts > 1) ? MANY_HOSTS : 0;
  const certificates = makeCertificates(ground, many);
  const world: World = { ground, certificates, upstreams: await startUpstreams(ground, certificates) };
  const direct = new Direct();
  const [ours] = choices.targets;
  const pace: Pace = { rounds: choices.rounds, share: choices.quick ? QUICK_SHARE : 1 };
  const scenarios: ScenarioResult[] = [];
  for (const scenario of choices.scenarios) {
    console.error(scenario.title);
    const targets = [
      ...choices.targets,
      ...(scenario.withOne === true && ours !== undefined ? [new WithOne(ours)] : []),
      ...(scenario.direct === true && !(choices.quick && scenario.id === CLOSED_FOR_OPEN) ? [direct] : []),
    ];
    const rates = scenario.load.kind === "open" ? await halfRates(scenarios, targets, world) : new Map();
    const series = await runScenario(scenario, targets, world, pace, rates);
    for (const figures of figuresOf(series)) say(figures);
    scenarios.push({ id: scenario.id, title: scenario.title, unit: scenario.unit, series });
  }
  if (choices.startup) console.error("start and idle memory");
  const startup = choices.startup
    ? await measureStartup(choices.targets, world, choices.quick ? QUICK_STARTS : choices.rounds)
    : [];
  return {
    version: 1,
    date: new Date().toISOString(),
    quick: choices.quick,
    rounds: choices.rounds,
    machine: { cpu: cpus()[0]?.model ?? "unknown CPU", cores: cpus().length, kernel: release() },
    versions: await versions(choices.targets),
    scenarios,
    startup,
    missing: choices.missing,
  };
}

/**
 * Half of what the slower of moat-proxy and nginx can do, the same for both and for no proxy at all; a target that
 * cannot do that gets half of its own.
 */
async function halfRates(
  before: readonly ScenarioResult[],
  targets: readonly Target[],
  world: World,
): Promise<Map<string, number>> {
  const closed = SCENARIOS.find(({ id }) => id === CLOSED_FOR_OPEN);
  const known = before.find(({ id }) => id === CLOSED_FOR_OPEN)?.series;
  if (closed === undefined) throw new Error("no closed loop to take the rate from");
  const series: readonly Series[] =
    known ?? (await runScenario(closed, targets, world, { rounds: 1, share: 1 }, new Map()));
  const most = new Map(
    series.map(({ target, rounds }) => [
      target,
      median(rounds.map(({ operations, seconds }) => operations / seconds)),
    ]),
  );
  const common = Math.min(
    ...[OURS, "nginx"].map((name) => most.get(name) ?? Number.NaN).filter((rate) => rate > 0),
  );
  return new Map(
    [...most]
      .filter(([, rate]) => rate > 0)
      .map(([name, rate]) => [name, Math.max(1, Math.floor(Math.min(common, rate) / 2))]),
  );
}

function say({ target, cpu, ratio, perSecond, p99, problem, bytesEach, generatorCore }: Figures): void {
  if (cpu === undefined) {
    console.error(`  ${target.padEnd(12)} ${problem ?? "not measured"}`);
    return;
  }
  const figures = [
    `${cpu.median.toFixed(1)} µs`,
    ratio === undefined
      ? ""
      : `ratio ${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)})`,
    `${(perSecond ?? 0).toFixed(0)}/s`,
    `p99 ${(p99 ?? 0).toFixed(2)} ms`,
    bytesEach === undefined ? "" : `${bytesEach.toFixed(0)} bytes each`,
    `generator ${((generatorCore ?? 0) * 100).toFixed(0)} % of a core`,
  ];
  console.error(`  ${target.padEnd(12)} ${figures.filter((figure) => figure !== "").join(", ")}`);
}

async function versions(targets: readonly Target[]): Promise<Record<string, string>> {
  const asks: Readonly<Record<string, readonly string[]>> = {
    nginx: ["nginx", "-v"],
    squid: ["squid", "-v"],
    mitmdump: ["mitmdump", "--version"],
  };
  const found: Record<string, string> = { Bun: Bun.version };
  for (const { name, missing } of targets) {
    const command = asks[name];
    if (missing !== undefined || command === undefined || Bun.which(command[0] ?? "") === null) continue;
    const { stdout, stderr } = Bun.spawnSync([...command], { stdin: "ignore" });
    const version = /\d+(?:\.\d+)+/.exec(`${stdout}${stderr}`)?.[0];
    if (version !== undefined) found[name] = version;
  }
  return found;
}

/** A failure of the proxy itself is one of the bench. */
function failures(result: Result): string[] {
  return result.scenarios.flatMap(({ title, series }) =>
    series.flatMap(({ target, problem }) =>
      target === OURS && problem !== undefined ? [`${title}: ${problem}`] : [],
    ),
  );
}

const choices = choicesOf(Bun.argv.slice(2));
if (choices !== undefined) {
  for (const line of choices.missing) console.error(`not measured: ${line}`);
  const ground = new Ground();
  let failed: string[] = [];
  try {
    const result = await run(choices, ground);
    mkdirSync(choices.out, { recursive: true });
    writeFileSync(join(choices.out, "performance.json"), `${JSON.stringify(result)}\n`);
    publish(result, choices.out);
    console.log(markdown(result));
    failed = failures(result);
  } finally {
    await ground.stop();
  }
  for (const line of failed) console.error(`FAILED: ${line}`);
  process.exit(failed.length === 0 ? 0 : 1);
}

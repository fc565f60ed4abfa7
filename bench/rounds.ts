// Runs one scenario: its targets side by side, in interleaved rounds, so that whatever else the machine does hits
// all of them alike. A target that fails is left out from there on, and the reason stays.

import { join } from "node:path";
import type {
  AloneLoad,
  AlonePlan,
  Bounds,
  Contestant,
  Load,
  Measured,
  Outcome,
  Plan,
  Route,
  TurnLoad,
  TurnsPlan,
} from "./plan.ts";
import { loadFor, type Origin, type Scenario } from "./scenarios.ts";
import type { Needs, Running, Target, World } from "./targets/target.ts";

/** The runtime compiles what is hot, and needs to have seen it. */
const FIRST_WARM_UP = { seconds: 2, operations: 30_000 };
const QUICK_FIRST_WARM_UP = { seconds: 1, operations: 20_000 };
const NO_WARM_UP = { seconds: 0, operations: 0 };
/**
 * Short beside what else a busy machine does, long enough that how a runtime behaves between two slices (it collects
 * garbage, lets memory go) is a small part.
 */
const SLICE_MS = 250;
const NO_END = Number.MAX_SAFE_INTEGER;

export interface Series {
  readonly target: string;
  /** One for each round; those before a failure, if there was one. */
  readonly rounds: readonly Measured[];
  /** Why it does not take part, or what went wrong. */
  readonly problem?: string;
}

export interface Pace {
  readonly rounds: number;
  /** Share of the scenario's seconds. */
  readonly share: number;
}

export function originPort(world: World, origin: Origin): number {
  const { nginx, plain, own } = world.upstreams;
  const port = { nginx, "nginx-plain": plain, own }[origin];
  // Without nginx there is still an upstream for small answers.
  return port ?? own;
}

/** @param rates requests a second of each target, for a load at a fixed rate */
export async function runScenario(
  scenario: Scenario,
  targets: readonly Target[],
  world: World,
  pace: Pace,
  rates: ReadonlyMap<string, number>,
): Promise<Series[]> {
  const stage = new Stage(scenario, targets, world, pace, rates);
  try {
    if (scenario.fresh !== true) await stage.start();
    if (scenario.fresh !== true && takesTurns(scenario.load)) await stage.turns();
    else for (let round = 0; round < pace.rounds; round++) await stage.round(round);
  } finally {
    await stage.end();
  }
  return stage.series();
}

class Stage {
  readonly #scenario: Scenario;
  readonly #world: World;
  readonly #pace: Pace;
  readonly #rates: ReadonlyMap<string, number>;
  readonly #needs: Needs;
  readonly #targets: readonly Target[];
  readonly #running = new Map<Target, Running>();
  readonly #rounds = new Map<Target, Measured[]>();
  readonly #problems = new Map<Target, string>();

  constructor(
    scenario: Scenario,
    targets: readonly Target[],
    world: World,
    pace: Pace,
    rates: ReadonlyMap<string, number>,
  ) {
    this.#scenario = scenario;
    this.#targets = targets;
    this.#world = world;
    this.#pace = pace;
    this.#rates = rates;
    this.#needs = { ...scenario.needs, originPort: originPort(world, scenario.origin) };
    for (const target of targets) {
      this.#rounds.set(target, []);
      const problem = target.missing ?? target.refuses(this.#needs);
      if (problem !== undefined) this.#problems.set(target, problem);
    }
  }

  async start(): Promise<void> {
    for (const target of this.#taking()) await this.#try(target, () => this.#start(target, "0"));
  }

  /** All rounds at once, the targets in slices. */
  async turns(): Promise<void> {
    const targets = this.#taking();
    const contestants = targets.map((target) => this.#contestant(target));
    const outcomes = await generate(this.#world, this.#turnsPlan(contestants, this.#pace.rounds));
    for (const [i, target] of targets.entries()) {
      this.#rounds.set(target, [...(outcomes[i]?.rounds ?? [])]);
      const problem = outcomes[i]?.problem;
      if (problem !== undefined) this.#fail(target, problem);
    }
  }

  /** One round, a target after the other. */
  async round(round: number): Promise<void> {
    const order = round % 2 === 0 ? this.#taking() : this.#taking().reverse();
    for (const target of order) await this.#try(target, () => this.#measure(target, round));
  }

  async end(): Promise<void> {
    for (const target of [...this.#running.keys()]) await this.#stop(target);
  }

  series(): Series[] {
    return this.#targets.map((target) => {
      const problem = this.#problems.get(target);
      const rounds = this.#rounds.get(target) ?? [];
      return { target: target.name, rounds, ...(problem === undefined ? {} : { problem }) };
    });
  }

  #taking(): Target[] {
    return this.#targets.filter((target) => !this.#problems.has(target));
  }

  async #try(target: Target, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.#fail(target, error instanceof Error ? error.message : String(error));
      await this.#stop(target);
    }
  }

  #fail(target: Target, problem: string): void {
    this.#problems.set(target, problem);
    console.error(`  ${target.name} failed: ${problem}`);
  }

  async #start(target: Target, suffix: string): Promise<void> {
    const label = `${target.name}-${this.#scenario.id}-${suffix}`;
    this.#running.set(target, await target.start(this.#world, this.#needs, label));
  }

  async #stop(target: Target): Promise<void> {
    const running = this.#running.get(target);
    this.#running.delete(target);
    if (running !== undefined) await this.#world.ground.end(running.child);
  }

  async #measure(target: Target, round: number): Promise<void> {
    const fresh = this.#scenario.fresh === true;
    if (fresh) await this.#start(target, String(round));
    const plan = takesTurns(this.#scenario.load)
      ? this.#turnsPlan([this.#contestant(target)], 1)
      : this.#alonePlan(target, round);
    const [outcome] = await generate(this.#world, plan);
    this.#rounds.get(target)?.push(...(outcome?.rounds ?? []));
    if (outcome?.problem !== undefined) throw new Error(outcome.problem);
    if (fresh) await this.#stop(target);
  }

  #turnsPlan(contestants: readonly Contestant[], rounds: number): TurnsPlan {
    const upstreams = this.#world.upstreams.pids;
    return {
      kind: "turns",
      contestants,
      warmUp: this.#firstWarmUp,
      measure: this.#measured,
      rounds,
      sliceMs: SLICE_MS,
      upstreams,
    };
  }

  #alonePlan(target: Target, round: number): AlonePlan {
    const { route, pid } = this.#process(target);
    const load = this.#loadOf(target);
    const upstreams = this.#world.upstreams.pids;
    const { warmUp } = this.#scenario;
    const short = { seconds: warmUp * this.#pace.share, operations: NO_END };
    const bounds = load.kind === "idle" ? NO_WARM_UP : round === 0 ? this.#firstWarmUp : short;
    const measure = this.#measured;
    return { kind: "alone", route, load, warmUp: bounds, measure, target: pid, upstreams };
  }

  get #firstWarmUp(): Bounds {
    return this.#pace.share < 1 ? QUICK_FIRST_WARM_UP : FIRST_WARM_UP;
  }

  get #measured(): Bounds {
    const { seconds, operations = NO_END } = this.#scenario;
    return { seconds: seconds * this.#pace.share, operations };
  }

  #contestant(target: Target): Contestant {
    const { route, pid } = this.#process(target);
    const load = loadFor(this.#scenario, target.name);
    if (!takesTurns(load)) throw new Error(`${load.kind}: nothing to take turns with`);
    return { route, load, target: pid };
  }

  #process(target: Target): { readonly route: Route; readonly pid: number } {
    const running = this.#running.get(target);
    if (running === undefined) throw new Error("not running");
    // Without a proxy it is the upstream whose cost shows.
    const pid = target.name === "direct" ? (this.#world.upstreams.pids[0] ?? 0) : running.child.pid;
    return { route: running.route, pid };
  }

  #loadOf(target: Target): AloneLoad {
    const load = loadFor(this.#scenario, target.name);
    if (takesTurns(load)) throw new Error(`${load.kind}: takes turns`);
    if (load.kind !== "open") return load;
    const perSecond = this.#rates.get(target.name);
    if (perSecond === undefined) throw new Error("its rate is not known: it took no part in the closed loop");
    return { ...load, perSecond };
  }
}

function takesTurns(load: Load): load is TurnLoad {
  return load.kind === "closed" || load.kind === "connects";
}

/** Runs the load generator with a plan; an outcome for each target in it. */
export async function generate(world: Pick<World, "ground">, plan: Plan): Promise<readonly Outcome[]> {
  const script = join(import.meta.dir, "load/main.ts");
  return JSON.parse(await world.ground.run([process.execPath, script, JSON.stringify(plan)])) as Outcome[];
}

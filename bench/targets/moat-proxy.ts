// moat-proxy: the executable, and for runs, which only programs that embed it have, such a program.

import { freePort } from "../free-ports.ts";
import type { Embedding } from "./embedding.ts";
import { GatekeeperStyle } from "./gatekeeper.ts";
import { type Needs, proxyRoute, type Running, type Target, type World } from "./target.ts";

const NAME = "moat-proxy";
const PROGRAM = new URL("embedding.ts", import.meta.url).pathname;

export class MoatProxy implements Target {
  readonly name = NAME;
  readonly missing: string | undefined;
  readonly #executable: GatekeeperStyle;

  constructor(binary: string) {
    this.#executable = new GatekeeperStyle(NAME, binary, true);
    this.missing = this.#executable.missing;
  }

  refuses(): undefined {
    return undefined;
  }

  start(world: World, needs: Needs, label: string): Promise<Running> {
    return needs.runs > 0 ? startEmbedding(world, needs, label) : this.#executable.start(world, needs, label);
  }
}

async function startEmbedding(world: World, needs: Needs, label: string): Promise<Running> {
  const { ground, certificates } = world;
  const port = await freePort();
  const settings: Embedding = {
    port,
    runs: needs.runs,
    host: `localhost:${needs.originPort}`,
    secret: ground.secret,
    caDir: ground.dir,
    upstreamCa: certificates.ca,
    records: ground.path(`${label}.jsonl`),
  };
  const file = ground.write(`${label}.json`, JSON.stringify(settings));
  const child = ground.start(label, [process.execPath, PROGRAM, file]);
  const readyMs = await ground.ready(label, child, port);
  return { child, readyMs, route: proxyRoute(world, needs, port) };
}

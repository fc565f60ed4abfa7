// No proxy at all: the generator talks to the upstream itself. Shows what generator and upstream can do, and what
// latency is there before any proxy adds to it. The process "under test" is the upstream.

import type { Needs, Running, Target, World } from "./target.ts";

export class Direct implements Target {
  readonly name = "direct";
  readonly missing = undefined;

  refuses(): undefined {
    return undefined;
  }

  async start(world: World, needs: Needs, label: string): Promise<Running> {
    // A stand-in, so that a child can be ended here as anywhere.
    const child = world.ground.start(label, ["sleep", "100000"]);
    const way = needs.passage === "secure" ? "tls" : "plain";
    const authorization = `Bearer ${world.ground.secret}`;
    const { ca } = world.certificates;
    const route = {
      way,
      port: needs.originPort,
      originPort: needs.originPort,
      caFile: ca,
      authorization,
    } as const;
    return { child, route, readyMs: 0 };
  }
}

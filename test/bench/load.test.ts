// The load generator against real servers: it counts what it should, and it notices what is wrong.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Certificates, Ground, makeCertificates } from "../../bench/ground.ts";
import type { AlonePlan, Exchange, Route, TurnLoad, TurnsPlan } from "../../bench/plan.ts";
import { isAlive } from "../../bench/processes.ts";
import { generate } from "../../bench/rounds.ts";
import { JSON_BYTES, SMALL_BODY, startOwn } from "../../bench/upstreams.ts";
import { within } from "../support/byte-stream.ts";

const SMALL: Exchange = { kind: "get", path: "/small", body: SMALL_BODY };
let ground: Ground;
let certificates: Certificates;
let own: { readonly pid: number; readonly port: number };

beforeAll(async () => {
  ground = new Ground();
  certificates = makeCertificates(ground, 0);
  own = await startOwn(ground, certificates);
});
afterAll(() => ground.stop());

function route(): Route {
  const authorization = `Bearer ${ground.secret}`;
  return { way: "tls", port: own.port, originPort: own.port, caFile: certificates.ca, authorization };
}

function turnsPlan(load: TurnLoad, changes: Partial<Route> = {}): TurnsPlan {
  return {
    kind: "turns",
    contestants: [{ route: { ...route(), ...changes }, load, target: own.pid }],
    warmUp: { seconds: 1, operations: 3 },
    measure: { seconds: 5, operations: 10 },
    ...{ rounds: 2, sliceMs: 50, upstreams: [own.pid] },
  };
}

describe("taking turns", () => {
  const cases: [string, TurnLoad][] = [
    ["small answers", { kind: "closed", connections: 4, exchange: SMALL }],
    [
      "an upload that is compared",
      { kind: "closed", connections: 1, exchange: { kind: "upload", path: "/upload", bytes: 200_000 } },
    ],
    [
      "a JSON body",
      { kind: "closed", connections: 2, exchange: { kind: "json", path: "/json", bytes: JSON_BYTES } },
    ],
    [
      "a connection for each",
      { kind: "connects", connections: 2, resume: false, hosts: 1, cold: false, exchange: SMALL },
    ],
  ];
  test.each(cases)("counts %s", async (_name, load) => {
    const [outcome] = await generate({ ground }, turnsPlan(load));
    expect(outcome?.problem).toBeUndefined();
    expect(outcome?.rounds.map(({ operations }) => operations)).toEqual([10, 10]);
  });

  test("resumes sessions when it is to", async () => {
    const load = {
      kind: "connects",
      connections: 1,
      resume: true,
      hosts: 1,
      cold: false,
      exchange: SMALL,
    } as const;
    const [outcome] = await generate({ ground }, turnsPlan(load));
    expect(outcome?.rounds.map(({ resumed }) => resumed)).toEqual([10, 10]);
  });

  const wrong: [string, Exchange, Partial<Route>, RegExp][] = [
    ["another body", { ...SMALL, body: SMALL_BODY.replace("x", "y") }, {}, /wrong bytes at 0/],
    ["a missing credential", SMALL, { authorization: "Bearer placeholder" }, /403 Forbidden/],
    ["an upload of other bytes", { kind: "json", path: "/upload", bytes: 9_000 }, {}, /403 Forbidden/],
  ];
  test.each(wrong)("takes %s for a failure", async (_name, exchange, changes, reason) => {
    const [outcome] = await generate(
      { ground },
      turnsPlan({ kind: "closed", connections: 1, exchange }, changes),
    );
    expect(outcome?.rounds).toEqual([]);
    expect(outcome?.problem).toMatch(reason);
  });

  test("goes on with the others when one target fails", async () => {
    const plan = turnsPlan({ kind: "closed", connections: 1, exchange: SMALL });
    const [good] = plan.contestants;
    if (good === undefined) throw new Error("no contestant");
    const bad = { ...good, route: { ...good.route, authorization: "none" } };
    const outcomes = await generate({ ground }, { ...plan, contestants: [bad, good] });
    expect(outcomes.map(({ rounds }) => rounds.length)).toEqual([0, 2]);
  });
});

test("at a fixed rate, those that had to wait for a stall count with all of their waiting", async () => {
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${SMALL_BODY.length}\r\n\r\n${SMALL_BODY}`;
  let asked = 0;
  let stalled: (() => void)[] | undefined;
  using server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket): void {
        // One stall of 300 ms behind the warm-up; who comes meanwhile waits too.
        if (++asked === 150) {
          stalled = [];
          setTimeout(() => {
            for (const release of stalled ?? []) release();
            stalled = undefined;
          }, 300);
        }
        if (stalled === undefined) socket.write(answer);
        else stalled.push(() => socket.write(answer));
      },
    },
  });
  const plan: AlonePlan = {
    kind: "alone",
    route: { ...route(), way: "plain", port: server.port, originPort: server.port },
    load: { kind: "open", connections: 1, perSecond: 200, exchange: SMALL },
    warmUp: { seconds: 1, operations: 20 },
    measure: { seconds: 2, operations: 200 },
    ...{ target: process.pid, upstreams: [] },
  };
  const [outcome] = await generate({ ground }, plan);
  const [round] = outcome?.rounds ?? [];
  expect(round?.operations).toBe(200);
  // About 60 of 200 were due during the stall: a closed loop on one connection would have counted one.
  expect(round?.latency.p99).toBeGreaterThan(250);
  expect(round?.latency.p50).toBeLessThan(250);
});

test("a bench that is interrupted leaves no process and no file", async () => {
  const script = join(import.meta.dir, "../support/bench-ground-child.ts");
  const bench = Bun.spawn([process.execPath, script], { stdout: "pipe", stderr: "inherit" });
  const reader = bench.stdout.getReader();
  const { value } = await within(reader.read(), "the bench to start");
  const { dir, pid } = JSON.parse(new TextDecoder().decode(value)) as { dir: string; pid: number };
  expect(isAlive(pid)).toBe(true);
  bench.kill("SIGINT");
  expect(await bench.exited).toBe(130);
  expect(isAlive(pid)).toBe(false);
  expect(await Bun.file(join(dir, "marker")).exists()).toBe(false);
});

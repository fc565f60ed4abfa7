// The engine without a configuration: a plan is followed, replaced whole, and nothing of it is left after the end.

import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { Engine, type Plan } from "../../src/app/engine.ts";
import { Surroundings } from "../../src/app/surroundings.ts";
import { DEFAULT_LIMITS } from "../../src/config/config.ts";
import { LocalEndpoints } from "../../src/proxy/local/local.ts";
import { PathSeal } from "../../src/proxy/local/path-seal.ts";
import type { RequestRecord } from "../../src/proxy/record.ts";
import { DefaultRun } from "../../src/run/default-run.ts";
import { compileRun } from "../../src/run/run-context.ts";
import { connect, get } from "../support/client.ts";
import { exchange, type Response, value } from "../support/http-message.ts";
import { printed } from "../support/net-app.ts";
import { ok, startUpstream } from "../support/upstream.ts";

function planWith(surroundings: Surroundings, extra: string): Plan {
  const network = { policy: "permissive", allow: [], grants: [] } as const;
  const extraHeaders = [{ host: "localhost", header: "X-Plan", value: extra }];
  const run = compileRun({ runId: undefined, network, credentials: [], extraHeaders });
  return {
    session: {
      runs: new DefaultRun(run, undefined),
      limits: DEFAULT_LIMITS,
      local: new LocalEndpoints({
        ...{ localHosts: [], allowedOrigins: [], caPem: undefined, relays: new Map(), awsHandler: undefined },
        seal: new PathSeal(randomBytes(32)),
      }),
      plainPorts: new Set([80]),
      detail: { captureHeaders: [], query: false },
    },
    dial: surroundings.dialOptions({
      ...{
        allowIps: ["127.0.0.0/8", "::1"],
        namedTargets: new Set(),
        upstreamCa: undefined,
        systemRoots: false,
      },
      ...{ clientCertificates: undefined, upstreamProxy: undefined, dialMs: 2_000, tlsMs: 2_000 },
    }),
  };
}

interface Rig extends AsyncDisposable {
  readonly engine: Engine;
  readonly surroundings: Surroundings;
  readonly records: readonly RequestRecord[];
}

function rig(maxConnections = 100, port = 0): Rig {
  const surroundings = new Surroundings();
  const records: RequestRecord[] = [];
  const engine = new Engine(
    {
      listen: {
        ...{ host: "127.0.0.1", port, maxConnections, maxConnectionsPerClient: maxConnections },
        proxyProtocol: false,
      },
      surroundings,
      ca: undefined,
      records: { write: (record) => void records.push(record) },
      log: printed().log,
    },
    planWith(surroundings, "first"),
  );
  return { engine, surroundings, records, [Symbol.asyncDispose]: () => engine.stop(0) };
}

describe("Engine", () => {
  test("follows its plan, and from use() on the next one, on an open connection too", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    await using proxy = rig();
    const { engine, surroundings, records } = proxy;
    engine.start();
    const client = await connect("127.0.0.1", engine.port);
    const ask = (): Promise<Response> =>
      exchange(client, get(`http://${upstream.authority}/`, upstream.authority));
    expect((await ask()).status).toBe(200);
    expect(engine.counts).toMatchObject({ clientConnections: 1, idleUpstreams: 1, tunnels: 0 });
    engine.use(planWith(surroundings, "second"));
    expect(engine.counts.idleUpstreams).toBe(0);
    expect((await ask()).status).toBe(200);
    expect(upstream.requests.map((request) => value(request, "x-plan"))).toEqual(["first", "second"]);
    expect(records.map(({ status }) => status)).toEqual([200, 200]);
    client.destroy();
  });

  test("its own port is none that it dials", async () => {
    await using proxy = rig();
    proxy.engine.start();
    const { port } = proxy.engine;
    expect([...proxy.surroundings.ownPorts]).toEqual([port]);
    const client = await connect("127.0.0.1", port);
    const answer = await exchange(client, get(`http://127.0.0.1:${port}/healthz`, `127.0.0.1:${port}`));
    expect([answer.status, value(answer, "x-moat-blocked")]).toEqual([403, "destination"]);
    client.destroy();
  });

  test("lets in fewer than configured where the limit on open files wants it", () => {
    const { engine, surroundings } = rig(1_000_000_000);
    expect(engine.maxConnections).toBe(surroundings.budget.clients);
    expect(rig(5).engine.maxConnections).toBe(5);
  });

  test("a port in use is one line; close() accepts no more and lets what is open go on", async () => {
    await using first = rig();
    first.engine.start();
    const { port } = first.engine;
    expect(() => rig(100, port).engine.start()).toThrow(
      `cannot listen on 127.0.0.1:${port}: the port is in use`,
    );
    const client = await connect("127.0.0.1", port);
    expect((await exchange(client, get("/healthz", "localhost"))).status).toBe(200);
    first.engine.close();
    await expect(connect("127.0.0.1", port)).rejects.toThrow();
    expect((await exchange(client, get("/healthz", "localhost"))).status).toBe(200);
    client.destroy();
  });

  test("stop() ends idle connections at once, and twice is the same", async () => {
    const { engine } = rig();
    engine.start();
    const client = await connect("127.0.0.1", engine.port);
    await exchange(client, get("/healthz", "localhost"));
    await Promise.all([engine.stop(60_000), engine.stop(0)]);
    await client.whenEnded();
  });
});

// A reload of the pool's dial options over real connections: what was made with other options is not used again.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { UpstreamPool } from "../../src/net/upstream-pool.ts";
import { DestinationPolicy } from "../../src/policy/destinations.ts";
import type { Upstream as Pooled, UpstreamTarget } from "../../src/proxy/ports.ts";
import { compileRun } from "../../src/run/run-context.ts";
import { within } from "../support/byte-stream.ts";
import { dialOptions, target } from "../support/net-dials.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

const RUN = compileRun({
  runId: undefined,
  network: { policy: "permissive", allow: [], grants: [] },
  credentials: [],
});

let pool: UpstreamPool;
let upstream: Upstream;
let to: UpstreamTarget;

beforeEach(() => {
  pool = new UpstreamPool(dialOptions(), { now: () => 1_000 }, 10);
  upstream = startUpstream({ tls: false, halfOpen: true });
  to = target("http", upstream.authority);
});

afterEach(() => {
  pool.destroy();
  upstream.close();
});

function dial(): Promise<Pooled> {
  const { promise, resolve, reject } = Promise.withResolvers<Pooled>();
  pool.dial(RUN, to, false, { onConnected: resolve, onDialFailed: reject });
  return within(promise, "upstream connection");
}

describe("reconfigure()", () => {
  test("closes what is idle, in an orderly way", async () => {
    for (const one of [await dial(), await dial()]) pool.release(one, undefined);
    expect(pool.idle).toBe(2);
    pool.reconfigure(dialOptions());
    expect(pool.idle).toBe(0);
    expect(pool.take(RUN, to, Number.POSITIVE_INFINITY)).toBeUndefined();
    for (const connection of upstream.connections) await connection.whenEnded();
  });

  test("new dials use the new options", async () => {
    (await dial()).wire.destroy();
    const destinations = new DestinationPolicy({ allowIps: [], ownAddresses: () => [] });
    pool.reconfigure(dialOptions({ destinations }));
    expect(pool.refusal(target("http", `127.0.0.1:${upstream.port}`))?.code).toBe("destination");
    await expect(dial()).rejects.toMatchObject({ code: "destination" });
  });

  test("a connection in use, or being made, goes on; it is closed when it is given back", async () => {
    const inUse = await dial();
    const underWay = dial();
    pool.reconfigure(dialOptions());
    const made = await underWay;
    for (const [at, one] of [inUse, made].entries()) {
      one.wire.write(Buffer.from("still there"));
      expect((await (await upstream.next()).readBytes(11)).toString()).toBe("still there");
      pool.release(one, undefined);
      expect(pool.idle).toBe(0);
      await upstream.connections[at]?.whenEnded();
    }
    pool.release(await dial(), undefined);
    expect(pool.idle).toBe(1);
  });
});

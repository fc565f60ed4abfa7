// What a Listener needs to serve real sessions, without files and configuration: an open policy, the test CA, no
// credentials, records kept in memory. Limits are those of the caller.

import { Listener, type ListenerOptions } from "../../src/net/listener.ts";
import { UpstreamPool } from "../../src/net/upstream-pool.ts";
import { LocalEndpoints } from "../../src/proxy/local/local.ts";
import type { RequestRecord } from "../../src/proxy/record.ts";
import type { Live, SessionDeps } from "../../src/proxy/session-deps.ts";
import { DefaultRun } from "../../src/run/default-run.ts";
import { compileRun } from "../../src/run/run-context.ts";
import { localConfig } from "./local-config.ts";
import { dialOptions } from "./net-dials.ts";
import { interceptionCa, interceptor } from "./net-wires.ts";
import { Watch } from "./net-witness.ts";

export interface SmallProxy extends Disposable {
  readonly listener: Listener;
  readonly live: Set<Live>;
  readonly records: readonly RequestRecord[];
  /** Resolves when the count of connections is `count`. Looked at with every turn of the loop. */
  untilConnections(count: number): Promise<void>;
  untilRecords(count: number): Promise<void>;
  /** One sweep of the deadlines, as if that much time had passed. */
  sweep(aheadMs: number): void;
}

export interface SmallProxyOptions extends Partial<ListenerOptions> {
  /** Default true. False: every CONNECT is an opaque tunnel. */
  readonly intercept?: boolean;
  /** Default true. False: the caller starts the listener. */
  readonly started?: boolean;
}

export function startSmallProxy(options: SmallProxyOptions = {}): SmallProxy {
  const { intercept = true, started = true, ...listening } = options;
  const clock = { now: () => performance.now() };
  const upstreams = new UpstreamPool(dialOptions(), clock, 1_000);
  const records: RequestRecord[] = [];
  const recorded = new Watch();
  const live = new Set<Live>();
  const network = { policy: "permissive", allow: [], grants: [] } as const;
  let ids = 0;
  const deps: SessionDeps = {
    runs: new DefaultRun(compileRun({ runId: undefined, network, credentials: [] }), undefined),
    upstreams,
    interceptor: intercept ? interceptor(1_000) : undefined,
    records: {
      write(record) {
        records.push({ ...record });
        recorded.changed();
      },
    },
    detail: { captureHeaders: [], query: false },
    ids: { next: () => `req_${++ids}` },
    clock,
    limits: { headMs: 60_000, handshakeMs: 10_000, idleMs: 120_000, responseHeaderMs: 900_000 },
    local: new LocalEndpoints(localConfig({ caPem: interceptionCa().certPem })),
    plainPorts: new Set([80]),
    live,
    lifecycle: { draining: false, tunnels: 0 },
  };
  const listener = new Listener(
    {
      host: "127.0.0.1",
      port: 0,
      maxConnections: 1_000,
      maxConnectionsPerClient: 1_000,
      proxyProtocol: false,
      ...listening,
    },
    deps,
  );
  if (started) listener.start();
  return {
    listener,
    live,
    records,
    async untilConnections(count) {
      const deadline = performance.now() + 4_000;
      while (listener.connections !== count) {
        if (performance.now() > deadline)
          throw new Error(`${listener.connections} connections counted, expected ${count}`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    untilRecords: (count) => recorded.until(`record number ${count}`, () => records.length >= count),
    sweep(aheadMs) {
      for (const session of [...live]) session.sweep(clock.now() + aheadMs);
    },
    [Symbol.dispose]() {
      listener.stop();
      for (const session of [...live]) session.destroy();
      upstreams.destroy();
    },
  };
}

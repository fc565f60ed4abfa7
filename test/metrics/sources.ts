// Gauge sources with numbers that can be told apart.

import type { GaugeSources } from "../../src/metrics/gauges.ts";

export function gaugeSources(): GaugeSources {
  return {
    clientConnections: () => 1,
    tunnels: () => 2,
    idleUpstreams: () => 3,
    leafCacheSize: () => 4,
    leafMints: () => 5,
    sourceRefreshes: () => 6,
    sourceFailures: () => 7,
    logLinesLost: () => 8,
    rssBytes: () => 9,
    eventLoopLag: () => ({ now: 10, max: 250 }),
    caNotAfter: () => 2_000_000_000_000,
  };
}

// What is read at the moment of a scrape and counted elsewhere: connections, caches, sources, memory.
// The composition root fills the interface; nothing here keeps state.

import { type Family, single } from "./exposition.ts";

/** Called at a scrape only. What is named a total has counted since the start. */
export interface GaugeSources {
  clientConnections(): number;
  /** Tunnels that carry bytes unseen: opaque CONNECT, WebSocket. */
  tunnels(): number;
  idleUpstreams(): number;
  /** Leaf certificates in the cache. */
  leafCacheSize(): number;
  /** Leaf certificates minted, total. */
  leafMints(): number;
  /** Fetches from credential sources that succeeded, total. */
  sourceRefreshes(): number;
  /** Fetches from credential sources that failed, total. */
  sourceFailures(): number;
  /** Lines the log output has cost, total. */
  logLinesLost(): number;
  rssBytes(): number;
  /** Milliseconds: how late timers fire, now and at worst in the last half minute or longer. */
  eventLoopLag(): { readonly now: number; readonly max: number };
  /** Unix milliseconds; undefined when nothing is intercepted. */
  caNotAfter(): number | undefined;
}

export function gaugeFamilies(sources: GaugeSources): Family[] {
  const lag = sources.eventLoopLag();
  const caEnd = sources.caNotAfter();
  const families = [
    single("moat_client_connections", "gauge", "Open client connections.", sources.clientConnections()),
    single("moat_tunnels", "gauge", "Open tunnels: opaque CONNECT and WebSocket.", sources.tunnels()),
    single("moat_upstream_idle_connections", "gauge", "Idle upstream connections.", sources.idleUpstreams()),
    single("moat_leaf_cache_certificates", "gauge", "Leaf certificates cached.", sources.leafCacheSize()),
    single("moat_leaf_mints_total", "counter", "Leaf certificates minted.", sources.leafMints()),
    single(
      "moat_source_refreshes_total",
      "counter",
      "Credentials fetched from their source.",
      sources.sourceRefreshes(),
    ),
    single(
      "moat_source_failures_total",
      "counter",
      "Fetches from a credential source that failed.",
      sources.sourceFailures(),
    ),
    single(
      "moat_log_lines_lost_total",
      "counter",
      "Log lines that the output did not take.",
      sources.logLinesLost(),
    ),
    single(
      "moat_event_loop_lag_seconds",
      "gauge",
      "How late the last timer fired, waiting included.",
      lag.now / 1000,
    ),
    single("moat_event_loop_lag_max_seconds", "gauge", "The worst of 30 to 60 seconds.", lag.max / 1000),
    single("process_resident_memory_bytes", "gauge", "Resident memory.", sources.rssBytes()),
  ];
  if (caEnd !== undefined)
    families.push(
      single("moat_ca_expiry_timestamp_seconds", "gauge", "End of the CA, Unix time.", caEnd / 1000),
    );
  return families;
}

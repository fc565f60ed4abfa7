import { expect, test } from "bun:test";
import { exposition } from "../../src/metrics/exposition.ts";
import { gaugeFamilies } from "../../src/metrics/gauges.ts";
import { gaugeSources } from "./sources.ts";

test("every source has its series, times in seconds", () => {
  const text = exposition(gaugeFamilies(gaugeSources()));
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(samples).toEqual([
    "moat_client_connections 1",
    "moat_tunnels 2",
    "moat_upstream_idle_connections 3",
    "moat_leaf_cache_certificates 4",
    "moat_leaf_mints_total 5",
    "moat_source_refreshes_total 6",
    "moat_source_failures_total 7",
    "moat_log_lines_lost_total 8",
    "moat_event_loop_lag_seconds 0.01",
    "moat_event_loop_lag_max_seconds 0.25",
    "process_resident_memory_bytes 9",
    "moat_ca_expiry_timestamp_seconds 2000000000",
  ]);
});

test("without a CA there is no end of it", () => {
  const text = exposition(gaugeFamilies({ ...gaugeSources(), caNotAfter: () => undefined }));
  expect(text).not.toContain("moat_ca_");
});

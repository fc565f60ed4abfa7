// Settings that a reload cannot change, since a listener, a CA and a log are opened once: whoever changed one is told
// so. Compares two configurations, does nothing else. wire.md section 1.

import type { Config } from "../config/config.ts";

const FIXED: readonly (readonly [key: string, of: (config: Config) => unknown])[] = [
  ["proxy.host", (config) => config.proxy.host],
  ["proxy.port", (config) => config.proxy.port],
  ["proxy.proxy_protocol", (config) => config.proxy.proxyProtocol],
  ["tls.intercept", (config) => config.tls.intercept],
  ["tls.ca_cert", (config) => config.tls.caCert],
  ["tls.ca_key", (config) => config.tls.caKey],
  ["limits.max_connections", (config) => config.limits.maxConnections],
  ["limits.max_connections_per_client", (config) => config.limits.maxConnectionsPerClient],
  ["log.level", (config) => config.log.level],
  ["log.format", (config) => config.log.format],
  ["log.output", (config) => config.log.output],
  ["metrics.listen", (config) => JSON.stringify(config.metricsListen)],
];

/** One line for each of them that differs. */
export function needsRestart(running: Config, next: Config): string[] {
  return FIXED.filter(([, of]) => of(running) !== of(next)).map(
    ([key]) => `${key}: changed in the configuration, takes effect after a restart`,
  );
}

// Which settings a reload cannot change, each with a change of it.

import { describe, expect, test } from "bun:test";
import { needsRestart } from "../../src/app/needs-restart.ts";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";

function config(yaml: string): Config {
  return loadConfig({ file: "moat.yaml", flags: {}, env: { HOME: "/nonexistent" }, readFile: () => yaml });
}

const BEFORE = config("proxy: { port: 8080 }\n");

describe("needsRestart", () => {
  test.each([
    ["proxy: { port: 8080, host: 127.0.0.2 }", "proxy.host"],
    ["proxy: { port: 8081 }", "proxy.port"],
    ["proxy: { port: 8080, proxy_protocol: true }", "proxy.proxy_protocol"],
    ["proxy: { port: 8080 }\ntls: { intercept: false }", "tls.intercept"],
    ["proxy: { port: 8080 }\nlimits: { max_connections: 5 }", "limits.max_connections"],
    ["proxy: { port: 8080 }\nlimits: { max_connections_per_client: 5 }", "limits.max_connections_per_client"],
    ["proxy: { port: 8080 }\nlog: { level: debug }", "log.level"],
    ["proxy: { port: 8080 }\nlog: { format: json }", "log.format"],
    ["proxy: { port: 8080 }\nlog: { output: stdout }", "log.output"],
    ['proxy: { port: 8080 }\nmetrics: { listen: "127.0.0.1:9090" }', "metrics.listen"],
  ])("%j tells of %s, and of nothing else", (yaml, key) => {
    expect(needsRestart(BEFORE, config(yaml))).toEqual([
      `${key}: changed in the configuration, takes effect after a restart`,
    ]);
  });

  test("a CA elsewhere needs one for both of its files", () => {
    const next = config("proxy: { port: 8080 }\ntls: { ca_cert: /a/ca.crt, ca_key: /a/ca.key }\n");
    expect(needsRestart(BEFORE, next).map((line) => line.split(":")[0])).toEqual([
      "tls.ca_cert",
      "tls.ca_key",
    ]);
  });

  test.each([
    ["credentials: [{ host: a.test, source: { type: static, value: x } }]"],
    ["network: { policy: strict, allow: [a.test] }"],
    ["limits: { head_timeout: 1s }"],
    ["tls: { plain_ports: [8080] }"],
    ["relays: [{ name: a, url: 'http://a.test' }]"],
  ])("%j needs none", (yaml) => {
    expect(needsRestart(BEFORE, config(`proxy: { port: 8080 }\n${yaml}`))).toEqual([]);
  });
});

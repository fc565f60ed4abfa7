// A whole configuration for tests of app.ts, in a directory of its own, and a logger that keeps its lines.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type App, startApp } from "../../src/app.ts";
import type { Config, CredentialConfig } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createLogger, type Logger } from "../../src/log/logger.ts";
import { pki } from "./pki.ts";
import { SECRET } from "./secrets.ts";

/** What a test changes, part by part. */
export interface ConfigChanges {
  readonly proxy?: Partial<Config["proxy"]>;
  readonly tls?: Partial<Config["tls"]>;
  readonly network?: Partial<Config["network"]>;
  readonly limits?: Partial<Config["limits"]>;
  readonly credentials?: Config["credentials"];
}

/** A credential with its real value in the config, as a file would say it; `more` is not checked. */
export function staticCredential(host: string, more: Partial<CredentialConfig> = {}): CredentialConfig {
  const file = `credentials: [{host: template.test, source: {type: static, value: ${SECRET}}}]`;
  const config = loadConfig({ file: "test.yaml", flags: {}, env: {}, readFile: () => file });
  const template = config.credentials[0] as CredentialConfig; // the file has one
  return { ...template, host, ...more };
}

/** Loopback may be dialled, the test authority is trusted, everything is allowed. */
export function configIn(dir: string, changes: ConfigChanges = {}): Config {
  const allowIps = ["127.0.0.0/8", "::1/128"];
  // A child process that is told the authority need not make one of its own.
  const upstreamCa = changes.tls?.upstreamCa ?? pki().caPath;
  const flags = { port: 0, caDir: join(dir, "ca"), upstreamCa, allowIps };
  const base = loadConfig({ flags, env: {}, readFile: () => "" });
  return {
    ...base,
    proxy: { ...base.proxy, ...changes.proxy },
    tls: { ...base.tls, ...changes.tls },
    network: { ...base.network, ...changes.network },
    limits: { ...base.limits, ...changes.limits },
    credentials: changes.credentials ?? base.credentials,
  };
}

export interface Printed {
  readonly log: Logger;
  text(): string;
  records(): readonly Readonly<Record<string, unknown>>[];
}

/** A logger whose lines stay in memory. */
export function printed(): Printed {
  let text = "";
  const log = createLogger({
    level: "debug",
    format: "json",
    output(bytes) {
      text += Buffer.from(bytes).toString("utf8");
      return bytes.length;
    },
  });
  return {
    log,
    text() {
      log.flush();
      return text;
    },
    records() {
      log.flush();
      return text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter(({ msg }) => msg === "request");
    },
  };
}

export interface TestApp extends AsyncDisposable {
  readonly app: App;
  readonly host: string;
  readonly port: number;
  readonly caPath: string;
  readonly caPem: string;
  readonly printed: Printed;
}

/** A directory that goes away with the test. */
export function ownDirectory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "moat-app-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export async function startTestApp(changes: ConfigChanges = {}): Promise<TestApp> {
  const dir = ownDirectory();
  const lines = printed();
  const app = await startApp(configIn(dir.path, changes), { log: lines.log, version: "0.0.0-test" });
  return {
    app,
    host: app.host,
    port: app.port,
    caPath: app.caCertPath ?? "",
    caPem: app.caCertPath === undefined ? "" : readFileSync(app.caCertPath, "utf8"),
    printed: lines,
    async [Symbol.asyncDispose]() {
      await app.stop(0);
      dir[Symbol.dispose]();
    },
  };
}

// The composition root: a Config goes in, a running proxy comes out. It joins the parts of app/ with the log and the
// metrics, and decides nothing about a request.

import { randomBytes } from "node:crypto";
import { AwsRole } from "./app/aws-role.ts";
import { planOf } from "./app/config-plan.ts";
import { Engine } from "./app/engine.ts";
import { needsRestart } from "./app/needs-restart.ts";
import { Surroundings } from "./app/surroundings.ts";
import { type OpenedCa, openCa } from "./config/ca-files.ts";
import { type Config, DEFAULT_LIMITS } from "./config/config.ts";
import { type MetricsServer, startMetricsServer } from "./control/metrics-server.ts";
import type { SourcePool } from "./credentials/source-pool.ts";
import { checkLlhttp } from "./http1/llhttp.ts";
import type { Logger } from "./log/logger.ts";
import { createRequestLog } from "./log/request-log.ts";
import { LoopLag } from "./metrics/loop-lag.ts";
import { Metrics } from "./metrics/metrics.ts";
import { PathSeal } from "./proxy/local/path-seal.ts";

export interface App {
  /** Address bound. */
  readonly host: string;
  readonly port: number;
  /** The certificate clients have to trust; undefined when nothing is intercepted. */
  readonly caCertPath: string | undefined;
  /**
   * Replaces all that can be replaced while running, whole or, when it throws, not at all.
   * @returns one line for each setting that needs a restart
   */
  reload(next: Config): Promise<readonly string[]>;
  /** Accepts no more, lets what runs finish for `drainMs`, then closes everything. */
  stop(drainMs: number): Promise<void>;
}

export interface AppDeps {
  readonly log: Logger;
  readonly version: string;
}

/** @throws Error of one line for the operator: what is wrong with the CA, a credential or the address to bind */
export async function startApp(config: Config, deps: AppDeps): Promise<App> {
  checkLlhttp();
  const { log } = deps;
  const opened = config.tls.intercept ? openAuthority(config, log) : undefined;
  const surroundings = new Surroundings();
  const lasting = { log, opened, surroundings, seal: new PathSeal(randomBytes(32)), aws: new AwsRole(log) };
  let plan = await planOf(config, lasting, undefined);
  const lag = new LoopLag(() => performance.now());
  const requestLog = createRequestLog(log);
  const metrics = new Metrics({
    version: deps.version,
    grants: grantNames(config),
    gauges: {
      clientConnections: () => engine.counts.clientConnections,
      tunnels: () => engine.counts.tunnels,
      idleUpstreams: () => engine.counts.idleUpstreams,
      leafCacheSize: () => engine.counts.leafCacheSize,
      leafMints: () => engine.counts.leafMints,
      sourceRefreshes: () => total(plan.sources, "refreshes"),
      sourceFailures: () => total(plan.sources, "failures"),
      logLinesLost: () => log.lost,
      rssBytes: () => process.memoryUsage.rss(),
      eventLoopLag: () => lag.read(),
      caNotAfter: () => opened?.ca.notAfter,
    },
  });
  const engine = new Engine(
    {
      listen: { ...config.limits, ...config.proxy },
      surroundings,
      ca: opened?.ca,
      log,
      records: {
        write(record) {
          requestLog.write(record);
          metrics.observe(record);
        },
      },
    },
    plan,
  );
  engine.start();
  const scrape = await startMetrics(config, metrics, engine);
  if (scrape !== undefined) {
    surroundings.ownPorts.add(scrape.port);
    log.info("metrics", {
      url: `http://${scrape.host.includes(":") ? `[${scrape.host}]` : scrape.host}:${scrape.port}/metrics`,
    });
    lag.start();
  }
  tellLoweredLimit(config, engine.maxConnections, log);
  return {
    host: config.proxy.host,
    port: engine.port,
    caCertPath: opened?.certPath,
    async reload(next) {
      plan = await planOf(next, lasting, plan.sources);
      engine.use(plan);
      metrics.knowGrants(grantNames(next));
      return needsRestart(config, next);
    },
    async stop(drainMs) {
      await engine.stop(drainMs);
      lag.stop();
      plan.sources.close();
      await scrape?.stop();
    },
  };
}

async function startMetrics(
  config: Config,
  metrics: Metrics,
  engine: Engine,
): Promise<MetricsServer | undefined> {
  const { metricsListen, proxy } = config;
  if (metricsListen === undefined) return undefined;
  try {
    return startMetricsServer({ ...metricsListen, metrics, localHosts: proxy.localHosts });
  } catch (error) {
    await engine.stop(0);
    throw error;
  }
}

function grantNames(config: Config): string[] {
  return [
    ...config.credentials.map(({ grant }) => grant),
    ...config.mcpServers.flatMap(({ auth }) => (auth === undefined ? [] : [auth.grant])),
  ];
}

function total(sources: SourcePool, what: "refreshes" | "failures"): number {
  return Object.values(sources.stats()).reduce((sum, stats) => sum + stats[what], 0);
}

function openAuthority(config: Config, log: Logger): OpenedCa {
  const { caCert, caKey, caDir } = config.tls;
  const location =
    caCert !== undefined && caKey !== undefined ? { certPath: caCert, keyPath: caKey } : { dir: caDir };
  const opened = openCa(location, new Date());
  for (const warning of opened.warnings) log.warn(warning);
  if (opened.created) log.info("made a new CA: clients have to trust it", { ca_cert: opened.certPath });
  return opened;
}

/** The kernel's limit on open files wins over the configuration; who set a number is told so. */
function tellLoweredLimit(config: Config, maxConnections: number, log: Logger): void {
  const wanted = config.limits.maxConnections;
  if (maxConnections >= wanted) return;
  const tell = wanted === DEFAULT_LIMITS.maxConnections ? log.debug : log.warn;
  tell("the limit on open files allows fewer connections", { max_connections: maxConnections });
}

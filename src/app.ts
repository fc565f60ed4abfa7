// The composition root: a Config goes in, a running proxy comes out. The only file that constructs every part; it
// decides nothing about a request.

import { type OpenedCa, openCa } from "./config/ca-files.ts";
import { type Config, type CredentialConfig, DEFAULT_LIMITS } from "./config/config.ts";
import { type MetricsServer, startMetricsServer } from "./control/metrics-server.ts";
import { SourcePool } from "./credentials/source-pool.ts";
import { checkLlhttp } from "./http1/llhttp.ts";
import type { CredentialRule } from "./inject/credentials.ts";
import { createBugReporter } from "./log/bug-report.ts";
import type { Logger } from "./log/logger.ts";
import { createRequestIds } from "./log/request-id.ts";
import { createRequestLog } from "./log/request-log.ts";
import { LoopLag } from "./metrics/loop-lag.ts";
import { Metrics } from "./metrics/metrics.ts";
import { TlsInterceptor } from "./net/accept-tls.ts";
import { loadClientCerts } from "./net/client-certs.ts";
import type { DialOptions } from "./net/dial.ts";
import { Listener } from "./net/listener.ts";
import { ownConnectionBudget } from "./net/open-files.ts";
import { OwnAddresses } from "./net/own-addresses.ts";
import { upstreamRoots } from "./net/roots.ts";
import { UpstreamPool } from "./net/upstream-pool.ts";
import { DestinationPolicy } from "./policy/destinations.ts";
import { LocalEndpoints } from "./proxy/local/local.ts";
import type { Live, SessionDeps } from "./proxy/session-deps.ts";
import { DefaultRun } from "./run/default-run.ts";
import { compileRun, type RunContext } from "./run/run-context.ts";
import { ProxyError } from "./values/errors.ts";
import { LeafCache } from "./x509/leaf-cache.ts";
import { MintLimiter } from "./x509/mint-limiter.ts";

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

/** How long a credential source may take: less than a request waits for it, so that the client hears the reason. */
const SOURCE_TIMEOUT_MS = 25_000;
/** One sweep for all deadlines. */
const SWEEP_MS = 1_000;

/** @throws Error of one line for the operator: what is wrong with the CA, a credential or the address to bind */
export async function startApp(config: Config, deps: AppDeps): Promise<App> {
  checkLlhttp();
  const { log } = deps;
  const clock = { now: () => performance.now() };
  const opened = config.tls.intercept ? openAuthority(config, log) : undefined;
  const budget = ownConnectionBudget();
  const ownAddresses = new OwnAddresses();
  const attempts = { pending: 0, max: budget.attempts };
  const ownPorts = new Set<number>();
  let compiled = await compile(config, { log, opened, ownAddresses, ownPorts, attempts }, undefined);
  const upstreams = new UpstreamPool(compiled.dial, clock, budget.idleUpstreams);
  const lag = new LoopLag(clock.now);
  const leaves = opened === undefined ? undefined : new LeafCache({ ca: opened.ca, now: Date.now });
  const requestLog = createRequestLog(log);
  const metrics = new Metrics({
    version: deps.version,
    grants: grantNames(config),
    gauges: {
      clientConnections: () => listener.connections,
      tunnels: () => sessionDeps.lifecycle.tunnels,
      idleUpstreams: () => upstreams.idle,
      leafCacheSize: () => leaves?.size ?? 0,
      leafMints: () => leaves?.mints ?? 0,
      sourceRefreshes: () => total(compiled.sources, "refreshes"),
      sourceFailures: () => total(compiled.sources, "failures"),
      logLinesLost: () => log.lost,
      rssBytes: () => process.memoryUsage.rss(),
      eventLoopLag: () => lag.read(),
      caNotAfter: () => opened?.ca.notAfter,
    },
  });
  const sessionDeps: SessionDeps = {
    ...compiled.session,
    upstreams,
    interceptor:
      leaves === undefined ? undefined : new TlsInterceptor(leaves, new MintLimiter({ now: Date.now })),
    records: {
      write(record) {
        requestLog.write(record);
        metrics.observe(record);
      },
    },
    ids: createRequestIds(),
    clock,
    live: new Set<Live>(),
    lifecycle: { draining: false, tunnels: 0 },
  };
  const { live, lifecycle } = sessionDeps;
  const maxConnections = Math.min(config.limits.maxConnections, budget.clients);
  const listener = new Listener({ ...config.limits, ...config.proxy, maxConnections }, sessionDeps);
  listen(listener, config);
  const scrape = startMetrics(config, metrics, listener);
  ownPorts.add(listener.port);
  if (scrape !== undefined) {
    ownPorts.add(scrape.port);
    log.info("metrics", {
      url: `http://${scrape.host.includes(":") ? `[${scrape.host}]` : scrape.host}:${scrape.port}/metrics`,
    });
  }
  tellLoweredLimit(config, maxConnections, log);
  ownAddresses.start();
  if (scrape !== undefined) lag.start();
  const sweep = setInterval(() => sweepAll(live, upstreams, clock.now(), log), SWEEP_MS);
  return {
    host: config.proxy.host,
    port: listener.port,
    caCertPath: opened?.certPath,
    async reload(next) {
      const fresh = await compile(next, { log, opened, ownAddresses, ownPorts, attempts }, compiled.sources);
      // From here on nothing can fail and nothing waits: a request sees the old settings or the new ones.
      compiled = fresh;
      Object.assign(sessionDeps, fresh.session);
      upstreams.reconfigure(fresh.dial);
      metrics.knowGrants(grantNames(next));
      return needsRestart(config, next);
    },
    async stop(drainMs) {
      lifecycle.draining = true;
      listener.stop();
      for (const session of [...live]) session.drain();
      await drained(live, drainMs);
      for (const session of [...live]) session.destroy();
      clearInterval(sweep);
      lag.stop();
      ownAddresses.stop();
      upstreams.destroy();
      compiled.sources.close();
      await scrape?.stop();
    },
  };
}

/** What a reload replaces, made before anything is replaced. */
interface Compiled {
  readonly session: Pick<SessionDeps, "runs" | "limits" | "local" | "plainPorts" | "detail">;
  readonly dial: DialOptions;
  readonly sources: SourcePool;
}

/** What outlives a reload. */
interface Lasting {
  readonly log: Logger;
  readonly opened: OpenedCa | undefined;
  readonly ownAddresses: OwnAddresses;
  readonly attempts: DialOptions["attempts"];
  /** Filled once listening. */
  readonly ownPorts: ReadonlySet<number>;
}

async function compile(
  config: Config,
  lasting: Lasting,
  previous: SourcePool | undefined,
): Promise<Compiled> {
  const { opened, ownAddresses, ownPorts, attempts, log } = lasting;
  const { network, tls, limits, proxy } = config;
  const sources = new SourcePool(
    {
      env: process.env,
      now: Date.now,
      random: Math.random,
      timeoutMs: SOURCE_TIMEOUT_MS,
      onSilentFailure: (error, inARow) => tellSilentFailure(error, inARow, log),
    },
    previous,
  );
  const run = await compileDefaultRun(config, sources);
  return {
    sources,
    session: {
      runs: new DefaultRun(run, proxy.authToken),
      limits,
      local: new LocalEndpoints({ ...proxy, caPem: opened?.ca.certPem }),
      plainPorts: new Set(tls.plainPorts),
      detail: config.log,
    },
    dial: {
      destinations: new DestinationPolicy({
        allowIps: network.allowIps,
        ownAddresses: () => ownAddresses.current(),
        ownPorts,
      }),
      roots: upstreamRoots({ file: tls.upstreamCa, system: tls.systemRoots }),
      clientCertificate: loadClientCerts(tls.clientCerts),
      upstreamProxy: network.upstreamProxy,
      dialMs: limits.dialMs,
      tlsMs: limits.upstreamTlsMs,
      attempts,
    },
  };
}

/** Once when it begins, then ever more rarely: a dead source is retried all the time. */
function tellSilentFailure(error: Error, inARow: number, log: Logger): void {
  if (!Number.isInteger(Math.log10(inARow))) return;
  const fields = { error: error.message, failures: inARow };
  log.warn("a credential could not be refreshed, the old one is still served", fields);
}

function sweepAll(live: Set<Live>, upstreams: UpstreamPool, now: number, log: Logger): void {
  for (const session of live) {
    try {
      session.sweep(now);
    } catch (error) {
      // One broken session must not keep the deadlines of all others from being kept.
      live.delete(session);
      createBugReporter(log)(error);
    }
  }
  upstreams.sweep(now);
}

function startMetrics(config: Config, metrics: Metrics, listener: Listener): MetricsServer | undefined {
  const { metricsListen, proxy } = config;
  if (metricsListen === undefined) return undefined;
  try {
    return startMetricsServer({ ...metricsListen, metrics, localHosts: proxy.localHosts });
  } catch (error) {
    listener.stop();
    throw error;
  }
}

function grantNames(config: Config): string[] {
  return config.credentials.map((credential) => credential.grant);
}

function total(sources: SourcePool, what: "refreshes" | "failures"): number {
  return Object.values(sources.stats()).reduce((sum, stats) => sum + stats[what], 0);
}

/** One line for each setting that a reload cannot change. */
function needsRestart(running: Config, next: Config): string[] {
  const fixed: readonly (readonly [key: string, of: (config: Config) => unknown])[] = [
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
  return fixed
    .filter(([, of]) => of(running) !== of(next))
    .map(([key]) => `${key}: changed in the configuration, takes effect after a restart`);
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

async function compileDefaultRun(config: Config, sources: SourcePool): Promise<RunContext> {
  const rules = config.credentials.map((credential) => credentialRule(credential, sources));
  const isNew = config.credentials.map((credential) => !sources.knew(credential.source));
  await Promise.all(rules.filter((_, i) => isNew[i]).map((rule) => warm(rule)));
  const { network, tls } = config;
  return compileRun({ runId: undefined, network, credentials: rules, passthrough: tls.passthrough });
}

function credentialRule(credential: CredentialConfig, sources: SourcePool): CredentialRule {
  const { host, header, prefix, format, grant, allowCleartext } = credential;
  return { host, header, prefix, format, grant, allowCleartext, slot: sources.vaultFor(credential.source) };
}

/** A source that fails at start is the operator's mistake, told before the first request. */
async function warm(rule: CredentialRule): Promise<void> {
  if (rule.slot.current() !== undefined) return;
  try {
    await rule.slot.refresh();
  } catch (error) {
    const cause = error instanceof ProxyError ? error.cause : error;
    throw new Error(
      `credential for ${rule.host}: ${cause instanceof Error ? cause.message : "not available"}`,
    );
  }
}

/** The kernel's limit on open files wins over the configuration; who set a number is told so. */
function tellLoweredLimit(config: Config, maxConnections: number, log: Logger): void {
  const wanted = config.limits.maxConnections;
  if (maxConnections >= wanted) return;
  const tell = wanted === DEFAULT_LIMITS.maxConnections ? log.debug : log.warn;
  tell("the limit on open files allows fewer connections", { max_connections: maxConnections });
}

function listen(listener: Listener, config: Config): void {
  const { host, port } = config.proxy;
  try {
    listener.start();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const reason =
      code === "EADDRINUSE"
        ? "the port is in use"
        : code === "EADDRNOTAVAIL"
          ? "not an address of this host"
          : code;
    throw new Error(`cannot listen on ${host}:${port}: ${reason || "refused by the operating system"}`);
  }
}

/** Resolves when every session is over or the time is. */
async function drained(live: ReadonlySet<Live>, drainMs: number): Promise<void> {
  const end = performance.now() + drainMs;
  while (live.size > 0 && performance.now() < end) await Bun.sleep(Math.min(20, drainMs));
}

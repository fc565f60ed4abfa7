// The composition root: a Config goes in, a running proxy comes out. The only file that constructs every part; it
// decides nothing about a request.

import { type OpenedCa, openCa } from "./config/ca-files.ts";
import { type Config, type CredentialConfig, DEFAULT_LIMITS, type SourceConfig } from "./config/config.ts";
import { EnvSource } from "./credentials/env.ts";
import type { CredentialSource } from "./credentials/source.ts";
import { StaticSource } from "./credentials/static.ts";
import { Vault } from "./credentials/vault.ts";
import { checkLlhttp } from "./http1/llhttp.ts";
import type { CredentialRule } from "./inject/credentials.ts";
import type { Logger } from "./log/logger.ts";
import { createRequestIds } from "./log/request-id.ts";
import { createRequestLog } from "./log/request-log.ts";
import { TlsInterceptor } from "./net/accept-tls.ts";
import { Listener } from "./net/listener.ts";
import { ownConnectionBudget } from "./net/open-files.ts";
import { OwnAddresses } from "./net/own-addresses.ts";
import { upstreamRoots } from "./net/roots.ts";
import { UpstreamPool } from "./net/upstream-pool.ts";
import { DestinationPolicy } from "./policy/destinations.ts";
import { LocalEndpoints } from "./proxy/local/local.ts";
import type { Interceptor } from "./proxy/ports.ts";
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
  /** Accepts no more, lets what runs finish for `drainMs`, then closes everything. */
  stop(drainMs: number): Promise<void>;
}

export interface AppDeps {
  readonly log: Logger;
  readonly version: string;
}

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
  const upstreams = new UpstreamPool(
    {
      destinations: new DestinationPolicy({
        allowIps: config.network.allowIps,
        ownAddresses: () => ownAddresses.current(),
      }),
      roots: upstreamRoots(config.tls.upstreamCa),
      dialMs: config.limits.dialMs,
      tlsMs: config.limits.upstreamTlsMs,
      attempts: { pending: 0, max: budget.attempts },
    },
    clock,
    budget.idleUpstreams,
  );
  const live = new Set<Live>();
  const lifecycle = { draining: false };
  const sessionDeps: SessionDeps = {
    runs: new DefaultRun(await compileDefaultRun(config), config.proxy.authToken),
    upstreams,
    interceptor: opened === undefined ? undefined : interceptor(opened),
    records: createRequestLog(log),
    ids: createRequestIds(),
    clock,
    limits: config.limits,
    local: new LocalEndpoints({
      localHosts: config.proxy.localHosts,
      allowedOrigins: config.proxy.allowedOrigins,
      caPem: opened?.ca.certPem,
    }),
    plainPorts: new Set(config.tls.plainPorts),
    live,
    lifecycle,
  };
  const { host, port } = config.proxy;
  const maxConnections = Math.min(config.limits.maxConnections, budget.clients);
  const listener = new Listener({ ...config.limits, maxConnections, host, port }, sessionDeps);
  listen(listener, config);
  tellLoweredLimit(config, maxConnections, log);
  ownAddresses.start();
  const sweep = setInterval(() => {
    const now = clock.now();
    for (const session of live) session.sweep(now);
    upstreams.sweep(now);
  }, SWEEP_MS);
  return {
    host,
    port: listener.port,
    caCertPath: opened?.certPath,
    async stop(drainMs) {
      lifecycle.draining = true;
      listener.stop();
      for (const session of [...live]) session.drain();
      await drained(live, drainMs);
      for (const session of [...live]) session.destroy();
      clearInterval(sweep);
      ownAddresses.stop();
      upstreams.destroy();
    },
  };
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

function interceptor(opened: OpenedCa): Interceptor {
  const leaves = new LeafCache({ ca: opened.ca, now: Date.now });
  return new TlsInterceptor(leaves, new MintLimiter({ now: Date.now }));
}

async function compileDefaultRun(config: Config): Promise<RunContext> {
  const rules = config.credentials.map(credentialRule);
  await Promise.all(rules.map((rule) => warm(rule)));
  return compileRun({ runId: undefined, network: config.network, credentials: rules });
}

function credentialRule(credential: CredentialConfig): CredentialRule {
  const { host, header, prefix, format, grant, allowCleartext } = credential;
  return { host, header, prefix, format, grant, allowCleartext, slot: new Vault(source(credential.source)) };
}

function source(config: SourceConfig): CredentialSource {
  return config.type === "static"
    ? new StaticSource(config.value)
    : new EnvSource(config.variable, process.env);
}

/** A source that fails at start is the operator's mistake, told before the first request. */
async function warm(rule: CredentialRule): Promise<void> {
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

// From a Config to the plan that an engine follows: sources, the one run of the configuration, local endpoints, ways to
// upstreams. Everything that can fail fails here, before anything is replaced.

import type { OpenedCa } from "../config/ca-files.ts";
import type { Config } from "../config/config.ts";
import { SourcePool } from "../credentials/source-pool.ts";
import type { SecretSlot } from "../inject/credentials.ts";
import type { Logger } from "../log/logger.ts";
import { loadClientCerts } from "../net/client-certs.ts";
import { LocalEndpoints } from "../proxy/local/local.ts";
import type { PathSeal } from "../proxy/local/path-seal.ts";
import { DefaultRun } from "../run/default-run.ts";
import { parseRelayTarget, type RelayTarget } from "../run/relay-target.ts";
import { compileRun, type RunContext } from "../run/run-context.ts";
import { ProxyError } from "../values/errors.ts";
import type { AwsRole } from "./aws-role.ts";
import { defaultRunSettings, secretHolders } from "./default-run.ts";
import type { Plan } from "./engine.ts";
import type { Surroundings } from "./surroundings.ts";

/** A plan, and what has to be closed when it is no longer followed. */
export interface ConfigPlan extends Plan {
  readonly sources: SourcePool;
}

/** What outlives a reload. */
export interface Lasting {
  readonly log: Logger;
  readonly opened: OpenedCa | undefined;
  readonly surroundings: Surroundings;
  readonly seal: PathSeal;
  readonly aws: AwsRole;
}

/** How long a credential source may take: less than a request waits for it, so that the client hears the reason. */
const SOURCE_TIMEOUT_MS = 25_000;

/**
 * @param previous of the plan that is replaced
 * @throws Error of one line for the operator: what is wrong with a credential, a server or a file
 */
export async function planOf(
  config: Config,
  lasting: Lasting,
  previous: SourcePool | undefined,
): Promise<ConfigPlan> {
  const { opened, surroundings, seal, aws, log } = lasting;
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
  const relays = relaysOf(config);
  const run = await compileDefaultRun(config, sources);
  return {
    sources,
    session: {
      runs: new DefaultRun(run, proxy.authToken),
      limits,
      local: new LocalEndpoints({
        ...proxy,
        caPem: opened?.ca.certPem,
        relays,
        awsHandler: aws.handlerFor(config.aws),
        seal,
      }),
      plainPorts: new Set(tls.plainPorts),
      detail: config.log,
    },
    dial: surroundings.dialOptions({
      allowIps: network.allowIps,
      namedTargets: namedTargets([...relays.values(), ...run.mcpServers.values()]),
      upstreamCa: tls.upstreamCa,
      systemRoots: tls.systemRoots,
      clientCertificates: loadClientCerts(tls.clientCerts),
      upstreamProxy: network.upstreamProxy,
      dialMs: limits.dialMs,
      tlsMs: limits.upstreamTlsMs,
    }),
  };
}

/** What the operator has named may be dialled wherever it lies. */
export function namedTargets(targets: readonly RelayTarget[]): ReadonlySet<string> {
  return new Set(targets.map(({ key }) => key));
}

export function relaysOf({ relays }: Config): ReadonlyMap<string, RelayTarget> {
  return new Map(relays.map(({ name, url }) => [name, parseRelayTarget("relay", name, url)]));
}

async function compileDefaultRun(config: Config, sources: SourcePool): Promise<RunContext> {
  // A source that was there before has its secret, or its failure has been told.
  const fresh = secretHolders(config).filter(({ source }) => !sources.knew(source));
  await Promise.all(fresh.map(({ host, source }) => warm(host, sources.vaultFor(source))));
  return compileRun(
    defaultRunSettings(
      config,
      ({ source }) => sources.vaultFor(source),
      (provider) => sources.vaultFor({ type: "store", provider, profile: undefined }),
    ),
  );
}

/** A source that fails at start is the operator's mistake, told before the first request. */
async function warm(host: string, slot: SecretSlot): Promise<void> {
  if (slot.current() !== undefined) return;
  try {
    await slot.refresh();
  } catch (error) {
    const cause = error instanceof ProxyError ? error.cause : error;
    throw new Error(`credential for ${host}: ${cause instanceof Error ? cause.message : "not available"}`);
  }
}

/** Once when it begins, then ever more rarely: a dead source is retried all the time. */
function tellSilentFailure(error: Error, inARow: number, log: Logger): void {
  if (!Number.isInteger(Math.log10(inARow))) return;
  const fields = { error: error.message, failures: inARow };
  log.warn("a credential could not be refreshed, the old one is still served", fields);
}

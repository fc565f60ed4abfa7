// A configuration compiled for `check`: the tables that the data path asks, each beside the line of the file that an
// answer comes from. Nothing is fetched, resolved or dialled. wire.md sections 2, 6, 7 and 8.

import { namedTargets, relaysOf } from "../app/config-plan.ts";
import { defaultRunSettings } from "../app/default-run.ts";
import type { Config, CredentialConfig } from "../config/config.ts";
import type { FileReading } from "../config/read-file.ts";
import type { SecretSlot } from "../inject/credentials.ts";
import { DestinationPolicy } from "../policy/destinations.ts";
import { matchesHost, parseHostPattern } from "../policy/host-pattern.ts";
import { NetworkPolicy } from "../policy/network-policy.ts";
import { compileRun, type RunContext } from "../run/run-context.ts";
import type { Authority } from "../values/authority.ts";
import { ProxyError } from "../values/errors.ts";
import { type EditSection, editSections } from "./check-edits.ts";
import type { Entry, Origin } from "./origin.ts";

export interface CheckPlan {
  readonly config: Config;
  /** The default run, as serve compiles it; its secrets are never there. */
  readonly run: RunContext;
  /** The credential that a compiled one was made from, by its slot. */
  readonly bySlot: ReadonlyMap<SecretSlot, CredentialConfig>;
  readonly destinations: DestinationPolicy;
  readonly ownAddresses: () => readonly string[];
  readonly passthrough: readonly Entry[];
  /** Headers, tokens, answers, relays and MCP servers, as configured. */
  readonly edits: readonly EditSection[];
  /** Where network.policy, or the flag for it, stands. */
  readonly policyOrigin: Origin;
  readonly allow: readonly Entry[];
  readonly grants: readonly Entry[];
  readonly allowIps: readonly Entry[];
  /** Hosts of network.rules without rules. */
  readonly bareHosts: readonly Entry[];
  /** Line of one rule. */
  ruleLine(host: string, rule: string): number | undefined;
}

/** @throws Error of one line, as the start of the proxy would */
export function compileCheck(
  config: Config,
  file: FileReading,
  ownAddresses: () => readonly string[],
): CheckPlan {
  const { network, tls } = config;
  const lines = (place: string, key: string, texts: readonly string[], flag?: string): Entry[] =>
    texts.map((text, i) => {
      const inFile = i < countIn(file, place, key);
      return {
        text,
        line: inFile ? file.lineOf([place, key, i]) : undefined,
        flag: inFile ? undefined : flag,
      };
    });
  const bareHosts = network.rules
    .filter(({ rules }) => rules.length === 0)
    .map(({ host, line }): Entry => ({ text: host, line }));
  const bySlot = new Map<SecretSlot, CredentialConfig>();
  const run = compileRun(
    defaultRunSettings(
      config,
      (item) => {
        const slot = noSecret();
        if ("header" in item) bySlot.set(slot, item);
        return slot;
      },
      noSecret,
    ),
  );
  const fromFile = file.settings.network?.policy === network.policy;
  return {
    config,
    run,
    bySlot,
    destinations: new DestinationPolicy({
      allowIps: network.allowIps,
      namedTargets: namedTargets([...relaysOf(config).values(), ...run.mcpServers.values()]),
      ownAddresses,
    }),
    edits: editSections(config, file),
    ownAddresses,
    passthrough: lines("tls", "passthrough", tls.passthrough),
    policyOrigin: { line: fromFile ? file.lineOf(["network", "policy"]) : undefined },
    allow: lines("network", "allow", network.allow, "--allow"),
    grants: lines("network", "grants", network.grants, "--grant"),
    allowIps: lines("network", "allow_ips", network.allowIps, "--allow-ip"),
    bareHosts,
    ruleLine: (host, rule) => ruleLine(file, host, rule),
  };
}

/** The first entry that would allow the host on its own, asked of the same policy; undefined when none does. */
export function allowedBy(plan: CheckPlan, authority: Authority): { entry: Entry; key: string } | undefined {
  const alone = (allow: readonly string[], grants: readonly string[]): boolean =>
    NetworkPolicy.compile({ policy: "strict", allow, grants }).allows(authority);
  for (const entry of plan.allow) if (alone([entry.text], [])) return { entry, key: "network.allow" };
  for (const entry of plan.grants) if (alone([], [entry.text])) return { entry, key: "network.grants" };
  for (const entry of plan.bareHosts) if (alone([entry.text], [])) return { entry, key: "network.rules" };
  return undefined;
}

/** The entry of allow_ips that lets this refused address pass; undefined when it is not refused in the first place. */
export function exemptBy(plan: CheckPlan, address: string): Entry | undefined {
  const { ownAddresses } = plan;
  const passes = (allowIps: readonly string[]): boolean =>
    new DestinationPolicy({ allowIps, ownAddresses }).verdict(address) === "allowed";
  return passes([]) ? undefined : plan.allowIps.find(({ text }) => passes([text]));
}

function countIn(file: FileReading, place: string, key: string): number {
  const { network, tls } = file.settings;
  const lists: Readonly<Record<string, readonly string[] | undefined>> = {
    "network.allow": network?.allow,
    "network.grants": network?.grants,
    "network.allow_ips": network?.allow_ips,
    "tls.passthrough": tls?.passthrough,
  };
  return lists[`${place}.${key}`]?.length ?? 0;
}

function noSecret(): SecretSlot {
  return {
    current: () => undefined,
    invalidate: () => undefined,
    refresh: () => Promise.reject(new ProxyError("credential-failed", "check fetches no secret")),
  };
}

/** The entry of tls.passthrough that keeps a tunnel to this host opaque. */
export function passthroughFor(plan: CheckPlan, authority: Authority): Entry | undefined {
  if (plan.run.passthrough.lookup(authority) === undefined) return undefined;
  return plan.passthrough.find(({ text }) => matchesHost(parseHostPattern(text), authority));
}

function ruleLine(file: FileReading, host: string, rule: string): number | undefined {
  for (const [i, item] of (file.settings.network?.rules ?? []).entries()) {
    for (const each of item) {
      const at = each.host === host ? each.rules.indexOf(rule) : -1;
      if (at >= 0) return file.lineOf(["network", "rules", i, host, at]);
    }
  }
  return undefined;
}

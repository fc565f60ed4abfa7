// Everything one token may do, compiled once and immutable; the proxy's own settings are the default run.
// The counterpart of the reference's RunContextData. A session keeps the token, never the run: the run is looked
// up again for every request.

import type { CredentialRule } from "../inject/credentials.ts";
import { InjectionPlan, type InjectionRules } from "../inject/injection-plan.ts";
import { HostTable, parseHostPattern } from "../policy/host-pattern.ts";
import { NetworkPolicy, type NetworkPolicySettings } from "../policy/network-policy.ts";
import { compileRules, type HostRules } from "../policy/rules.ts";
import type { PolicyPlan } from "../policy/verdict.ts";
import type { AnyTransformer } from "../transform/body-stage.ts";
import { HostPlans } from "./host-plans.ts";
import {
  compileMcpServer,
  type McpServer,
  type McpServerRule,
  type StoreSlots,
  stubsByTarget,
} from "./mcp-server.ts";

export interface RunContext extends PolicyPlan {
  /** Undefined for the default run. Part of the pool key: no upstream connection serves two runs. */
  readonly runId: string | undefined;
  readonly injection: InjectionPlan;
  /** All that the tables here say of one host, for the data path. */
  readonly hosts: HostPlans;
  /** In the order in which they are asked. */
  readonly transformers: HostTable<readonly AnyTransformer[]>;
  /** By name. */
  readonly mcpServers: ReadonlyMap<string, McpServer>;
  /** Answers `/_aws/credentials`; undefined: the proxy's own does. */
  readonly awsHandler: LocalHandler | undefined;
  /** Hosts whose CONNECT stays an opaque tunnel. */
  readonly passthrough: HostTable<true>;
  /** Status of a refusal by the network policy. */
  readonly denyStatus: DenyStatus;
}

export type DenyStatus = 407 | 403;

/** Answers a request to the proxy itself, in the terms of the web. */
export type LocalHandler = (request: Request) => Response | Promise<Response>;

export interface TransformerRule {
  /** Host pattern as written. */
  readonly host: string;
  readonly transformer: AnyTransformer;
}

/** What a run is compiled from, as written. */
export interface RunSettings extends Omit<InjectionRules, "credentials"> {
  /** Undefined for the default run. */
  readonly runId: string | undefined;
  readonly network: NetworkPolicySettings & {
    readonly rules?: readonly HostRules[];
    readonly denyStatus?: DenyStatus;
  };
  readonly credentials: readonly CredentialRule[];
  /** Host patterns. */
  readonly passthrough?: readonly string[];
  readonly transformers?: readonly TransformerRule[] | undefined;
  readonly mcpServers?: readonly McpServerRule[] | undefined;
  /** Grants that the run's own credentials lack are looked for here. */
  readonly storeSlot?: StoreSlots | undefined;
  readonly awsHandler?: LocalHandler | undefined;
}

/** @throws Error of one line that names what is wrong: a pattern, a grant, a rule, a server or a field */
export function compileRun(settings: RunSettings): RunContext {
  const { network } = settings;
  const rules = network.rules ?? [];
  // A host without rules of its own in the list is an entry of the allow list.
  const bare = rules.filter((item) => item.rules.length === 0).map((item) => item.host);
  const passthrough = new HostTable<true>();
  for (const host of settings.passthrough ?? []) passthrough.set(parseHostPattern(host), true);
  const mcpServers = new Map<string, McpServer>();
  const injection = InjectionPlan.compile(settings, (credentials) => {
    for (const rule of settings.mcpServers ?? []) {
      if (mcpServers.has(rule.name)) throw new Error(`MCP server ${JSON.stringify(rule.name)}: given twice`);
      const server = compileMcpServer(rule, credentials, settings.storeSlot ?? noStore);
      if (server.stub !== undefined && passthrough.lookup(server.authority) === true) throw leftAlone(server);
      mcpServers.set(rule.name, server);
    }
    return stubsByTarget(mcpServers.values());
  });
  const tables = {
    policy: NetworkPolicy.compile({ ...network, allow: [...network.allow, ...bare] }),
    rules: compileRules(rules),
    injection,
    transformers: compileTransformers(settings.transformers ?? []),
    passthrough,
  };
  return Object.freeze({
    runId: settings.runId,
    ...tables,
    hosts: new HostPlans(tables),
    mcpServers,
    awsHandler: settings.awsHandler,
    denyStatus: network.denyStatus ?? 407,
  });
}

function compileTransformers(rules: readonly TransformerRule[]): HostTable<readonly AnyTransformer[]> {
  const table = new HostTable<AnyTransformer[]>();
  for (const { host, transformer } of rules) {
    const pattern = parseHostPattern(host);
    const list = table.get(pattern);
    if (list === undefined) table.set(pattern, [transformer]);
    else list.push(transformer);
  }
  return table;
}

function leftAlone({ name, authority }: McpServer): Error {
  return new Error(
    `MCP server ${JSON.stringify(name)}: its host ${authority.host} is in tls.passthrough and never gets a credential; ` +
      "take it out of there, or take auth out here",
  );
}

function noStore(): undefined {
  return undefined;
}

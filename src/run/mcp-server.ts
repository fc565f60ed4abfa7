// An MCP server that a run may use: where it lies, and the credential that its requests get, taken from the run's own
// credentials first and from the credential store else. wire.md section 9; the reference's SetMCPServers.

import { Credential, type CredentialTable, type SecretSlot } from "../inject/credentials.ts";
import { McpStub } from "../inject/mcp-stub.ts";
import { parseRelayTarget, type RelayTarget } from "./relay-target.ts";

export interface McpServerRule {
  readonly name: string;
  readonly url: string;
  /** Undefined: its requests get no credential of their own. */
  readonly auth?: { readonly grant: string; readonly header: string } | undefined;
}

export interface McpServer extends RelayTarget {
  /** Its credential, and the stub that stands for it in proxied requests; undefined when it needs none. */
  readonly stub: McpStub | undefined;
}

/** The slot of a grant in the credential store; undefined when there is no store. */
export type StoreSlots = (provider: string) => SecretSlot | undefined;

/** @throws Error of one line that names the server */
export function compileMcpServer(
  rule: McpServerRule,
  credentials: CredentialTable,
  storeSlot: StoreSlots,
): McpServer {
  const target = parseRelayTarget("MCP server", rule.name, rule.url);
  const { auth } = rule;
  if (auth === undefined) return { ...target, stub: undefined };
  const { grant, header } = auth;
  if (grant === "") throw new Error(`MCP server ${JSON.stringify(rule.name)}: auth has an empty grant`);
  const own = credentials.ofGrant(grant);
  const slot = own?.slot ?? storeSlot(grant);
  // Made even where the run has one of the same field: a wrong header name must not wait for the first request.
  const made = new Credential({
    host: target.authority.host,
    header,
    format: grant.startsWith("oauth:") ? "bearer" : "raw",
    grant,
    allowCleartext: false,
    slot: slot ?? NO_SLOT,
  });
  const credential = own?.key === made.key ? own : made;
  return {
    ...target,
    stub: new McpStub(rule.name, grant, header, slot === undefined ? undefined : credential),
  };
}

/** The stubs of all servers by `scheme://host:port`. */
export function stubsByTarget(servers: Iterable<McpServer>): ReadonlyMap<string, readonly McpStub[]> {
  const stubs = new Map<string, McpStub[]>();
  for (const { key, stub } of servers) {
    if (stub === undefined) continue;
    const list = stubs.get(key);
    if (list === undefined) stubs.set(key, [stub]);
    else list.push(stub);
  }
  return stubs;
}

const NO_SLOT: SecretSlot = {
  current: () => undefined,
  refresh: () => Promise.reject(new Error("nothing provides this grant")),
};

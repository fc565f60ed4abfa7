// The settings of a proxy's own run as one immutable value, and what one more entry makes of it. Pure. Hosts are keys in
// their canonical form, so that a later entry replaces an earlier one however its host is written.

import { parseHostPattern } from "../policy/host-pattern.ts";
import { patternText } from "./run-settings.ts";
import { checkText } from "./run-shape.ts";
import type {
  CredentialHeader,
  ExtraHeader,
  MCPServerConfig,
  NetworkPolicyName,
  TokenSubstitution,
  TransformerSpec,
} from "./types.ts";

type Lists<T> = Readonly<Record<string, readonly T[]>>;

/** What is set host by host. */
export interface HostSettings {
  readonly credentials: Lists<CredentialHeader>;
  readonly extraHeaders: Lists<ExtraHeader>;
  readonly removeHeaders: Lists<string>;
  readonly tokenSubstitutions: Lists<TokenSubstitution>;
  readonly responseTransformers: Lists<TransformerSpec>;
}

export interface ProxySettings extends HostSettings {
  readonly mcpServers: readonly MCPServerConfig[];
  readonly policy: NetworkPolicyName;
  readonly allowedHosts: readonly string[];
  readonly grants: readonly string[];
}

export const NO_SETTINGS: ProxySettings = {
  ...{ credentials: {}, extraHeaders: {}, removeHeaders: {}, tokenSubstitutions: {} },
  ...{ responseTransformers: {}, mcpServers: [], policy: "permissive", allowedHosts: [], grants: [] },
};

/** Which earlier entry of the host a later one replaces. A program that renews a token for years must not pile it up. */
const REPLACES: {
  readonly [K in keyof HostSettings]: (a: HostSettings[K][string][number], b: typeof a) => boolean;
} = {
  credentials: (a, b) => a.grant === b.grant && sameName(a.name, b.name),
  extraHeaders: () => false,
  removeHeaders: sameName,
  tokenSubstitutions: (a, b) => a.placeholder === b.placeholder,
  responseTransformers: () => false,
};

/** The canonical form of a host pattern. @throws Error of one line */
export function hostKey(host: string): string {
  checkText("host", host);
  return patternText(parseHostPattern(host));
}

/** @param host as hostKey makes it */
export function withEntry<K extends keyof HostSettings>(
  settings: ProxySettings,
  kind: K,
  host: string,
  entry: HostSettings[K][string][number],
): ProxySettings {
  const lists: Lists<typeof entry> = settings[kind];
  const list = Object.hasOwn(lists, host) ? (lists[host] ?? []) : [];
  const at = list.findIndex((other) => REPLACES[kind](other, entry));
  const next = at < 0 ? [...list, entry] : list.with(at, entry);
  return { ...settings, [kind]: { ...lists, [host]: next } };
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

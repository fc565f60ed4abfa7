// The library's proxy: settings under the names of the reference package, each checked when it is set. There is no
// mutable run behind them: a change makes the next request see a run that is compiled anew, and a change that a server
// cannot follow is no change. Reference: `Proxy`.

import { randomBytes } from "node:crypto";
import { PathSeal } from "../proxy/local/path-seal.ts";
import type { Runs } from "../proxy/ports.ts";
import { DefaultRun } from "../run/default-run.ts";
import { parseRelayTarget, type RelayTarget } from "../run/relay-target.ts";
import { ResolvedRuns } from "../run/resolved-runs.ts";
import { compileRun, type LocalHandler, type RunContext } from "../run/run-context.ts";
import { Secret } from "../values/secret.ts";
import { CA } from "./ca.ts";
import { type HostSettings, hostKey, NO_SETTINGS, type ProxySettings, withEntry } from "./proxy-settings.ts";
import type { RequestLogger } from "./request-logger.ts";
import { runSettings } from "./run-settings.ts";
import { checkFunction, checkParts, checkRun, checkStore, checkText } from "./run-shape.ts";
import { storeSlots } from "./store-slots.ts";
import type {
  ContextResolver,
  CredentialHeader,
  CredentialStore,
  MCPServerConfig,
  NetworkPolicyName,
  ResolvedContext,
  RunContextData,
  TransformerSpec,
} from "./types.ts";

/** What a server reads of its proxy, as it is now. */
export interface ProxySnapshot {
  readonly runs: Runs;
  readonly relays: ReadonlyMap<string, RelayTarget>;
  /** Named by the operator: they may lie on the proxy's own host. */
  readonly namedTargets: readonly RelayTarget[];
  readonly awsHandler: LocalHandler | undefined;
  readonly logger: RequestLogger | undefined;
  readonly seal: PathSeal;
}

/** Everything that was set: replaced whole, or not at all. */
interface State {
  readonly settings: ProxySettings;
  readonly relays: ReadonlyMap<string, RelayTarget>;
  readonly token: Secret | undefined;
  readonly resolver: ContextResolver | undefined;
  readonly store: CredentialStore | undefined;
  readonly awsHandler: LocalHandler | undefined;
  readonly logger: RequestLogger | undefined;
}

/** A server that runs: throws when it cannot go on with what comes, else returns what makes it do so. */
export type Watcher = (next: ProxySnapshot) => () => void;

export class MoatProxy {
  readonly #seal = new PathSeal(randomBytes(32));
  readonly #watchers = new Set<Watcher>();
  #state: State = {
    ...{ settings: NO_SETTINGS, relays: new Map(), token: undefined, resolver: undefined },
    ...{ store: undefined, awsHandler: undefined, logger: undefined },
  };
  #ca: CA | undefined;
  #snapshot: ProxySnapshot | undefined;

  /** Adds a field to requests for a host; appended with a comma to what the client sent. @throws Error */
  addExtraHeader(host: string, headerName: string, headerValue: string): void {
    this.#add("extraHeaders", host, { name: headerName, value: headerValue });
  }

  /**
   * Serves an upstream under `/relay/<name>/`, with the credentials of its host.
   * @throws Error for a bad name or URL, or a name that is taken
   */
  addRelay(name: string, targetURL: string): void {
    checkText("relay: name", name);
    checkText(`relay ${JSON.stringify(name)}: URL`, targetURL);
    const target = parseRelayTarget("relay", name, targetURL);
    const { relays } = this.#state;
    if (relays.has(name)) throw new Error(`relay ${JSON.stringify(name)}: the name is taken`);
    this.#change({ relays: new Map([...relays, [name, target]]) });
  }

  /** Asked in the order of registration; the first that answers wins. @throws Error */
  addResponseTransformer(host: string, transformer: TransformerSpec): void {
    this.#add("responseTransformers", host, transformer);
  }

  /** The client's own field goes no further; an injected one of that name does. @throws Error */
  removeRequestHeader(host: string, headerName: string): void {
    this.#add("removeHeaders", host, headerName);
  }

  /** What the resolver answers to a token; undefined without a resolver. */
  resolveContext(token: string): ResolvedContext | Promise<ResolvedContext> {
    return this.#state.resolver?.(token);
  }

  /** Answers `GET /_aws/credentials` where the run has no handler of its own. */
  setAWSHandler(handler: LocalHandler | undefined): void {
    checkFunction("AWS handler", handler);
    this.#change({ awsHandler: handler });
  }

  /** What clients must present; undefined: nothing. A context resolver takes its place. @throws Error when empty */
  setAuthToken(token: string | undefined): void {
    if (token !== undefined && (typeof token !== "string" || !TOKEN.test(token))) {
      throw new Error("auth token: expected 1 to 512 visible ASCII characters without spaces");
    }
    this.#change({ token: token === undefined ? undefined : new Secret(token) });
  }

  /** Without a CA every CONNECT is an opaque tunnel. Takes effect with the next start of a server. */
  setCA(ca: CA | undefined): void {
    if (ca !== undefined && !(ca instanceof CA)) throw new Error("CA: expected one that CA.open() gave");
    this.#ca = ca;
  }

  /** From here on tokens select runs, and nothing else is accepted. Undefined: one run for all again. */
  setContextResolver(resolver: ContextResolver | undefined): void {
    checkFunction("context resolver", resolver);
    this.#change({ resolver });
  }

  /** @param authHeader the whole value of Authorization, scheme included. @throws Error */
  setCredential(host: string, authHeader: string): void {
    this.setCredentialHeader(host, "Authorization", authHeader);
  }

  /** For APIs that use another field, such as `x-api-key`. @throws Error */
  setCredentialHeader(host: string, headerName: string, headerValue: string): void {
    this.setCredentialWithGrant(host, headerName, headerValue, "");
  }

  /** Replaces the credential of the same host, grant and field. @throws Error */
  setCredentialWithGrant(host: string, headerName: string, headerValue: string, grant: string): void {
    const credential: CredentialHeader = { name: headerName, value: headerValue, grant };
    this.#add("credentials", host, credential);
  }

  /** Where grants of MCP servers are looked for that no credential has. */
  setCredentialStore(store: CredentialStore | undefined): void {
    checkStore("credential store", store);
    this.#change({ store });
  }

  /** Called for each request after its end. */
  setLogger(logger: RequestLogger | undefined): void {
    checkFunction("request logger", logger);
    this.#change({ logger });
  }

  /** Replaces all of them. @throws Error */
  setMCPServers(servers: readonly MCPServerConfig[]): void {
    if (servers === undefined) throw new Error("MCP servers: expected a list");
    this.#set({ mcpServers: servers });
  }

  /**
   * @param allows host patterns
   * @param grants names of grants, each standing for its hosts
   * @throws Error for an unknown policy, pattern or grant
   */
  setNetworkPolicy(
    policy: NetworkPolicyName,
    allows: readonly string[] = [],
    grants: readonly string[] = [],
  ): void {
    if (policy === undefined) throw new Error("network policy: expected strict or permissive");
    this.#set({ policy, allowedHosts: allows, grants });
  }

  /** Replaces the substitution of the same host and placeholder. @throws Error */
  setTokenSubstitution(host: string, placeholder: string, realToken: string): void {
    this.#add("tokenSubstitutions", host, { placeholder, realToken });
  }

  /** @internal */
  get ca(): CA | undefined {
    return this.#ca;
  }

  /** @internal */
  get logger(): RequestLogger | undefined {
    return this.#state.logger;
  }

  /** @internal Asked before every change; returns what ends that. */
  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** @internal Compiled when it is asked for, however many settings came before. */
  snapshot(): ProxySnapshot {
    this.#snapshot ??= this.#compile(this.#state);
    return this.#snapshot;
  }

  #compile(state: State): ProxySnapshot {
    const { relays, awsHandler, resolver, store, logger } = state;
    const run = compileOwnRun(state.settings, store);
    return {
      runs:
        resolver === undefined
          ? new DefaultRun(run, state.token)
          : new ResolvedRuns(resolver, (data) => compileAnswer(data, store)),
      namedTargets: [...relays.values(), ...run.mcpServers.values()],
      ...{ relays, awsHandler, logger, seal: this.#seal },
    };
  }

  #add<K extends keyof HostSettings>(kind: K, host: string, entry: HostSettings[K][string][number]): void {
    const key = hostKey(host);
    // By itself first: a mistake is thrown where it is made, and costs no more the more there is.
    compileOwnRun({ [kind]: { [key]: [entry] } }, undefined);
    this.#change({ settings: withEntry(this.#state.settings, kind, key, entry) });
  }

  /** @throws Error of one line; then nothing has changed */
  #set(change: Partial<ProxySettings>): void {
    compileOwnRun(change, undefined);
    const copies = Object.entries(change).map(([key, value]) => [
      key,
      Array.isArray(value) ? [...value] : value,
    ]);
    this.#change({ settings: { ...this.#state.settings, ...Object.fromEntries(copies) } });
  }

  /** All servers are asked first: what one of them refuses, none of them gets. */
  #change(change: Partial<State>): void {
    const state = { ...this.#state, ...change };
    // Before a server runs nobody needs the whole; it is compiled once, at the start.
    const snapshot = this.#watchers.size === 0 ? undefined : this.#compile(state);
    const commits = snapshot === undefined ? [] : [...this.#watchers].map((prepare) => prepare(snapshot));
    this.#state = state;
    this.#snapshot = snapshot;
    for (const commit of commits) commit();
  }
}

function compileOwnRun(settings: Partial<ProxySettings>, store: CredentialStore | undefined): RunContext {
  checkParts(settings);
  const compiled = runSettings({ ...settings, runID: "" }, () => storeSlots(store));
  return compileRun({ ...compiled, runId: undefined });
}

function compileAnswer(data: RunContextData, store: CredentialStore | undefined): RunContext {
  checkRun(data);
  return compileRun(runSettings(data, ({ credStore }) => storeSlots(credStore ?? store)));
}

/** As it fits into Proxy-Authorization; without spaces, so that no reader cuts it. */
const TOKEN = /^[\x21-\x7e]{1,512}$/;

// The library's proxy: settings under the names of the reference package, each checked when it is set. There is no
// mutable run behind them: a change makes the next request see a run that is compiled anew. Reference: `Proxy`.

import { randomBytes } from "node:crypto";
import { PathSeal } from "../proxy/local/path-seal.ts";
import type { Runs } from "../proxy/ports.ts";
import { DefaultRun } from "../run/default-run.ts";
import { parseRelayTarget, type RelayTarget } from "../run/relay-target.ts";
import { ResolvedRuns } from "../run/resolved-runs.ts";
import { compileRun, type LocalHandler, type RunContext } from "../run/run-context.ts";
import { Secret } from "../values/secret.ts";
import type { CA } from "./ca.ts";
import type { RequestLogger } from "./request-logger.ts";
import { runSettings } from "./run-settings.ts";
import { storeSlots } from "./store-slots.ts";
import type {
  ContextResolver,
  CredentialHeader,
  CredentialStore,
  ExtraHeader,
  MCPServerConfig,
  NetworkPolicyName,
  RunContextData,
  TokenSubstitution,
  TransformerSpec,
} from "./types.ts";

/** What a server reads of its proxy, as it is now. */
export interface ProxySnapshot {
  readonly runs: Runs;
  readonly relays: ReadonlyMap<string, RelayTarget>;
  /** Named by the operator: they may lie on the proxy's own host. */
  readonly namedTargets: readonly RelayTarget[];
  readonly awsHandler: LocalHandler | undefined;
  readonly seal: PathSeal;
}

type Lists<T> = Readonly<Record<string, readonly T[]>>;

/** The default run's data, with every host's entries in a list. */
interface Settings {
  readonly credentials: Lists<CredentialHeader>;
  readonly extraHeaders: Lists<ExtraHeader>;
  readonly removeHeaders: Lists<string>;
  readonly tokenSubstitutions: Lists<TokenSubstitution>;
  readonly responseTransformers: Lists<TransformerSpec>;
  readonly mcpServers: readonly MCPServerConfig[];
  readonly policy: NetworkPolicyName;
  readonly allowedHosts: readonly string[];
  readonly grants: readonly string[];
}

export class MoatProxy {
  #settings: Settings = {
    ...{ credentials: {}, extraHeaders: {}, removeHeaders: {}, tokenSubstitutions: {} },
    ...{ responseTransformers: {}, mcpServers: [], policy: "permissive", allowedHosts: [], grants: [] },
  };
  readonly #relays = new Map<string, RelayTarget>();
  readonly #seal = new PathSeal(randomBytes(32));
  readonly #watchers = new Set<() => void>();
  #token: Secret | undefined;
  #resolver: ContextResolver | undefined;
  #store: CredentialStore | undefined;
  #awsHandler: LocalHandler | undefined;
  #ca: CA | undefined;
  #logger: RequestLogger | undefined;
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
    const target = parseRelayTarget("relay", name, targetURL);
    if (this.#relays.has(name)) throw new Error(`relay ${JSON.stringify(name)}: the name is taken`);
    this.#relays.set(name, target);
    this.#changed();
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
  resolveContext(token: string): RunContextData | undefined | Promise<RunContextData | undefined> {
    return this.#resolver?.(token);
  }

  /** Answers `GET /_aws/credentials` where the run has no handler of its own. */
  setAWSHandler(handler: LocalHandler | undefined): void {
    this.#awsHandler = handler;
    this.#changed();
  }

  /** What clients must present; undefined: nothing. A context resolver takes its place. @throws Error when empty */
  setAuthToken(token: string | undefined): void {
    if (token !== undefined && !/^[\x21-\x7e]{1,512}$/.test(token)) {
      throw new Error("auth token: expected 1 to 512 visible ASCII characters without spaces");
    }
    this.#token = token === undefined ? undefined : new Secret(token);
    this.#changed();
  }

  /** Without a CA every CONNECT is an opaque tunnel. Takes effect with the next start of a server. */
  setCA(ca: CA | undefined): void {
    this.#ca = ca;
  }

  /** From here on tokens select runs, and nothing else is accepted. Undefined: one run for all again. */
  setContextResolver(resolver: ContextResolver | undefined): void {
    this.#resolver = resolver;
    this.#changed();
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
    this.#store = store;
    this.#changed();
  }

  /** Called for each request after its end. */
  setLogger(logger: RequestLogger | undefined): void {
    this.#logger = logger;
    this.#changed();
  }

  /** Replaces all of them. @throws Error */
  setMCPServers(servers: readonly MCPServerConfig[]): void {
    this.#try({ mcpServers: servers });
    this.#settings = { ...this.#settings, mcpServers: [...servers] };
    this.#changed();
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
    if (policy !== "strict" && policy !== "permissive") {
      throw new Error(`network policy ${JSON.stringify(policy)}: expected strict or permissive`);
    }
    const change = { policy, allowedHosts: [...allows], grants: [...grants] };
    this.#try(change);
    this.#settings = { ...this.#settings, ...change };
    this.#changed();
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
    return this.#logger;
  }

  /** @internal Told of every change; returns what ends that. */
  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  /** @internal Compiled when it is asked for, however many settings came before. */
  snapshot(): ProxySnapshot {
    this.#snapshot ??= this.#compile();
    return this.#snapshot;
  }

  #compile(): ProxySnapshot {
    const run = this.#compileRun({ ...this.#settings, runID: "" });
    const resolver = this.#resolver;
    return {
      runs:
        resolver === undefined
          ? new DefaultRun(run, this.#token)
          : new ResolvedRuns(resolver, (data) => this.#compileRun(checkedRun(data))),
      relays: new Map(this.#relays),
      namedTargets: [...this.#relays.values(), ...run.mcpServers.values()],
      awsHandler: this.#awsHandler,
      seal: this.#seal,
    };
  }

  #compileRun(data: RunContextData): RunContext {
    const settings = runSettings(data, ({ credStore }) => storeSlots(credStore ?? this.#store));
    return compileRun(data.runID === "" ? { ...settings, runId: undefined } : settings);
  }

  #add<
    K extends
      | "credentials"
      | "extraHeaders"
      | "removeHeaders"
      | "tokenSubstitutions"
      | "responseTransformers",
  >(kind: K, host: string, item: Settings[K][string][number]): void {
    const change = { [kind]: { [host]: [item] } };
    this.#try(change);
    const lists: Lists<unknown> = this.#settings[kind];
    const list = [...(Object.hasOwn(lists, host) ? (lists[host] ?? []) : []), item];
    this.#settings = { ...this.#settings, [kind]: { ...lists, [host]: list } };
    this.#changed();
  }

  /** A change by itself: a mistake is thrown where it is made, and changes nothing. */
  #try(change: Partial<RunContextData>): void {
    this.#compileRun({ runID: "", ...change });
  }

  #changed(): void {
    this.#snapshot = undefined;
    for (const watcher of this.#watchers) watcher();
  }
}

/**
 * A resolver that looks tokens up in an object finds something for `constructor` and `__proto__` too, and what is none
 * of its runs would be one that may do much: without a runID it is no run.
 * @throws Error
 */
function checkedRun(data: RunContextData): RunContextData {
  if (typeof data === "object" && typeof data.runID === "string") return data;
  throw new Error("the context resolver answered with something that is no run: it has no runID");
}

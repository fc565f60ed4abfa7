// What `import … from "moat-proxy"` gives, for programs that are checked under settings of their own: they see this file
// and none of the sources. test/declarations.test.ts keeps it in step with src/index.ts.

/** Bytes of each body that a logger gets: 8192. */
export const maxBodySize: number;

/**
 * A copy of the fields by name as sent, values of the same name joined with a comma. Proxy-* fields are left out.
 * @param authInjected whether a credential was put into this request
 * @param injectedHeaderName the field that carried it: its value becomes `[REDACTED]`
 */
export function filterHeaders(
  headers: Headers | Iterable<readonly [name: string, value: string]>,
  authInjected: boolean,
  injectedHeaderName: string,
): Record<string, string>;

/** Host patterns of a grant such as `github` or `github:repo`; empty for an unknown one. */
export function getHostsForGrant(grant: string): readonly string[];

/** Gives a grant its hosts, for policies that are set from then on. @throws Error for a bad name, pattern or list */
export function registerGrantHosts(grant: string, hosts: readonly string[]): void;

/** A parsed pattern. `*.d` matches names below `d` at any depth, never `d` itself, never an IP literal. */
export interface HostPattern {
  readonly wildcard: boolean;
  /** Canonical host; for a wildcard, the domain behind `*.`. */
  readonly host: string;
  /** Undefined when the pattern names none. */
  readonly port: number | undefined;
}

/** Host name or address literal with its port. */
export interface Authority {
  /** Canonical: lower case, no trailing dot, no brackets. */
  readonly host: string;
  readonly port: number;
  readonly kind: "name" | "ipv4" | "ipv6";
}

/** Reads `api.example.com`, `*.example.com` or `api.example.com:8443`. @throws Error for what can match nothing */
export function parseHostPattern(text: string): HostPattern;

/** Whether the authority falls under the pattern; without a port the pattern takes any. */
export function matchesHost(pattern: HostPattern, authority: Authority): boolean;

/** Prints `[secret]` wherever a slip could print it: logs, JSON, inspect, templates. */
export class Secret {
  constructor(value: string);
  /** The real value. */
  reveal(): string;
  toString(): string;
  toJSON(): string;
}

/** What a TLS server needs to be the host for clients that trust the CA. */
export interface GeneratedCert {
  /** PEM of the leaf, and of the CA behind it. */
  readonly cert: string;
  /** PEM, PKCS#8. */
  readonly key: string;
}

export class CA {
  private constructor();
  /** PEM of the certificate that clients have to trust. */
  readonly certPem: string;
  /** Absolute path of the file that holds it. */
  readonly certPath: string;
  /**
   * Loads `ca.crt` and `ca.key`, or makes both in a directory that holds neither.
   * @throws Error of one line: a missing half, a mismatch, an expired CA, a file system error
   */
  static open(dir: string): CA;
  /**
   * A certificate for this host and nothing else, at most 7 days valid; the same one until a day before its end.
   * @param host a name or an IP address, without port
   * @throws Error for what is no host
   */
  generateCert(host: string): GeneratedCert;
  /** One line each: what the operator should mend. */
  get warnings(): readonly string[];
}

/** A field that carries a credential. */
export interface CredentialHeader {
  /** Field name, such as `Authorization` or `x-api-key`. */
  readonly name: string;
  /** The whole field value, scheme included: it is sent as it is. */
  readonly value: string;
  /** Names the credential in logs, and for MCP servers. */
  readonly grant?: string;
  /** Send it over plain http:// to public addresses too; default false. */
  readonly allowCleartext?: boolean;
}

/** A field that is added to what the client sent. */
export interface ExtraHeader {
  readonly name: string;
  readonly value: string;
}

export interface TokenSubstitution {
  /** What the client sends: 4 to 512 visible ASCII characters. */
  readonly placeholder: string;
  /** What the upstream gets. */
  readonly realToken: string;
}

export interface MCPServerConfig {
  readonly name: string;
  /** http(s) URL without user information, query and fragment. */
  readonly url: string;
  readonly auth?: { readonly grant: string; readonly header: string };
}

/** Undefined: the answer goes on as it came, or to the next transformer. See docs/response-transformers.md. */
export type ResponseTransformer = (
  request: Request,
  response: Response,
) => Response | undefined | Promise<Response | undefined>;

/** A function of the embedding program, or one of the built-in transformers by its name. */
export type TransformerSpec = ResponseTransformer | "oauth-endpoint-workaround" | "response-scrub";

/** Answers a request to the proxy itself, in the terms of the web. */
export type LocalHandler = (request: Request) => Response | Promise<Response>;

export type NetworkPolicyName = "strict" | "permissive";

/** One or several for each host pattern. */
export type ByHost<T> = Readonly<Record<string, T | readonly T[]>>;

/**
 * Everything that one token may do. Keys of the records are host patterns: `api.example.com`, `*.example.com`,
 * `api.example.com:8443`. It is read once: to change a run, answer with a new value. It has no other fields.
 */
export interface RunContextData {
  /** Names the run in logs; not empty. */
  readonly runID: string;
  readonly credentials?: ByHost<CredentialHeader>;
  readonly extraHeaders?: ByHost<ExtraHeader>;
  /** Field names. */
  readonly removeHeaders?: ByHost<string>;
  readonly tokenSubstitutions?: ByHost<TokenSubstitution>;
  readonly responseTransformers?: ByHost<TransformerSpec>;
  readonly mcpServers?: readonly MCPServerConfig[];
  /** Default `permissive`. */
  readonly policy?: NetworkPolicyName;
  /** What `strict` allows; without a port it is 80 and 443. */
  readonly allowedHosts?: readonly (HostPattern | string)[];
  /** Grants that `strict` allows. */
  readonly grants?: readonly string[];
  /** Answers `/_aws/credentials`; without one the proxy's own does. */
  readonly awsHandler?: LocalHandler;
  /** Grants of MCP servers that `credentials` lacks are looked for here; without one in the proxy's own store. */
  readonly credStore?: CredentialStore;
}

/** Undefined or null: the token selects nothing. */
export type ResolvedContext = RunContextData | null | undefined;

/**
 * Selects the run of a proxy token, now or later, for every request. The same object is the same run, which keeps its
 * upstream connections; a new object is a new run, even when it says the same.
 */
export type ContextResolver = (token: string) => ResolvedContext | Promise<ResolvedContext>;

export interface StoredCredential {
  /** Its name in the store: `github`, `mcp-linear`. */
  readonly provider: string;
  readonly token: Secret;
  readonly scopes?: readonly string[];
  /** Milliseconds since the epoch; absent: no end. */
  readonly expiresAt?: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface CredentialStore {
  /**
   * The credential of that name, or undefined when the store has none: at once or as a promise. Throws or rejects with
   * an Error of one line, without any secret, for what it has and cannot give.
   */
  get(provider: string): StoredCredential | undefined | Promise<StoredCredential | undefined>;
}

/** One that is there, with what can be said of it. */
export interface StoreEntry {
  readonly provider: string;
  /** Also when it has expired; undefined when it cannot be read. */
  readonly credential: StoredCredential | undefined;
  /** Why it cannot be read: one line without any secret. */
  readonly problem: string | undefined;
}

/** A store that credentials can be put into. */
export interface ManagedCredentialStore extends CredentialStore {
  /** Replaces the one of the same name. */
  save(credential: StoredCredential): Promise<void>;
  /** Whether there was one. */
  delete(provider: string): Promise<boolean>;
  /** By name. */
  list(): Promise<readonly StoreEntry[]>;
}

/**
 * moat's encrypted store on this machine, `~/.moat/credentials`, or `profiles/<profile>` in it.
 * @throws Error for what is no name of a profile
 */
export function openCredentialStore(profile?: string): ManagedCredentialStore;

export interface RequestLogData {
  readonly requestID: string;
  readonly method: string;
  /** As the client asked, placeholders in it, tokens of relays hidden; a host in its canonical form. */
  readonly url: string;
  /** Sent to the client; 0 when it left before one was sent. */
  readonly statusCode: number;
  /** Milliseconds, from the end of the request's head to the end of its answer. */
  readonly duration: number;
  /** Why the request did not go through; undefined when it did, or the client just left. */
  readonly err: Error | undefined;
  /** As the client sent them, without Proxy-*; a field that was injected shows `[REDACTED]`. */
  readonly requestHeaders: Headers;
  /** As the client got them; empty when it got none from an upstream. */
  readonly responseHeaders: Headers;
  /** At most the first 8192 bytes, text types only, without real tokens; undefined when there is none. */
  readonly requestBody: Uint8Array | undefined;
  readonly responseBody: Uint8Array | undefined;
  /** True when a credential was put into the request. */
  readonly authInjected: boolean;
  /** Name of the first field that carried one; empty when none did. */
  readonly injectedHeaderName: string;
  /** Empty for the proxy's own run. */
  readonly runID: string;
  /** Refused by policy, or because of what the client sent. */
  readonly denied: boolean;
}

/** Called once for each request, after its end. What it returns is not waited for; what it throws is told on stderr. */
export type RequestLogger = (data: RequestLogData) => unknown;

/** Every setter throws an Error of one line for a mistake, and has changed nothing then. */
export class MoatProxy {
  /** Adds a field to requests for a host; appended with a comma to what the client sent. */
  addExtraHeader(host: string, headerName: string, headerValue: string): void;
  /** Serves an upstream under `/relay/<name>/`, with the credentials of its host. */
  addRelay(name: string, targetURL: string): void;
  /** Asked in the order of registration; the first that answers wins. */
  addResponseTransformer(host: string, transformer: TransformerSpec): void;
  /** The client's own field goes no further; an injected one of that name does. */
  removeRequestHeader(host: string, headerName: string): void;
  /** What the resolver answers to a token; undefined without a resolver. */
  resolveContext(token: string): ResolvedContext | Promise<ResolvedContext>;
  /** Answers `GET /_aws/credentials` where the run has no handler of its own. */
  setAWSHandler(handler: LocalHandler | undefined): void;
  /** What clients must present; undefined: nothing. A context resolver takes its place. */
  setAuthToken(token: string | undefined): void;
  /** Without a CA every CONNECT is an opaque tunnel. Takes effect with the next start of a server. */
  setCA(ca: CA | undefined): void;
  /** From here on tokens select runs, and nothing else is accepted. Undefined: one run for all again. */
  setContextResolver(resolver: ContextResolver | undefined): void;
  /** @param authHeader the whole value of Authorization, scheme included */
  setCredential(host: string, authHeader: string): void;
  /** For APIs that use another field, such as `x-api-key`. */
  setCredentialHeader(host: string, headerName: string, headerValue: string): void;
  /** Replaces the credential of the same host, grant and field. */
  setCredentialWithGrant(host: string, headerName: string, headerValue: string, grant: string): void;
  /** Where grants of MCP servers are looked for that no credential has. */
  setCredentialStore(store: CredentialStore | undefined): void;
  /** Called for each request after its end. */
  setLogger(logger: RequestLogger | undefined): void;
  /** Replaces all of them. */
  setMCPServers(servers: readonly MCPServerConfig[]): void;
  /**
   * @param allows host patterns
   * @param grants names of grants, each standing for its hosts
   */
  setNetworkPolicy(policy: NetworkPolicyName, allows?: readonly string[], grants?: readonly string[]): void;
  /** Replaces the substitution of the same host and placeholder. */
  setTokenSubstitution(host: string, placeholder: string, realToken: string): void;
}

export { MoatProxy as Proxy };

/** Milliseconds and numbers. */
export interface Limits {
  readonly headMs: number;
  readonly handshakeMs: number;
  readonly idleMs: number;
  readonly dialMs: number;
  readonly upstreamTlsMs: number;
  readonly responseHeaderMs: number;
  readonly drainMs: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerClient: number;
  readonly head: {
    /** Bytes of a head, line ends included. */
    readonly maxHeadBytes: number;
    readonly maxHeadFields: number;
  };
}

export interface ServerOptions {
  /** Addresses and CIDRs exempt from the built-in list of refused destinations. Default none. */
  readonly allowIPs?: readonly string[];
  /** Path of a PEM file with further roots for verifying upstream servers. */
  readonly upstreamCA?: string;
  /** Further names under which clients address the proxy itself. */
  readonly localHosts?: readonly string[];
  /** Bind beyond loopback although nobody has to present a token. Default false. */
  readonly allowOpenBind?: boolean;
  /** What is absent is as in the config file. */
  readonly limits?: Partial<Limits>;
}

export class Server implements AsyncDisposable {
  constructor(proxy: MoatProxy, options?: ServerOptions);
  /** Before start(); default 127.0.0.1. @throws Error for what is no address, or once started */
  setBindAddr(addr: string): void;
  /** Before start(); 0, the default, lets the operating system pick. @throws Error */
  setPort(port: number): void;
  /**
   * Listens, and serves until stop().
   * @throws Error of one line: the address cannot be bound, a file cannot be read, or it would be open to everybody
   */
  start(): Promise<void>;
  /** @param drainMs how long what runs may go on; default `limits.drainMs`, which is 5 s where nothing is said */
  stop(drainMs?: number): Promise<void>;
  /** `host:port`, once started. */
  get addr(): string;
  /** The port bound, once started; before, the one that was set. */
  get port(): number;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Field names as in the reference. */
export interface AWSCredentials {
  readonly accessKeyID: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  /** By the clock of AWS. */
  readonly expiration: Date;
}

/** Field names of the STS API. */
export interface AssumeRoleInput {
  readonly RoleArn: string;
  readonly RoleSessionName: string;
  readonly DurationSeconds: number;
  readonly ExternalId?: string;
}

export interface AssumeRoleOutput {
  readonly Credentials?:
    | {
        readonly AccessKeyId?: string | undefined;
        readonly SecretAccessKey?: string | undefined;
        readonly SessionToken?: string | undefined;
        readonly Expiration?: Date | undefined;
      }
    | undefined;
  /** The Date of the answer, by the clock that Expiration is told by; not of the STS API, and may be absent. */
  readonly ServedAt?: Date | undefined;
}

/** An `STS` of @aws-sdk/client-sts is one; so is whatever a test puts in its place. */
export interface STSAssumeRoler {
  assumeRole(
    input: AssumeRoleInput,
    options?: { readonly abortSignal?: AbortSignal },
  ): Promise<AssumeRoleOutput>;
}

/** Why AssumeRole failed: its message is one line for the log and holds no secret. */
export class AssumeRoleError extends Error {
  constructor(reason: { readonly code: string; readonly requestID?: string | undefined });
  override readonly name: "AssumeRoleError";
  /** Code of AWS such as AccessDenied, of the system such as ECONNREFUSED, or a name of ours. */
  readonly code: string;
  readonly requestID: string | undefined;
}

export interface RefreshFailure {
  readonly error: AssumeRoleError;
  /** Failures since the last success. */
  readonly inARow: number;
  /** Whether older credentials are still served. */
  readonly servesOld: boolean;
}

export interface AWSCredentialProviderOptions {
  readonly roleARN: string;
  /** Default: us-east-1, or in another partition the region that is its like. */
  readonly region?: string | undefined;
  /** Milliseconds, 15 minutes to 12 hours; default 15 minutes. */
  readonly sessionDuration?: number | undefined;
  readonly externalID?: string | undefined;
  /** Names the session in CloudTrail; default moat-proxy. */
  readonly sessionName?: string | undefined;
  /** Profile of the host's AWS config for the call to STS; default: the SDK's own order. */
  readonly profile?: string | undefined;
}

export interface AWSCredentialProviderDeps {
  /** Default: the SDK, with the host's own credentials. */
  readonly sts?: STSAssumeRoler | undefined;
  /** Milliseconds since the epoch. */
  readonly now?: (() => number) | undefined;
  /** From 0 to 1, like Math.random. */
  readonly random?: (() => number) | undefined;
  /** A timer: `over` resolves after so many milliseconds, unless it is cancelled. */
  readonly delay?: ((ms: number) => { readonly over: Promise<void>; cancel(): void }) | undefined;
  /** Told of every failed refresh: for the log, since no reply tells. */
  readonly onFailure?: ((failure: RefreshFailure) => void) | undefined;
}

/** Temporary credentials of one role, kept until five minutes before their end. */
export class AWSCredentialProvider {
  /** @throws Error of one line about the first setting that is wrong */
  constructor(options: AWSCredentialProviderOptions, deps?: AWSCredentialProviderDeps);
  get region(): string;
  get roleARN(): string;
  /** Serves the credentials to whoever shows the token of `setAuthToken`. */
  handler(): LocalHandler;
  /** @throws Error for an empty token */
  setAuthToken(token: string): void;
  /** Credentials that are valid now. Rejects with AssumeRoleError when there are none and none can be had. */
  getCredentials(): Promise<AWSCredentials>;
}

/** Answers requests for credentials in the ECS container format. */
export class AWSCredentialHandler {
  /** @param origin an AWSCredentialProvider is one */
  constructor(origin: { readonly roleARN: string; getCredentials(): Promise<AWSCredentials> });
  /** From now on requests have to show this token. @throws Error for an empty one */
  setAuthToken(token: string): void;
  /** Never rejects. */
  serveHTTP(request: Request): Promise<Response>;
}

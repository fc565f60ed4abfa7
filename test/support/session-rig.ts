// A client session with everything around it by script: the client's wire, upstreams, the TLS end, the clock. The rest
// is real: run, policy, credentials, local endpoints. Tests read like packet traces: who says what, who hears what.
// finishRigs() belongs into afterEach: it takes the client away and checks that nothing is left behind.

import { expect } from "bun:test";
import type { CredentialRule, SecretSlot } from "../../src/inject/credentials.ts";
import { ClientSession } from "../../src/proxy/client-session.ts";
import { type LocalConfig, LocalEndpoints } from "../../src/proxy/local/local.ts";
import type { Interceptor, Runs, SecureHandler, UpstreamTarget, Wire } from "../../src/proxy/ports.ts";
import type { RequestRecord } from "../../src/proxy/record.ts";
import { Revocation } from "../../src/proxy/revocation.ts";
import { upstreamTarget } from "../../src/proxy/route.ts";
import type { Live, SessionDeps, SessionLimits } from "../../src/proxy/session-deps.ts";
import { DefaultRun } from "../../src/run/default-run.ts";
import { compileRun, type RunContext, type RunSettings } from "../../src/run/run-context.ts";
import { type Authority, formatAuthority, parseAuthority } from "../../src/values/authority.ts";
import { ProxyError } from "../../src/values/errors.ts";
import { Secret } from "../../src/values/secret.ts";
import type { Leaf } from "../../src/x509/leaf.ts";
import { type Connection, FakeUpstreams } from "./fake-upstreams.ts";
import { EventLoop, FakeWire } from "./fake-wire.ts";
import { localConfig } from "./local-config.ts";

export const CLIENT_IP = "192.0.2.7";
export const ESTABLISHED = "HTTP/1.1 200 Connection Established\r\n\r\n";
const LIMITS: SessionLimits = {
  headMs: 60_000,
  handshakeMs: 10_000,
  idleMs: 120_000,
  responseHeaderMs: 900_000,
};

/** A head: its lines, and the empty one. */
export function head(...lines: readonly string[]): string {
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** The only status line and fields of a reply of ours, before its own fields. */
export function plainReply(statusLine: string, body: string, ...fields: readonly string[]): string {
  const length = Buffer.byteLength(body);
  const type = "Content-Type: text/plain; charset=utf-8";
  return head(`HTTP/1.1 ${statusLine}`, type, `Content-Length: ${length}`, ...fields) + body;
}

/** Lets every promise that can settle do so, and what follows from it happen. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** A source that has its secret at once, or when the test says so. */
export class ScriptedSlot implements SecretSlot {
  refreshes = 0;
  #secret: Secret | undefined;
  #waiting = Promise.withResolvers<Secret>();

  constructor(secret?: string) {
    if (secret !== undefined) this.#secret = new Secret(secret);
  }

  current(): Secret | undefined {
    return this.#secret;
  }

  refresh(): Promise<Secret> {
    this.refreshes++;
    return this.#waiting.promise;
  }

  resolve(secret: string): void {
    this.#secret = new Secret(secret);
    this.#waiting.resolve(this.#secret);
  }

  reject(error: unknown): void {
    this.#waiting.reject(error);
  }
}

export function credential(host: string, secret: string | SecretSlot, more: Partial<CredentialRule> = {}) {
  const slot = typeof secret === "string" ? new ScriptedSlot(secret) : secret;
  const rule: CredentialRule = {
    host,
    header: "Authorization",
    format: "",
    grant: "",
    allowCleartext: false,
    slot,
    ...more,
  };
  return rule;
}

export interface RunOptions {
  readonly runId?: string;
  readonly network?: Partial<RunSettings["network"]>;
  readonly credentials?: readonly CredentialRule[];
  /** Everything else that a run is compiled from. */
  readonly more?: Partial<RunSettings>;
}

export function makeRun(options: RunOptions = {}): RunContext {
  return compileRun({
    runId: options.runId,
    network: { policy: "permissive", allow: [], grants: [], ...options.network },
    credentials: options.credentials ?? [],
    ...options.more,
  });
}

/** Runs that the test changes under open connections. A promise is handed out as it is. */
export class ScriptedRuns implements Runs {
  readonly authRequired: boolean;
  answer: RunContext | undefined | Promise<RunContext | undefined>;
  /** The tokens asked for. */
  readonly asked: (string | undefined)[] = [];

  constructor(answer: ScriptedRuns["answer"], authRequired = false) {
    this.answer = answer;
    this.authRequired = authRequired;
  }

  lookup(token: string | undefined): ScriptedRuns["answer"] {
    this.asked.push(token);
    return this.answer;
  }
}

/** A TLS end that is none: the plaintext comes on a wire of its own. */
export class FakeInterceptor implements Interceptor {
  /** Authority and client of every leaf asked for. */
  readonly minted: string[] = [];
  readonly tunnels: FakeTls[] = [];
  /** Thrown instead of a leaf. */
  refusal: ProxyError | undefined;
  readonly #loop: EventLoop;

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  leaf(authority: Authority, clientIp: string): Leaf {
    this.minted.push(`${formatAuthority(authority)} for ${clientIp}`);
    if (this.refusal !== undefined) throw this.refusal;
    return { certPem: "certificate", keyPem: "key", notAfter: 0 };
  }

  accept(wire: Wire, _leaf: Leaf, early: Uint8Array, handler: SecureHandler): Wire {
    if (!(wire instanceof FakeWire)) throw new Error("not a wire of the rig");
    const tunnel = new FakeTls(this.#loop, wire, Buffer.from(early).toString("latin1"), handler);
    this.tunnels.push(tunnel);
    return tunnel.inner;
  }
}

export class FakeTls {
  readonly inner: FakeWire;
  /** What came behind the CONNECT head. */
  readonly early: string;
  readonly #handler: SecureHandler;
  readonly #loop: EventLoop;

  constructor(loop: EventLoop, raw: FakeWire, early: string, handler: SecureHandler) {
    this.#loop = loop;
    this.inner = new FakeWire(loop, "inner");
    this.early = early;
    this.#handler = handler;
    // One socket under both: it closes for both.
    this.inner.whenGone(() => raw.reset());
    raw.whenGone(() => this.inner.reset());
  }

  secured(): FakeWire {
    this.#loop.run(() => this.#handler.onSecured());
    return this.inner;
  }

  failed(reason: "not-tls" | "failed"): void {
    this.#loop.run(() => {
      this.#handler.onHandshakeFailed(reason);
    });
    this.inner.reset();
  }
}

export interface RigOptions extends RunOptions {
  /** Required of every client. */
  readonly token?: string;
  /** Instead of the one run that the other options make. */
  readonly runs?: Runs;
  /** False: no CA. */
  readonly intercept?: boolean;
  readonly plainPorts?: readonly number[];
  readonly limits?: Partial<SessionLimits>;
  readonly local?: Partial<LocalConfig>;
}

const open: SessionRig[] = [];

export class SessionRig {
  readonly loop = new EventLoop();
  readonly run: RunContext;
  readonly upstreams: FakeUpstreams;
  readonly interceptor = new FakeInterceptor(this.loop);
  readonly records: RequestRecord[] = [];
  readonly live = new Set<Live>();
  readonly deps: SessionDeps;
  readonly revocation: Revocation;
  readonly clients: FakeWire[] = [];
  /** The first client's connection. */
  readonly client: FakeWire;
  now = 1_000_000;
  #ids = 0;

  constructor(options: RigOptions = {}) {
    this.run = makeRun(options);
    this.upstreams = new FakeUpstreams(this.loop, () => this.now);
    const token = options.token === undefined ? undefined : new Secret(options.token);
    this.deps = {
      runs: options.runs ?? new DefaultRun(this.run, token),
      upstreams: this.upstreams,
      interceptor: options.intercept === false ? undefined : this.interceptor,
      records: { write: (record) => this.records.push(record) },
      detail: { captureHeaders: [], query: false },
      ids: { next: () => `req-${++this.#ids}` },
      clock: { now: () => this.now },
      limits: { ...LIMITS, ...options.limits },
      local: new LocalEndpoints(
        localConfig({
          localHosts: ["box.test"],
          allowedOrigins: ["https://app.test"],
          caPem: "the certificate\n",
          ...options.local,
        }),
      ),
      plainPorts: new Set(options.plainPorts ?? [80]),
      live: this.live,
      lifecycle: { draining: false, tunnels: 0 },
    };
    this.revocation = new Revocation(() => this.deps.runs, this.live);
    this.client = this.connectClient();
    open.push(this);
  }

  /** One more client connection. */
  connectClient(): FakeWire {
    const wire = new FakeWire(this.loop, `client ${this.clients.length + 1}`);
    this.clients.push(wire);
    const peer = { clientIp: CLIENT_IP, token: undefined, user: undefined };
    wire.handler = new ClientSession(this.deps, wire, peer, undefined);
    return wire;
  }

  /** Completes the one dial under way. */
  dialled(connection: Connection = {}): FakeWire {
    return this.dial().connect(connection);
  }

  /** The one dial under way. */
  dial() {
    const { pending } = this.upstreams;
    if (pending.length !== 1 || pending[0] === undefined) {
      throw new Error(`one dial expected to be under way, there are ${pending.length}`);
    }
    return pending[0];
  }

  target(key: string): UpstreamTarget {
    const [scheme, authority] = key.split("://");
    if ((scheme !== "http" && scheme !== "https") || authority === undefined) throw new Error(key);
    return upstreamTarget(scheme, parseAuthority(authority, scheme === "http" ? 80 : 443));
  }

  /** An idle connection of the rig's run. @param key such as `http://api.test` */
  putIdle(key: string, idleMs = 0, connection: Connection = {}): FakeWire {
    return this.upstreams.putIdle(this.run, this.target(key), idleMs, connection);
  }

  /** CONNECT and handshake, done; the plaintext inside. */
  tunnel(authority = "api.test:443", ...fields: readonly string[]): FakeWire {
    this.client.says(head(`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`, ...fields));
    expect(this.client.heard()).toBe(ESTABLISHED);
    const tls = this.interceptor.tunnels.at(-1);
    if (tls === undefined) throw new Error("nothing was intercepted");
    return tls.secured();
  }

  /** CONNECT to a plain port, done; cleartext HTTP goes on over the client's own wire. */
  plainTunnel(authority = "api.test:80"): FakeWire {
    this.client.says(head(`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`));
    expect(this.client.heard()).toBe(ESTABLISHED);
    return this.client;
  }

  /** Time passes, and the sweep comes by. */
  pass(ms: number): void {
    this.now += ms;
    this.loop.run(() => {
      for (const one of [...this.live]) one.sweep(this.now);
    });
  }

  /** The sweep asks for every token in use. */
  sweepRuns(): void {
    this.loop.run(() => this.revocation.sweep());
  }

  /** The proxy begins to stop. */
  stop(): void {
    this.deps.lifecycle.draining = true;
    this.loop.run(() => {
      for (const one of [...this.live]) one.drain();
    });
  }

  /** The time for stopping is over. */
  kill(): void {
    this.loop.run(() => {
      for (const one of [...this.live]) one.destroy();
    });
  }

  /** Every record so far, one line each; of the reason for a denial its code. */
  log(): string[] {
    return this.records.map((record) => {
      const { proxyType, method, host, path, status, denyReason, error } = record;
      const line = [proxyType, method || "-", `${host}${path}` || "-", status];
      if (record.denied) line.push(`denied=${denyReason?.split(":")[0]}`);
      if (error !== undefined) line.push(`error=${error}`);
      return line.join(" ");
    });
  }

  /** All clients leave. Nothing may stay behind, and no request may be recorded twice. */
  finish(): void {
    for (const tls of this.interceptor.tunnels) tls.inner.reset();
    for (const client of this.clients) client.reset();
    this.pass(300_000);
    const wires = [...this.clients, ...this.interceptor.tunnels.map((tls) => tls.inner)];
    for (const upstream of this.upstreams.connections) wires.push(upstream.wire);
    expect(wires.flatMap((wire) => wire.breaches)).toEqual([]);
    expect(this.live.size).toBe(0);
    expect(this.upstreams.pending).toEqual([]);
    const held = this.upstreams.connections.filter(
      (upstream) => !upstream.wire.closed && upstream.idleSince === undefined,
    );
    expect(held.map((upstream) => upstream.wire.name)).toEqual([]);
    expect(new Set(this.records).size).toBe(this.records.length);
  }
}

/** For afterEach. */
export function finishRigs(): void {
  for (const rig of open.splice(0)) rig.finish();
}

/** An upstream failure as a dial reports it. */
export function dialFailed(): ProxyError {
  return new ProxyError("dial-failed", "cannot connect to the upstream", new Error("ECONNREFUSED 192.0.2.1"));
}

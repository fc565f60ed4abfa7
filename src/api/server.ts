// The library's server: a proxy on a port. Changes of the proxy take effect with the next request, in open tunnels too.
// Reference: `Server`.

import { Engine, type Plan } from "../app/engine.ts";
import { Surroundings } from "../app/surroundings.ts";
import { DEFAULT_LIMITS, type Limits } from "../config/config.ts";
import { checkLlhttp } from "../http1/llhttp.ts";
import { createLogger, type Logger } from "../log/logger.ts";
import { LocalEndpoints } from "../proxy/local/local.ts";
import { canonicalHost } from "../values/authority.ts";
import type { MoatProxy, ProxySnapshot } from "./proxy.ts";
import { tellLogger } from "./request-logger.ts";

export interface ServerOptions {
  /** Addresses and CIDRs exempt from the built-in list of refused destinations. Default none. */
  readonly allowIPs?: readonly string[];
  /** Path of a PEM file with further roots for verifying upstream servers. */
  readonly upstreamCA?: string;
  /** Further names under which clients address the proxy itself. */
  readonly localHosts?: readonly string[];
  /** Bind beyond loopback although nobody has to present a token. Default false. */
  readonly allowOpenBind?: boolean;
  /** Milliseconds and numbers; what is absent is as in the config file. */
  readonly limits?: Partial<Limits>;
}

export class Server implements AsyncDisposable {
  readonly #proxy: MoatProxy;
  readonly #options: ServerOptions;
  #host = "127.0.0.1";
  #port = 0;
  #engine: Engine | undefined;
  #unwatch: (() => void) | undefined;

  constructor(proxy: MoatProxy, options: ServerOptions = {}) {
    this.#proxy = proxy;
    this.#options = options;
  }

  /** Before start(); default 127.0.0.1. @throws Error for what is no address, or once started */
  setBindAddr(addr: string): void {
    this.#refuseOnceStarted();
    try {
      this.#host = canonicalHost(addr).host;
    } catch {
      throw new Error(`bind address ${JSON.stringify(addr)}: expected an IP address or a host name`);
    }
  }

  /** Before start(); 0, the default, lets the operating system pick. @throws Error */
  setPort(port: number): void {
    this.#refuseOnceStarted();
    if (!Number.isInteger(port) || port < 0 || port > 65535) {
      throw new Error(`port ${port}: expected a whole number from 0 to 65535`);
    }
    this.#port = port;
  }

  /**
   * Listens, and serves until stop().
   * @throws Error of one line: the address cannot be bound, a file cannot be read, or it would be open to everybody
   */
  async start(): Promise<void> {
    this.#refuseOnceStarted();
    checkLlhttp();
    const surroundings = new Surroundings();
    const limits = { ...DEFAULT_LIMITS, ...this.#options.limits };
    const plan = (): Plan => this.#plan(this.#proxy.snapshot(), surroundings, limits);
    const first = plan();
    this.#refuseOpenBind(first);
    const log = stderrLog();
    const engine = new Engine(
      {
        listen: { ...limits, host: this.#host, port: this.#port, proxyProtocol: false },
        surroundings,
        ca: this.#proxy.ca?.authority,
        records: {
          write: (record) => {
            if (this.#proxy.logger !== undefined) tellLogger(this.#proxy.logger, record, log);
          },
        },
        log,
      },
      first,
    );
    engine.start();
    this.#engine = engine;
    this.#unwatch = this.#proxy.watch(() => {
      const next = plan();
      this.#refuseOpenBind(next);
      engine.use(next);
    });
  }

  /** @param drainMs how long what runs may go on; default 5 s */
  async stop(drainMs = DEFAULT_LIMITS.drainMs): Promise<void> {
    const engine = this.#engine;
    this.#engine = undefined;
    this.#unwatch?.();
    await engine?.stop(drainMs);
  }

  /** `host:port`, once started. */
  get addr(): string {
    return `${this.#host.includes(":") ? `[${this.#host}]` : this.#host}:${this.port}`;
  }

  /** The port bound, once started; before, the one that was set. */
  get port(): number {
    return this.#engine?.port ?? this.#port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(0);
  }

  #plan(snapshot: ProxySnapshot, surroundings: Surroundings, limits: Limits): Plan {
    const { runs, relays, namedTargets, awsHandler, seal } = snapshot;
    const { allowIPs = [], upstreamCA, localHosts = [] } = this.#options;
    return {
      session: {
        runs,
        limits,
        local: new LocalEndpoints({
          ...{ localHosts, allowedOrigins: [], relays, awsHandler, seal },
          caPem: this.#proxy.ca?.certPem,
        }),
        plainPorts: new Set([80]),
        detail: { captureHeaders: [], query: false, messages: this.#proxy.logger !== undefined },
      },
      dial: surroundings.dialOptions({
        allowIps: allowIPs,
        namedTargets: new Set(namedTargets.map(({ key }) => key)),
        upstreamCa: upstreamCA,
        systemRoots: false,
        clientCertificate: undefined,
        upstreamProxy: undefined,
        dialMs: limits.dialMs,
        tlsMs: limits.upstreamTlsMs,
      }),
    };
  }

  /** Everybody who reaches the address could use the credentials. */
  #refuseOpenBind({ session }: Plan): void {
    if (session.runs.authRequired || isLoopback(this.#host) || this.#options.allowOpenBind === true) return;
    throw new Error(
      `bind address ${this.#host} can be reached by others: set an auth token or a context resolver first, or allowOpenBind`,
    );
  }

  #refuseOnceStarted(): void {
    if (this.#engine !== undefined) throw new Error("the server has been started already");
  }
}

function isLoopback(host: string): boolean {
  // A name may begin like an address.
  const { kind } = canonicalHost(host);
  return host === "localhost" || host === "::1" || (kind === "ipv4" && host.startsWith("127."));
}

/** What has no other place: bugs of ours, and a logger that throws. */
function stderrLog(): Logger {
  return createLogger({
    level: "warn",
    format: "text",
    output: (bytes) => {
      process.stderr.write(bytes);
      return bytes.length;
    },
  });
}

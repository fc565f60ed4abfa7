// The library's server: a proxy on a port. Changes of the proxy take effect with the next request, in open tunnels too.
// Reference: `Server`.

import { isIPv4 } from "node:net";
import { Engine, type Plan } from "../app/engine.ts";
import { Surroundings } from "../app/surroundings.ts";
import { DEFAULT_LIMITS, type Limits } from "../config/config.ts";
import { checkLlhttp } from "../http1/llhttp.ts";
import { createLogger, type Logger } from "../log/logger.ts";
import type { DialOptions } from "../net/dial.ts";
import { LocalEndpoints } from "../proxy/local/local.ts";
import type { RelayTarget } from "../run/relay-target.ts";
import { canonicalHost } from "../values/authority.ts";
import type { CA } from "./ca.ts";
import type { MoatProxy, ProxySnapshot } from "./proxy.ts";
import { tellLogger } from "./request-logger.ts";
import { serverLimits } from "./server-limits.ts";

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

/** What is fixed from start() on. */
interface Started {
  readonly ca: CA | undefined;
  readonly limits: Limits;
  readonly localHosts: readonly string[];
  /** The way to upstreams; the same value while the proxy names the same relays and MCP servers. */
  readonly dial: (namedTargets: readonly RelayTarget[]) => DialOptions;
}

export class Server implements AsyncDisposable {
  readonly #proxy: MoatProxy;
  readonly #options: ServerOptions;
  readonly #log = stderrLog();
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
    const started = this.#settle(surroundings);
    const first = this.#plan(this.#proxy.snapshot(), started);
    const log = this.#log;
    const engine = new Engine(
      {
        listen: { ...started.limits, host: this.#host, port: this.#port, proxyProtocol: false },
        surroundings,
        ca: started.ca?.authority,
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
    this.#unwatch = this.#proxy.watch((snapshot) => {
      const plan = this.#plan(snapshot, started);
      return () => engine.use(plan);
    });
  }

  /** @param drainMs how long what runs may go on; default `limits.drainMs`, which is 5 s where nothing is said */
  async stop(drainMs = this.#options.limits?.drainMs ?? DEFAULT_LIMITS.drainMs): Promise<void> {
    const engine = this.#engine;
    const unwatch = this.#unwatch;
    this.#engine = undefined;
    this.#unwatch = undefined;
    await engine?.stop(drainMs);
    // Until here what still ran saw every change, a token that is taken away above all.
    unwatch?.();
    // The program may end now, and with it what waits to be written.
    this.#log.flush();
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

  /** @throws Error of one line: a limit, a name, an address or a file */
  #settle(surroundings: Surroundings): Started {
    const { allowIPs = [], upstreamCA, localHosts = [] } = this.#options;
    const limits = serverLimits(this.#options.limits ?? {});
    // Files are read and addresses parsed once: a setter must not fail because a file has gone meanwhile.
    let options = surroundings.dialOptions({
      ...{ allowIps: allowIPs, namedTargets: new Set(), upstreamCa: upstreamCA, systemRoots: false },
      ...{ clientCertificates: undefined, upstreamProxy: undefined },
      ...{ dialMs: limits.dialMs, tlsMs: limits.upstreamTlsMs },
    });
    let known = "";
    return {
      ca: this.#proxy.ca,
      limits,
      localHosts: localHosts.map(localHost),
      dial: (namedTargets) => {
        const keys = new Set(namedTargets.map(({ key }) => key));
        const now = [...keys].sort().join(" ");
        if (now !== known) options = { ...options, destinations: surroundings.destinations(allowIPs, keys) };
        known = now;
        return options;
      },
    };
  }

  /** @throws Error when it would be open to everybody */
  #plan(snapshot: ProxySnapshot, { ca, limits, localHosts, dial }: Started): Plan {
    const { runs, relays, namedTargets, awsHandler, logger, seal } = snapshot;
    if (!runs.authRequired) this.#refuseOpenBind();
    return {
      session: {
        runs,
        limits,
        local: new LocalEndpoints({
          ...{ localHosts, allowedOrigins: [], relays, awsHandler, seal },
          caPem: ca?.certPem,
        }),
        plainPorts: new Set([80]),
        detail: { captureHeaders: [], query: false, messages: logger !== undefined },
      },
      dial: dial(namedTargets),
    };
  }

  /** Everybody who reaches the address could use the credentials. */
  #refuseOpenBind(): void {
    if (isLoopback(this.#host) || this.#options.allowOpenBind === true) return;
    throw new Error(
      `bind address ${this.#host} can be reached by others: set an auth token or a context resolver first, or allowOpenBind`,
    );
  }

  #refuseOnceStarted(): void {
    if (this.#engine !== undefined) throw new Error("the server has been started already");
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

function localHost(name: string): string {
  try {
    return canonicalHost(name).host;
  } catch {
    throw new Error(`local host ${JSON.stringify(name)}: expected a host name or an IP address`);
  }
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

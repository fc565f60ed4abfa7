// The proxy's own endpoints and who may reach them: origin-form requests on the outer connection only, and only when
// they do not come from a web page or a rebound name. One endpoint a file. wire.md section 5.

import type { RequestHead } from "../../http1/head.ts";
import type { RelayTarget } from "../../run/relay-target.ts";
import type { LocalHandler } from "../../run/run-context.ts";
import { parseAuthority } from "../../values/authority.ts";
import { ProxyError } from "../../values/errors.ts";
import type { Reply } from "../replies.ts";
import { caEndpoint } from "./ca.ts";
import { healthEndpoint } from "./health.ts";
import type { PathSeal } from "./path-seal.ts";

export type Endpoint = () => Reply;

export interface LocalConfig {
  /** Further Host names, canonical. */
  readonly localHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  /** PEM of the CA; undefined when nothing is intercepted. */
  readonly caPem: string | undefined;
  /** By name. */
  readonly relays: ReadonlyMap<string, RelayTarget>;
  /** Answers `/_aws/credentials` where the run has no handler of its own. */
  readonly awsHandler: LocalHandler | undefined;
  readonly seal: PathSeal;
}

/** Names by which a client may address the proxy; anything else may be a name rebound to our address. */
const OWN_NAMES = ["localhost", "host.docker.internal", "moat-proxy"];

export class LocalEndpoints {
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;
  readonly #endpoints: ReadonlyMap<string, Endpoint>;
  readonly relays: ReadonlyMap<string, RelayTarget>;
  readonly awsHandler: LocalHandler | undefined;
  readonly seal: PathSeal;

  constructor(config: LocalConfig) {
    this.relays = config.relays;
    this.awsHandler = config.awsHandler;
    this.seal = config.seal;
    this.#hosts = new Set([...OWN_NAMES, ...config.localHosts]);
    this.#origins = new Set(config.allowedOrigins);
    const endpoints = new Map<string, Endpoint>([["/healthz", healthEndpoint]]);
    const { caPem } = config;
    if (caPem !== undefined) endpoints.set("/ca.crt", () => caEndpoint(caPem));
    this.#endpoints = endpoints;
  }

  /** @throws ProxyError malformed-request, local-host, local-origin */
  admit(head: RequestHead): void {
    this.#checkHost(head);
    this.#checkOrigin(head);
  }

  /** Of an endpoint that is there for everybody. @throws ProxyError not-found, method-not-allowed */
  answer(head: RequestHead): Reply {
    const query = head.target.indexOf("?");
    const path = query < 0 ? head.target : head.target.slice(0, query);
    const endpoint = this.#endpoints.get(path);
    if (endpoint === undefined) throw new ProxyError("not-found", "not found");
    if (head.method !== "GET" && head.method !== "HEAD") {
      throw new ProxyError("method-not-allowed", "only GET and HEAD are allowed here");
    }
    return endpoint();
  }

  #checkHost(head: RequestHead): void {
    if (head.headers.count("host") > 1) throw new ProxyError("malformed-request", "more than one Host field");
    const host = head.headers.get("host");
    if (host === undefined) {
      if (head.minor === 0) return;
      throw new ProxyError("malformed-request", "missing Host field");
    }
    const authority = parseAuthority(host, 80);
    if (authority.kind === "name" && !this.#hosts.has(authority.host)) {
      throw new ProxyError(
        "local-host",
        "this is a proxy: the Host of a request to itself is not one of its names",
      );
    }
  }

  #checkOrigin(head: RequestHead): void {
    const { headers } = head;
    const origin = headers.joined("origin");
    const site = headers.joined("sec-fetch-site");
    if (origin === undefined && (site === undefined || site === "none")) return;
    if (origin !== undefined && this.#origins.has(origin)) return;
    throw new ProxyError("local-origin", "requests from web pages are not answered");
  }
}

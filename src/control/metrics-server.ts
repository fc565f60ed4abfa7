// GET /metrics on a listener of its own, for a Prometheus server beside us. Never a web page's to read: the Host must be
// ours, and a request from a page is refused, as on the proxy's own endpoints (wire.md section 5). It takes text from
// whoever counts, and knows no metric itself.

import { parseAuthority } from "../values/authority.ts";
import { parseIp } from "../values/ip-address.ts";

export interface MetricsServerOptions {
  /** Address to bind. An address other than loopback has to be said outright: a name or an empty host is refused. */
  readonly host: string;
  /** 0 lets the operating system pick. */
  readonly port: number;
  readonly metrics: { render(): string };
  /** Further Host names, canonical lower case. */
  readonly localHosts?: readonly string[];
  /** Told what a scrape threw; the scraper only learns that it failed. */
  readonly onBug?: (error: unknown) => void;
}

export interface MetricsServer {
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
}

const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";
/** Names by which a scraper may address us; any other may be a name rebound to our address. */
const OWN_NAMES = ["localhost", "host.docker.internal", "moat-proxy"];
/** A scrape has no body. */
const MAX_BODY = 1024;
const IDLE_SECONDS = 60;

/** @throws Error of one line: what is wrong with the address */
export function startMetricsServer(options: MetricsServerOptions): MetricsServer {
  const { port, metrics } = options;
  const host = bindable(options.host);
  const names = new Set([...OWN_NAMES, ...(options.localHosts ?? [])]);
  const onBug = options.onBug ?? (() => undefined);
  const server = listen(host, port, (request) => {
    try {
      return answer(request, names, metrics);
    } catch (error) {
      onBug(error);
      return text(500, "internal error");
    }
  });
  return { host, port: server.port ?? port, stop: () => server.stop(true) };
}

/** localhost is resolved here: what a hosts file says of it must not open the listener to the network. */
function bindable(host: string): string {
  if (host === "localhost") return "127.0.0.1";
  if (parseIp(host) !== undefined) return host;
  throw new Error(
    `metrics listener: ${JSON.stringify(host)} is no address; say 127.0.0.1, or outright which address may be reached from elsewhere`,
  );
}

function listen(
  hostname: string,
  port: number,
  fetch: (request: Request) => Response,
): Bun.Server<undefined> {
  try {
    return Bun.serve({
      ...{ hostname, port, fetch },
      development: false,
      // Said outright: without it a second listener of this process on the same port was let through.
      reusePort: false,
      idleTimeout: IDLE_SECONDS,
      maxRequestBodySize: MAX_BODY,
    });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const reason = code === "EADDRINUSE" ? "the port is in use" : "not an address of this host, or refused";
    throw new Error(`metrics listener: cannot listen on ${hostname}:${port}: ${reason}`);
  }
}

function answer(request: Request, names: ReadonlySet<string>, metrics: { render(): string }): Response {
  const { headers, method } = request;
  if (!isOwnHost(headers.get("host"), names)) return text(421, "the Host of this request is not ours");
  const site = headers.get("sec-fetch-site");
  if (headers.has("origin") || (site !== null && site !== "none"))
    return text(403, "requests from web pages are not answered");
  if (new URL(request.url).pathname !== "/metrics")
    return text(404, "not found: the metrics are at /metrics");
  if (method !== "GET" && method !== "HEAD")
    return text(405, "only GET and HEAD are allowed here", { allow: "GET, HEAD" });
  return text(200, metrics.render(), { "content-type": CONTENT_TYPE });
}

/** An address, or one of our names: a page on a rebound name still sends that name. */
function isOwnHost(field: string | null, names: ReadonlySet<string>): boolean {
  if (field === null) return false;
  try {
    const { host, kind } = parseAuthority(field, 80);
    return kind !== "name" || names.has(host);
  } catch {
    // No authority, so none of ours.
    return false;
  }
}

function text(status: number, body: string, fields: Readonly<Record<string, string>> = {}): Response {
  const headers = {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    ...fields,
  };
  return new Response(body.endsWith("\n") ? body : `${body}\n`, { status, headers });
}

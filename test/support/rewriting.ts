// A proxy and one upstream behind it, reached through a tunnel or by plain http, for tests of what is changed in
// requests and answers. The config is made from the upstream's authority, which is known once it listens.
import { type RunningProxy, type StartOptions, startProxy } from "./binary.ts";
import type { ByteStream } from "./byte-stream.ts";
import { connectProxy, tlsTunnel } from "./client.ts";
import { startUpstream, type Upstream, type UpstreamOptions } from "./upstream.ts";

export type Way = "tunnel" | "plain http";
export const WAYS: readonly Way[] = ["tunnel", "plain http"];

export interface Rewriting extends AsyncDisposable {
  readonly upstream: Upstream;
  readonly proxy: RunningProxy;
  /** name:port of the upstream. */
  readonly host: string;
  /** A connection on which requests for the upstream can be written. */
  open(): Promise<ByteStream>;
  /** The request target for `path` there. */
  target(path: string): string;
}

export interface RewritingOptions {
  readonly way?: Way;
  readonly config: (authority: string, upstream: Upstream) => object;
  readonly reply?: UpstreamOptions["reply"];
  readonly serve?: UpstreamOptions["serve"];
  readonly start?: StartOptions;
}

export async function startRewriting(options: RewritingOptions): Promise<Rewriting> {
  const tunnel = (options.way ?? "tunnel") === "tunnel";
  const { reply, serve } = options;
  const upstream = startUpstream({
    ...(tunnel ? {} : { tls: false as const }),
    ...(reply === undefined ? {} : { reply }),
    ...(serve === undefined ? {} : { serve }),
  });
  const host = upstream.authority;
  let proxy: RunningProxy;
  try {
    proxy = await startProxy({ ...options.start, config: options.config(host, upstream) });
  } catch (error) {
    upstream.close();
    throw error;
  }
  return {
    upstream,
    proxy,
    host,
    open: () => (tunnel ? tlsTunnel(proxy, host) : connectProxy(proxy)),
    target: (path) => (tunnel ? path : `http://${host}${path}`),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      upstream.close();
    },
  };
}

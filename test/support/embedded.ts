// The library as an embedding program uses it, in this process: a proxy with a CA that all tests share, a server that may
// dial loopback, and a logger that keeps what it is told.
import { join } from "node:path";
import { CA, MoatProxy, type RequestLogData, Server, type ServerOptions } from "../../src/index.ts";
import type { ByteStream } from "./byte-stream.ts";
import { get, tlsTunnel } from "./client.ts";
import { exchange, type Response } from "./http-message.ts";
import { Watch } from "./net-witness.ts";
import { pki } from "./pki.ts";
import { scratchDir } from "./scratch.ts";
import type { Upstream } from "./upstream.ts";

let authority: CA | undefined;

/** One CA for all tests of this process. */
export function testCa(): CA {
  authority ??= CA.open(join(scratchDir("moat-embedded-"), "ca"));
  return authority;
}

export interface Embedded extends AsyncDisposable {
  readonly proxy: MoatProxy;
  readonly server: Server;
  readonly host: string;
  readonly port: number;
  readonly caPath: string;
  /** What the logger got, in order. */
  readonly logged: readonly RequestLogData[];
  untilLogged(count: number): Promise<void>;
}

/** Loopback may be dialled, the test authority is trusted. */
export const TEST_OPTIONS: ServerOptions = {
  allowIPs: ["127.0.0.0/8", "::1"],
  get upstreamCA() {
    return pki().caPath;
  },
};

/** @param configure before the start; its logger, if it sets one, replaces ours */
export async function embed(
  configure: (proxy: MoatProxy) => void = () => undefined,
  options: ServerOptions = {},
): Promise<Embedded> {
  const proxy = new MoatProxy();
  proxy.setCA(testCa());
  const watch = new Watch();
  const logged: RequestLogData[] = [];
  proxy.setLogger((data) => {
    logged.push(data);
    watch.changed();
  });
  configure(proxy);
  const server = new Server(proxy, { ...TEST_OPTIONS, ...options });
  await server.start();
  return {
    ...{ proxy, server, logged },
    host: "127.0.0.1",
    port: server.port,
    caPath: testCa().certPath,
    untilLogged: (count) =>
      watch.until(`${count} requests in the log (${logged.length} now)`, () => logged.length >= count),
    [Symbol.asyncDispose]: () => server.stop(0),
  };
}

/** The field that shows a token to the proxy. */
export function showing(token: string): string[] {
  return [`Proxy-Authorization: Bearer ${token}`];
}

/** A TLS tunnel to the upstream. */
export function tunnelTo(embedded: Embedded, upstream: Upstream, token?: string): Promise<ByteStream> {
  return tlsTunnel(embedded, upstream.authority, token === undefined ? {} : { fields: showing(token) });
}

/** One GET through a tunnel of its own. */
export async function getOnce(
  embedded: Embedded,
  upstream: Upstream,
  fields: readonly string[] = [],
  token?: string,
): Promise<Response> {
  const tunnel = await tunnelTo(embedded, upstream, token);
  const answer = await exchange(tunnel, get("/", upstream.authority, fields));
  tunnel.destroy();
  return answer;
}

/** The message of what `act` throws; fails the test when it throws nothing, or more than one line. */
export function thrownBy(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (!(error instanceof Error)) throw new Error("threw what is no Error");
    if (/[\r\n]/.test(error.message)) throw new Error(`more than one line: ${error.message}`);
    return error.message;
  }
  throw new Error("threw nothing");
}

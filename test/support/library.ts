// The library as an embedding program runs it, in this process: a proxy with a CA of its own on a port of loopback, and
// upstreams on loopback allowed unless the test says otherwise.
import { join } from "node:path";
import { CA, Proxy as LibraryProxy, Server, type ServerOptions } from "../../src/index.ts";
import type { Target } from "./client.ts";
import { pki } from "./pki.ts";
import { scratchDir } from "./scratch.ts";

export interface RunningLibrary extends Target, AsyncDisposable {
  readonly proxy: LibraryProxy;
}

/** @param configure called before the server starts */
export async function startLibrary(
  configure: (proxy: LibraryProxy) => void,
  options: ServerOptions = {},
): Promise<RunningLibrary> {
  const dir = join(scratchDir("moat-library-"), "ca");
  const proxy = new LibraryProxy();
  const ca = CA.open(dir);
  proxy.setCA(ca);
  configure(proxy);
  const server = new Server(proxy, {
    allowIPs: ["127.0.0.0/8", "::1/128"],
    upstreamCA: pki().caPath,
    ...options,
  });
  await server.start();
  return {
    proxy,
    host: "127.0.0.1",
    port: server.port,
    caPath: ca.certPath,
    [Symbol.asyncDispose]: () => server.stop(0),
  };
}

/** The field that shows a run's token to the proxy. */
export function withToken(token: string): readonly string[] {
  return [`Proxy-Authorization: Bearer ${token}`];
}

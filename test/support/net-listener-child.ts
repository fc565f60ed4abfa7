// A program for tests of listener.ts: listens with caps that it will never reach and prints its port. It ends when its
// stdin does. Start it under a limit on open files to see what it does when there are none left.
import { startSmallProxy } from "./net-proxy.ts";

const proxy = startSmallProxy({ maxConnections: 100_000, maxConnectionsPerClient: 100_000 });
console.log(proxy.listener.port);
for await (const _ of Bun.stdin.stream()) {
  // Nothing is said.
}
proxy[Symbol.dispose]();

// The fixed reference workload of the guard: the least a program in this runtime can do that terminates TLS, puts a
// field into a head and passes it on over TLS. It looks at nothing else. It must not be made faster or slower: what
// the guard compares is moat-proxy's cost to this one's, on the same machine in the same minute. If it has to change,
// renew the baseline with it.

import { readFileSync } from "node:fs";
import type { Socket } from "bun";

interface Settings {
  readonly port: number;
  readonly upstreamPort: number;
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  readonly authorization: string;
}

/** Two sockets, each the other's peer. */
interface Side {
  peer: Socket<Side> | undefined;
  waiting: Buffer[];
  readonly client: boolean;
}

const settings = JSON.parse(Bun.argv[2] ?? "") as Settings;
const ca = readFileSync(settings.caFile, "utf8");
const field = `\r\nAuthorization: ${settings.authorization}`;

function pass(from: Socket<Side>, bytes: Buffer): void {
  const { peer, waiting, client } = from.data;
  if (peer === undefined) {
    waiting.push(bytes);
    return;
  }
  peer.write(client ? injected(bytes) : bytes);
}

/** The generator's requests are small, come whole, and have one such field. */
function injected(bytes: Buffer): string {
  return bytes.toString("latin1").replace(/\r\nAuthorization: [^\r]*/, field);
}

const handlers = {
  data: pass,
  close(socket: Socket<Side>): void {
    socket.data.peer?.end();
  },
  error(socket: Socket<Side>): void {
    socket.data.peer?.end();
  },
};

Bun.listen<Side>({
  hostname: "127.0.0.1",
  port: settings.port,
  tls: { cert: readFileSync(settings.certFile, "utf8"), key: readFileSync(settings.keyFile, "utf8") },
  socket: {
    ...handlers,
    open(socket) {
      socket.data = { peer: undefined, waiting: [], client: true };
      Bun.connect<Side>({
        hostname: "127.0.0.1",
        port: settings.upstreamPort,
        tls: { ca, serverName: "localhost", rejectUnauthorized: true },
        data: { peer: socket, waiting: [], client: false },
        socket: {
          ...handlers,
          handshake(upstream, success) {
            if (!success || !upstream.authorized) {
              upstream.end();
              return;
            }
            socket.data.peer = upstream;
            for (const bytes of socket.data.waiting) pass(socket, bytes);
          },
        },
      }).catch(() => socket.end());
    },
  },
});

// The fixed reference workload of the guard: a relay that terminates TLS, reads both heads into fields, puts one field in,
// writes them anew and makes a record. It decides and checks nothing, but it does the same kinds of work and takes memory
// as moat-proxy does, so that a busy machine slows both alike. It must not be made faster or slower: what the guard
// compares is moat-proxy's cost to this one's, on the same machine in the same minute. If it has to change, renew the
// baseline with it.

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
const HEAD_END = "\r\n\r\n";
const BATCH_CHARACTERS = 16 * 1024;
let batch = "";

/** Fields as moat-proxy keeps them: names, names in lower case, values. */
interface Head {
  readonly start: string;
  readonly fields: readonly { readonly name: string; readonly key: string; readonly value: string }[];
}

function pass(from: Socket<Side>, bytes: Buffer): void {
  const { peer, waiting, client } = from.data;
  if (peer === undefined) {
    waiting.push(bytes);
    return;
  }
  // What the generator and its upstream send is small and comes whole.
  const end = bytes.indexOf(HEAD_END);
  const head = read(bytes.toString("latin1", 0, end));
  if (!client) keep(record(head, bytes.length - end - HEAD_END.length));
  peer.write(Buffer.concat([Buffer.from(written(head, client), "latin1"), bytes.subarray(end)]));
}

function read(text: string): Head {
  const [start = "", ...lines] = text.split("\r\n");
  const fields = lines.map((line) => {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    return { name, key: name.toLowerCase(), value: line.slice(colon + 1).trim() };
  });
  return { start, fields };
}

function written({ start, fields }: Head, client: boolean): string {
  let text = start;
  for (const { name, key, value } of fields) {
    text += `\r\n${name}: ${client && key === "authorization" ? settings.authorization : value}`;
  }
  return text;
}

function record({ start, fields }: Head, size: number): string {
  return JSON.stringify({
    time: new Date().toISOString(),
    id: crypto.randomUUID(),
    status: start,
    size,
    fields: fields.map(({ key }) => key),
  });
}

/** Gathered to batches, as a log is, and then dropped. */
function keep(line: string): void {
  batch += line;
  if (batch.length < BATCH_CHARACTERS) return;
  Buffer.from(batch, "utf8");
  batch = "";
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

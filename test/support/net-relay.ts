// A relay that puts a CONNECT head before whatever its client sends, and decides in which pieces the client's first
// flight leaves: in one write with the head, or byte by byte. What follows passes with backpressure and half-close.
import { createServer, connect as dial, type Socket } from "node:net";

export interface Relay {
  readonly port: number;
  stop(): void;
}

/** `with-head`: head and flight in one write; `bytewise`: after the answer to the head, every byte by itself. */
export type Manner = "with-head" | "bytewise";

/** Relays connections on 127.0.0.1 to `port`. The answer to the head does not reach the client. */
export async function startRelay(port: number, head: string, manner: Manner): Promise<Relay> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const proxy = dial({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    link(client, proxy, sockets);
    link(proxy, client, sockets);
    const established = answerTo(proxy, client);
    client.once("data", (flight: Buffer) => {
      client.pause();
      void forward(client, proxy, [Buffer.from(head, "latin1"), flight], manner, established);
    });
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  return {
    port: address !== null && typeof address === "object" ? address.port : 0,
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function link(socket: Socket, other: Socket, sockets: Set<Socket>): void {
  sockets.add(socket);
  socket.on("error", () => other.resetAndDestroy());
  socket.on("close", () => {
    sockets.delete(socket);
    other.end();
  });
}

async function forward(
  client: Socket,
  proxy: Socket,
  [head, flight]: readonly [Buffer, Buffer],
  manner: Manner,
  established: Promise<void>,
): Promise<void> {
  if (manner === "with-head") {
    proxy.write(Buffer.concat([head, flight]));
  } else {
    proxy.write(head);
    await established;
    for (const byte of flight) {
      proxy.write(Buffer.of(byte));
      // A turn of the loop between two bytes, so that they arrive one by one.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  client.pipe(proxy);
}

/** Keeps the answer to the head from the client; what follows is passed on. */
function answerTo(proxy: Socket, client: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let answer = Buffer.alloc(0);
  const onData = (bytes: Buffer): void => {
    answer = Buffer.concat([answer, bytes]);
    const end = answer.indexOf("\r\n\r\n");
    if (end < 0) return;
    proxy.off("data", onData);
    if (end + 4 < answer.length) client.write(answer.subarray(end + 4));
    proxy.pipe(client);
    resolve();
  };
  proxy.on("data", onData);
  return promise;
}

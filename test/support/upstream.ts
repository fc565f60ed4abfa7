// Scripted upstream servers for tests, TLS or plain, on loopback. They record every byte received, count
// connections and handshakes, and answer what the test says: by hand on a ByteStream, or by a reply function.
import type { Socket, TCPSocketListener } from "bun";
import { ByteStream, StreamEnded, streamHandlers, within } from "./byte-stream.ts";
import { type Request, readRequest } from "./http-message.ts";
import { pki, type ServerCertificate } from "./pki.ts";

/** What a reply function gives back: the raw response; null closes the connection. */
export type Reply = string | Uint8Array | null;

export interface UpstreamOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** The name in `authority`; default localhost for 127.0.0.1, else the host. */
  readonly name?: string;
  /** Keep our side open when the proxy ends its own. */
  readonly halfOpen?: boolean;
  /** Default: the valid test certificate. `false`: cleartext. */
  readonly tls?: ServerCertificate | false;
  /** Answers every request of every connection. Without it the test drives the streams of `next()`. */
  readonly reply?: (request: Request, stream: ByteStream) => Reply | Promise<Reply>;
  /** Called for each connection once it can carry data, instead of `next()`. */
  readonly serve?: (stream: ByteStream) => void;
}

export interface Upstream extends AsyncDisposable {
  readonly port: number;
  /** name:port, for CONNECT and Host. */
  readonly authority: string;
  /** Every connection accepted at the TCP level, in order. */
  readonly connections: readonly ByteStream[];
  /** Every whole request that the reply function was asked about. */
  readonly requests: readonly Request[];
  /** SNI of each completed handshake; "" where there was none. */
  readonly serverNames: readonly string[];
  /** Application bytes received on all connections, joined. */
  readonly text: string;
  /** The next connection that can carry data (after the handshake where there is one). */
  next(): Promise<ByteStream>;
  /** Resolves when `count` requests have come (reply mode). */
  untilRequests(count: number): Promise<void>;
  close(): void;
}

/** A response with Content-Length. */
export function ok(body = "ok", fields: readonly string[] = []): string {
  return [
    "HTTP/1.1 200 OK",
    ...fields,
    `Content-Length: ${Buffer.byteLength(body, "latin1")}`,
    "",
    body,
  ].join("\r\n");
}

interface Acceptor {
  ready(stream: ByteStream, serverName: string): void;
}

function listen(
  options: UpstreamOptions,
  connections: ByteStream[],
  acceptor: Acceptor,
): TCPSocketListener<ByteStream> {
  const tls = options.tls === undefined ? pki().valid : options.tls;
  return Bun.listen<ByteStream>({
    hostname: options.host ?? "127.0.0.1",
    port: 0,
    allowHalfOpen: options.halfOpen === true,
    ...(tls === false
      ? {}
      : { tls: { cert: tls.cert, key: tls.key, ALPNProtocols: Buffer.from("\x08http/1.1", "latin1") } }),
    socket: {
      ...streamHandlers,
      open(socket: Socket<ByteStream>) {
        const stream = new ByteStream();
        stream.socket = socket;
        socket.data = stream;
        connections.push(stream);
        if (tls === false) acceptor.ready(stream, "");
      },
      handshake(socket: Socket<ByteStream>) {
        const stream = socket.data;
        const name: unknown = socket.getServername();
        stream.onHandshake(true, undefined);
        acceptor.ready(stream, typeof name === "string" ? name : "");
      },
    },
  });
}

/** Starts an upstream; `await using` stops it and all its connections. */
export function startUpstream(options: UpstreamOptions = {}): Upstream {
  const connections: ByteStream[] = [];
  const requests: Request[] = [];
  const serverNames: string[] = [];
  const ready: ByteStream[] = [];
  const waiting: ((stream: ByteStream) => void)[] = [];
  let counted: (() => void)[] = [];

  const answer = async (stream: ByteStream, reply: NonNullable<UpstreamOptions["reply"]>): Promise<void> => {
    for (;;) {
      let request: Request;
      try {
        if (!(await stream.untilReadable())) return stream.end();
        request = await readRequest(stream);
      } catch (error) {
        if (error instanceof StreamEnded || stream.closed) return stream.end();
        // Bytes that are no request, or an idle connection past the deadline: nothing to answer.
        return stream.destroy();
      }
      requests.push(request);
      for (const wake of counted) wake();
      const bytes = await reply(request, stream);
      if (bytes === null) return stream.end();
      void stream.write(bytes);
    }
  };

  const listener = listen(options, connections, {
    ready(stream, serverName) {
      serverNames.push(serverName);
      if (options.reply !== undefined) void answer(stream, options.reply);
      else if (options.serve !== undefined) options.serve(stream);
      else {
        const waiter = waiting.shift();
        if (waiter === undefined) ready.push(stream);
        else waiter(stream);
      }
    },
  });
  const host = options.host ?? "127.0.0.1";
  const name = options.name ?? (host === "127.0.0.1" ? "localhost" : host.includes(":") ? `[${host}]` : host);
  return {
    port: listener.port,
    authority: `${name}:${listener.port}`,
    connections,
    requests,
    serverNames,
    get text() {
      return connections.map((stream) => stream.text).join("");
    },
    next() {
      const stream = ready.shift();
      if (stream !== undefined) return Promise.resolve(stream);
      return within(
        new Promise<ByteStream>((resolve) => waiting.push(resolve)),
        "connection to the upstream",
      );
    },
    async untilRequests(count) {
      if (requests.length >= count) return;
      const reached = new Promise<void>((resolve) => {
        counted.push(() => {
          if (requests.length >= count) resolve();
        });
      });
      await within(reached, `request number ${count} at the upstream`);
      counted = [];
    },
    close() {
      listener.stop(true);
      for (const stream of connections) stream.destroy();
    },
    async [Symbol.asyncDispose]() {
      this.close();
    },
  };
}

/** A port on 127.0.0.1 where nobody listens. */
export function closedPort(): number {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const port = probe.port;
  probe.stop(true);
  return port;
}

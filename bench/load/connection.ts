// One connection of the load generator, raw Bun sockets, whatever the way leads through. Handlers are constants of
// the module and state is one object, so that the generator stays cheap. Connects to loopback addresses only.

import type { Socket, SocketHandler } from "bun";
import type { Route } from "../plan.ts";

export interface Opening {
  readonly route: Route;
  /** The host that the request is for. */
  readonly host: string;
  readonly ca: string;
  /** Offer the session that was seen last with this host and route. */
  readonly resume: boolean;
  /** For Proxy-Authorization. */
  readonly token?: string;
  /** Loopback address to come from; the proxy counts new hosts by client address. */
  readonly from?: string;
}

/** Sessions by host; one generator has one route. */
const sessions = new Map<string, Buffer>();

/** How many handshakes were resumed since the process began. */
export const handshakes = { resumed: 0 };

type State = "connecting" | "asking" | "securing" | "ready" | "closed";

export abstract class Connection {
  readonly opening: Opening;
  state: State = "connecting";
  #socket: Socket<Connection> | undefined;
  #unsent: Uint8Array | undefined;

  constructor(opening: Opening) {
    this.opening = opening;
    const { route, ca, host, from } = opening;
    const options = {
      hostname: "127.0.0.1",
      port: route.port,
      data: this as Connection,
      socket: route.way === "tls" ? secureEvents : plainEvents,
      ...(route.way === "tls" ? { tls: { ca, serverName: host, rejectUnauthorized: true } } : {}),
      // Not in the typings; without it many short connections from one address use up its ports.
      ...(from === undefined ? {} : { localAddress: from }),
    };
    Bun.connect<Connection>(options).catch((error: unknown) => this.onLost(String(error)));
  }

  /** Requests may be written now. */
  abstract onReady(): void;
  abstract onBytes(bytes: Buffer): void;
  /** All that was written has been taken. */
  abstract onDrain(): void;
  /** The connection ended or broke although nobody closed it here. */
  abstract onLost(why: string): void;

  /** True when all was taken; otherwise wait for onDrain. */
  send(bytes: Uint8Array): boolean {
    if (this.#unsent !== undefined) throw new Error("sent before the last was taken");
    const taken = Math.max(0, this.#socket?.write(bytes) ?? 0);
    if (taken >= bytes.length) return true;
    this.#unsent = bytes.subarray(taken);
    return false;
  }

  close(): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#socket?.end();
  }

  opened(socket: Socket<Connection>): void {
    this.#socket = socket;
    const { route, host } = this.opening;
    switch (route.way) {
      case "tls":
        this.#offerSession(socket);
        this.state = "securing";
        break;
      case "plain":
      case "absolute":
        this.#ready();
        break;
      case "tunnel":
      case "opaque": {
        this.state = "asking";
        const authority = `${host}:${route.originPort}`;
        const { token } = this.opening;
        const proof = token === undefined ? "" : `Proxy-Authorization: Basic ${btoa(`bench:${token}`)}\r\n`;
        this.send(
          Buffer.from(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${proof}\r\n`, "latin1"),
        );
      }
    }
  }

  /** A tunnel's outer socket has been upgraded, and this is what is inside. */
  inner(socket: Socket<Connection>): void {
    this.#socket = socket;
    this.#offerSession(socket);
  }

  /** Bytes of the outer socket, whose ciphertext is shown here too once it has been upgraded. */
  arrived(socket: Socket<Connection>, bytes: Buffer): void {
    if (this.state === "asking") this.#tunnelAnswer(socket, bytes);
    else if (this.state === "ready" && this.opening.route.way !== "tunnel") this.onBytes(bytes);
  }

  outerDrained(): void {
    if (this.state === "asking" || this.opening.route.way !== "tunnel") this.drained();
  }

  secured(socket: Socket<Connection>, success: boolean, error: Error | null): void {
    if (!success || !socket.authorized) {
      this.lost(`handshake: ${error?.message ?? "not authorized"}`);
      return;
    }
    if (isResumed(socket)) handshakes.resumed++;
    this.#ready();
  }

  session(bytes: Buffer): void {
    if (this.opening.resume) sessions.set(this.opening.host, bytes);
  }

  drained(): void {
    if (this.#unsent !== undefined) {
      const rest = this.#unsent;
      this.#unsent = undefined;
      if (!this.send(rest)) return;
    }
    if (this.state === "ready") this.onDrain();
  }

  lost(why: string): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.onLost(why);
  }

  #ready(): void {
    this.state = "ready";
    this.onReady();
  }

  #offerSession(socket: Socket<Connection>): void {
    const known = this.opening.resume ? sessions.get(this.opening.host) : undefined;
    if (known !== undefined) offer(socket, known);
  }

  #tunnelAnswer(socket: Socket<Connection>, bytes: Buffer): void {
    const head = bytes.toString("latin1");
    if (!/^HTTP\/1\.[01] 200 /.test(head) || !head.endsWith("\r\n\r\n")) {
      this.lost(`CONNECT: ${head.slice(0, 200)}`);
      socket.end();
      return;
    }
    if (this.opening.route.way === "opaque") {
      this.#ready();
      return;
    }
    this.state = "securing";
    const { ca, host } = this.opening;
    socket.upgradeTLS<Connection>({
      data: this,
      tls: { ca, serverName: host, rejectUnauthorized: true },
      socket: innerEvents,
    });
  }
}

// Two TLS methods of a Bun socket that its typings leave out.
function isResumed(socket: Socket<Connection>): boolean {
  return (socket as unknown as { isSessionReused(): boolean }).isSessionReused();
}

function offer(socket: Socket<Connection>, session: Buffer): void {
  (socket as unknown as { setSession(session: Buffer): void }).setSession(session);
}

const endings: Pick<SocketHandler<Connection>, "close" | "end" | "error"> = {
  close(socket) {
    socket.data.lost("closed");
  },
  end(socket) {
    socket.end();
  },
  error(socket, error) {
    socket.data.lost(error.message);
  },
};

const plainEvents: SocketHandler<Connection> = {
  open(socket) {
    socket.data.opened(socket);
  },
  data(socket, bytes) {
    socket.data.arrived(socket, bytes);
  },
  drain(socket) {
    socket.data.outerDrained();
  },
  ...endings,
};

const tlsEvents: SocketHandler<Connection> = {
  handshake(socket, success, error) {
    socket.data.secured(socket, success, error);
  },
  data(socket, bytes) {
    socket.data.onBytes(bytes);
  },
  drain(socket) {
    socket.data.drained();
  },
  ...endings,
  // Not in the typings: a session that may be resumed later.
  ...{
    session(socket: Socket<Connection>, bytes: Buffer): void {
      socket.data.session(bytes);
    },
  },
};

const secureEvents: SocketHandler<Connection> = {
  ...tlsEvents,
  open(socket) {
    socket.data.opened(socket);
  },
};

const innerEvents: SocketHandler<Connection> = {
  ...tlsEvents,
  open(socket) {
    socket.data.inner(socket);
  },
};

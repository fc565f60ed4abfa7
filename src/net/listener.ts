// The listening socket: every accepted connection gets a wire and a session, or a clear refusal when there are too
// many. wire.md sections 5 and 14.

import type { SocketHandler, TCPSocketListener } from "bun";
import { ClientSession } from "../proxy/client-session.ts";
import { errorReply, replyBytes } from "../proxy/replies.ts";
import type { SessionDeps } from "../proxy/session-deps.ts";
import { ProxyError } from "../values/errors.ts";
import { SocketWire, wireEvents } from "./wire.ts";

export interface ListenerOptions {
  readonly host: string;
  /** 0: the operating system picks. */
  readonly port: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerClient: number;
}

/** Finds peers that vanished without a FIN; nothing else ends a silent tunnel. wire.md section 14. */
const TCP_KEEP_ALIVE_MS = 60_000;

const TOO_MANY = replyBytes(
  errorReply(new ProxyError("too-many-connections", "too many connections"), ""),
  false,
  true,
);

export class Listener {
  readonly #options: ListenerOptions;
  readonly #deps: SessionDeps;
  readonly #perClient = new Map<string, number>();
  #connections = 0;
  #server: TCPSocketListener<SocketWire> | undefined;

  constructor(options: ListenerOptions, deps: SessionDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  get connections(): number {
    return this.#connections;
  }

  get port(): number {
    return this.#server?.port ?? 0;
  }

  /** Binds; throws the runtime's error when the address is taken or not ours. */
  start(): void {
    const owner = this;
    const handlers: SocketHandler<SocketWire> = {
      ...wireEvents,
      open(socket) {
        const wire = new AcceptedWire(owner, socket.remoteAddress);
        wire.socket = socket;
        socket.data = wire;
        socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
        owner.#accept(wire);
      },
    };
    this.#server = Bun.listen<SocketWire>({
      hostname: this.#options.host,
      port: this.#options.port,
      allowHalfOpen: true,
      socket: handlers,
    });
  }

  /** Accepts no more; what is open goes on. */
  stop(): void {
    this.#server?.stop(false);
    this.#server = undefined;
  }

  /** Called when an accepted socket is gone. */
  release(clientIp: string): void {
    this.#connections--;
    const left = (this.#perClient.get(clientIp) ?? 1) - 1;
    if (left > 0) this.#perClient.set(clientIp, left);
    else this.#perClient.delete(clientIp);
  }

  #accept(wire: AcceptedWire): void {
    const mine = (this.#perClient.get(wire.clientIp) ?? 0) + 1;
    this.#connections++;
    this.#perClient.set(wire.clientIp, mine);
    const { maxConnections, maxConnectionsPerClient } = this.#options;
    if (this.#connections > maxConnections || mine > maxConnectionsPerClient) {
      wire.write(TOO_MANY);
      wire.close();
      return;
    }
    const peer = { clientIp: wire.clientIp, token: undefined, user: undefined };
    wire.handler = new ClientSession(this.#deps, wire, peer, undefined);
  }
}

/** An accepted connection; counted from accept to close, whoever has its wire by then. */
class AcceptedWire extends SocketWire {
  readonly clientIp: string;
  readonly #listener: Listener;
  #counted = true;

  constructor(listener: Listener, clientIp: string) {
    super();
    this.#listener = listener;
    this.clientIp = clientIp;
  }

  override onSocketClose(): void {
    if (this.#counted) {
      this.#counted = false;
      this.#listener.release(this.clientIp);
    }
    super.onSocketClose();
  }
}

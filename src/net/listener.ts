// The listening socket: every accepted connection gets a wire and a session, or a clear refusal when there are too
// many. Behind a balancer the PROXY protocol says first who the client is. wire.md sections 2, 5 and 14.

import type { SocketHandler, TCPSocketListener } from "bun";
import { ClientSession } from "../proxy/client-session.ts";
import { Farewell } from "../proxy/farewell.ts";
import { errorReply, replyBytes } from "../proxy/replies.ts";
import type { SessionDeps } from "../proxy/session-deps.ts";
import { ProxyError } from "../values/errors.ts";
import { ClientAnnouncement, type ClientOutcome } from "./client-announcement.ts";
import { SocketWire, wireEvents } from "./wire.ts";

export interface ListenerOptions {
  readonly host: string;
  /** 0: the operating system picks. */
  readonly port: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerClient: number;
  /**
   * Every connection begins with a PROXY protocol header, and its client is the one announced there, in records and for
   * the cap per client. Only for a port that nobody but the balancer reaches: a header proves nothing.
   */
  readonly proxyProtocol: boolean;
}

/** Refused connections that are left time to read why; beyond it they are closed at once, reply or not. */
const MAX_REFUSED = 64;

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
  #refused = 0;
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

  /** Called once the client of an accepted socket is known. */
  onClient(wire: AcceptedWire, clientIp: string): void {
    const mine = (this.#perClient.get(clientIp) ?? 0) + 1;
    this.#perClient.set(clientIp, mine);
    wire.countedFor = clientIp;
    if (mine > this.#options.maxConnectionsPerClient) {
      this.#refuse(wire);
      return;
    }
    const peer = { clientIp, token: undefined, user: undefined };
    wire.handler = new ClientSession(this.#deps, wire, peer, undefined);
  }

  /** Called when an accepted socket is gone. */
  release(wire: AcceptedWire): void {
    this.#connections--;
    if (wire.refused) this.#refused--;
    const { countedFor } = wire;
    if (countedFor === undefined) return;
    const left = (this.#perClient.get(countedFor) ?? 1) - 1;
    if (left > 0) this.#perClient.set(countedFor, left);
    else this.#perClient.delete(countedFor);
  }

  #accept(wire: AcceptedWire): void {
    this.#connections++;
    if (this.#connections > this.#options.maxConnections) this.#refuse(wire);
    else if (this.#options.proxyProtocol) new ClientAnnouncement(wire, this.#deps, wire);
    else this.onClient(wire, wire.remoteAddress);
  }

  #refuse(wire: AcceptedWire): void {
    wire.refused = true;
    this.#refused++;
    wire.write(TOO_MANY);
    const { clock, live } = this.#deps;
    if (this.#refused > MAX_REFUSED) wire.close();
    else new Farewell(wire, clock, live, false);
  }
}

/** An accepted connection; counted from accept to close, whoever has its wire by then. */
class AcceptedWire extends SocketWire implements ClientOutcome {
  /** The other end of the socket: the client, or its balancer. */
  readonly remoteAddress: string;
  /** The client whose allowance it takes from, once it is known. */
  countedFor: string | undefined;
  /** One too many; only its end is awaited. */
  refused = false;
  readonly #listener: Listener;
  #counted = true;

  constructor(listener: Listener, remoteAddress: string) {
    super();
    this.#listener = listener;
    this.remoteAddress = remoteAddress;
  }

  onClientKnown(clientIp: string | undefined, early: Uint8Array): void {
    this.#listener.onClient(this, clientIp ?? this.remoteAddress);
    if (early.length > 0) this.handler.onData(early);
  }

  override onSocketClose(): void {
    if (this.#counted) {
      this.#counted = false;
      this.#listener.release(this);
    }
    super.onSocketClose();
  }
}

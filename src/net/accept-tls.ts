// Server-side TLS on an accepted socket: what follows a CONNECT. The one file that knows upgradeTLS with isServer.
// TLS 1.2 or later, HTTP/1.1 by ALPN. wire.md sections 3 and 4, bun-facts.md.

import type { SocketHandler } from "bun";
import type { Interceptor, SecureHandler, Wire } from "../proxy/ports.ts";
import type { Authority } from "../values/authority.ts";
import { ProxyError } from "../values/errors.ts";
import type { Leaf } from "../x509/leaf.ts";
import type { LeafCache } from "../x509/leaf-cache.ts";
import type { MintLimiter } from "../x509/mint-limiter.ts";
import { type SecureContext, secureContext } from "./secure-context.ts";
import { type RawHandler, SocketWire, type WireSocket, wireEvents } from "./wire.ts";

/** RFC 7301 wire form of ["http/1.1"]; a string array hangs the handshake. */
const ALPN_HTTP1 = Buffer.from("\x08http/1.1", "latin1");

/** First byte of a TLS record that holds a handshake message (RFC 8446 section 5.1). */
const TLS_HANDSHAKE_RECORD = 0x16;

/** The typings know the client side only. `initialData` is what the client sent before the upgrade. */
interface ServerUpgrade {
  upgradeTLS(options: {
    tls: { secureContext: SecureContext; ALPNProtocols: Buffer };
    isServer: true;
    initialData?: Uint8Array;
    data: SocketWire;
    socket: SocketHandler<SocketWire>;
  }): [raw: WireSocket, tls: WireSocket];
}

export class TlsInterceptor implements Interceptor {
  readonly #leaves: LeafCache;
  readonly #limiter: MintLimiter;
  /** Prepared once per leaf, and gone with it: the runtime keeps but a hundred, and these also hold the session tickets. */
  readonly #contexts = new WeakMap<Leaf, SecureContext>();

  constructor(leaves: LeafCache, limiter: MintLimiter) {
    this.#leaves = leaves;
    this.#limiter = limiter;
  }

  leaf(authority: Authority, clientIp: string): Leaf {
    const { host, kind } = authority;
    if (!this.#leaves.has(host) && !this.#limiter.allow(clientIp)) {
      throw new ProxyError("too-many-leaves", "too many new hosts in a short time");
    }
    return this.#leaves.get(host, kind);
  }

  accept(wire: Wire, leaf: Leaf, early: Uint8Array, handler: SecureHandler): Wire {
    if (!(wire instanceof SocketWire) || wire.socket === undefined) {
      throw new Error("TLS can be accepted on a socket's own wire only");
    }
    const secure = new SecureWire(handler);
    wire.carriesTls = secure;
    if (early.length > 0) secure.begin(early);
    const upgradable = wire.socket as unknown as ServerUpgrade; // isServer is missing from the typings
    const [, tls] = upgradable.upgradeTLS({
      tls: { secureContext: this.#contextOf(leaf), ALPNProtocols: ALPN_HTTP1 },
      isServer: true,
      ...(early.length > 0 ? { initialData: early } : {}),
      data: secure,
      socket: secureEvents,
    });
    secure.socket = tls;
    // Too few bytes to fail by themselves.
    if (early.length > 0) queueMicrotask(() => secure.refuseForeign());
    return secure;
  }

  #contextOf(leaf: Leaf): SecureContext {
    let context = this.#contexts.get(leaf);
    if (context === undefined) {
      context = secureContext({ key: leaf.keyPem, cert: leaf.certPem });
      this.#contexts.set(leaf, context);
    }
    return context;
  }
}

class SecureWire extends SocketWire implements RawHandler {
  readonly secureHandler: SecureHandler;
  #state: "new" | "hello" | "secured" | "failed" = "new";
  /** What it means when the handshake does not come to its end. */
  #failure: "not-tls" | "failed" = "failed";

  constructor(handler: SecureHandler) {
    super();
    this.secureHandler = handler;
  }

  /** @param bytes the client's first */
  begin(bytes: Uint8Array): void {
    this.#state = "hello";
    if (bytes[0] !== TLS_HANDSHAKE_RECORD) this.#failure = "not-tls";
  }

  onRawData(bytes: Uint8Array): void {
    if (this.#state !== "new") return;
    this.begin(bytes);
    this.refuseForeign();
  }

  /** Ends at once what began with something else than TLS. */
  refuseForeign(): void {
    if (this.#failure === "not-tls" && this.#state === "hello" && !this.closed) this.#fail();
  }

  onHandshake(success: boolean): void {
    if (this.closed || this.#state === "failed" || this.#state === "secured" || this.#upgrading) return;
    if (!success) {
      this.#fail();
      return;
    }
    this.#state = "secured";
    this.secureHandler.onSecured();
  }

  override onSocketClose(): void {
    if (this.#upgrading) queueMicrotask(() => this.#onClosed());
    else this.#onClosed();
  }

  #onClosed(): void {
    // Closed inside the handshake: after a ClientHello that is a client which does not trust us.
    if (!this.closed && this.#state === "hello") this.#fail();
    super.onSocketClose();
  }

  /** Early bytes can fail the handshake inside the upgrade: nobody waits for that yet, and the close follows. */
  get #upgrading(): boolean {
    return !this.closed && this.socket === undefined;
  }

  #fail(): void {
    this.#state = "failed";
    this.secureHandler.onHandshakeFailed(this.#failure);
  }
}

const secureEvents: SocketHandler<SocketWire> = {
  ...wireEvents,
  handshake(socket, success) {
    if (socket.data instanceof SecureWire) socket.data.onHandshake(success);
  },
};

// Server-side TLS on an accepted socket: what follows a CONNECT. The one file that knows upgradeTLS with isServer.
// TLS 1.2 or later, HTTP/1.1 by ALPN. wire.md sections 3 and 4, bun-facts.md.

import type { SocketHandler } from "bun";
import type { Interceptor, SecureHandler, Wire } from "../proxy/ports.ts";
import type { Authority } from "../values/authority.ts";
import { ProxyError } from "../values/errors.ts";
import type { Leaf } from "../x509/leaf.ts";
import type { LeafCache } from "../x509/leaf-cache.ts";
import type { MintLimiter } from "../x509/mint-limiter.ts";
import { acceptEarlyTls, TLS_HANDSHAKE_RECORD } from "./accept-early-tls.ts";
import { type RawHandler, SocketWire, type WireSocket, wireEvents } from "./wire.ts";

/** RFC 7301 wire form of ["http/1.1"]; a string array hangs the handshake. */
const ALPN_HTTP1 = Buffer.from("\x08http/1.1", "latin1");

/** The typings know the client side only. */
interface ServerUpgrade {
  upgradeTLS(options: {
    tls: { key: string; cert: string; ALPNProtocols: Buffer };
    isServer: true;
    data: SocketWire;
    socket: SocketHandler<SocketWire>;
  }): [raw: WireSocket, tls: WireSocket];
}

export class TlsInterceptor implements Interceptor {
  readonly #leaves: LeafCache;
  readonly #limiter: MintLimiter;

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
    if (early.length > 0) return acceptEarlyTls(wire, leaf, early, handler);
    if (!(wire instanceof SocketWire) || wire.socket === undefined) {
      throw new Error("TLS can be accepted on a socket's own wire only");
    }
    const secure = new SecureWire(handler);
    wire.carriesTls = secure;
    const upgradable = wire.socket as unknown as ServerUpgrade; // isServer is missing from the typings
    const [, tls] = upgradable.upgradeTLS({
      tls: { key: leaf.keyPem, cert: leaf.certPem, ALPNProtocols: ALPN_HTTP1 },
      isServer: true,
      data: secure,
      socket: secureEvents,
    });
    secure.socket = tls;
    return secure;
  }
}

class SecureWire extends SocketWire implements RawHandler {
  readonly secureHandler: SecureHandler;
  #state: "new" | "hello" | "secured" | "failed" = "new";

  constructor(handler: SecureHandler) {
    super();
    this.secureHandler = handler;
  }

  onRawData(bytes: Uint8Array): void {
    if (this.#state !== "new") return;
    this.#state = "hello";
    if (bytes[0] !== TLS_HANDSHAKE_RECORD) this.#fail("not-tls");
  }

  onHandshake(success: boolean): void {
    if (this.closed || this.#state === "failed" || this.#state === "secured") return;
    if (!success) {
      this.#fail("failed");
      return;
    }
    this.#state = "secured";
    this.secureHandler.onSecured();
  }

  override onSocketClose(): void {
    // Closed inside the handshake: after a ClientHello that is a client which does not trust us.
    if (!this.closed && this.#state === "hello") this.#fail("failed");
    super.onSocketClose();
  }

  #fail(reason: "not-tls" | "failed"): void {
    this.#state = "failed";
    this.secureHandler.onHandshakeFailed(reason);
  }
}

const secureEvents: SocketHandler<SocketWire> = {
  ...wireEvents,
  handshake(socket, success) {
    if (socket.data instanceof SecureWire) socket.data.onHandshake(success);
  },
};

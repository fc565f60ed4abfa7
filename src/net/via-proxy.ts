// The way to an address through the operator's own HTTP proxy: CONNECT, a 200, and on the same socket TLS where the
// target asks for it. Knows one established connection; does not dial, resolve or check. RFC 9110 section 9.3.6,
// wire.md section 2 (network.upstream_proxy).

import type { SocketHandler } from "bun";
import { HeaderList } from "../http1/headers.ts";
import { ResponseHeadReader } from "../http1/message-reader.ts";
import { requestHead } from "../http1/write-head.ts";
import type { Wire, WireHandler } from "../proxy/ports.ts";
import { ProxyError } from "../values/errors.ts";
import type { Secret } from "../values/secret.ts";
import type { UpstreamTlsOptions } from "./upstream-tls.ts";
import { type RawHandler, SILENT, SocketWire, type WireSocket } from "./wire.ts";

export interface UpstreamProxy {
  readonly host: string;
  readonly port: number;
  /** The whole value of Proxy-Authorization; undefined: the proxy asks for none. */
  readonly authorization: Secret | undefined;
}

/** Called once, unless the wire is gone before. */
export interface WayOutcome {
  /** @param early what came behind the proxy's answer: the target's first bytes */
  onWayOpen(early: Uint8Array): void;
  /** @param reason for the log; names no address */
  onWayRefused(reason: string): void;
}

const OK = 200;

/** Asks the proxy at the other end of `wire` for a way, and nothing else: not a byte goes out before its 200. */
export class ProxyWay implements WireHandler {
  readonly #wire: Wire;
  readonly #outcome: WayOutcome;
  readonly #head = new ResponseHeadReader();

  /**
   * Takes over the wire until the outcome.
   * @param to `address:port`, already checked; a name would be resolved anew by the proxy
   */
  constructor(wire: Wire, to: string, authorization: Secret | undefined, outcome: WayOutcome) {
    this.#wire = wire;
    this.#outcome = outcome;
    wire.handler = this;
    const headers = new HeaderList();
    headers.push("Host", to);
    if (authorization !== undefined) headers.push("Proxy-Authorization", authorization.reveal());
    wire.write(requestHead("CONNECT", to, headers));
  }

  onData(bytes: Uint8Array): void {
    let used: number;
    try {
      used = this.#head.read(bytes);
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      this.#refuse("the upstream proxy's answer is malformed");
      return;
    }
    const head = this.#head.take();
    if (head === undefined) return;
    if (head.status !== OK) {
      this.#refuse(`the upstream proxy answered ${head.status}`);
      return;
    }
    // RFC 9110 section 9.3.6: whatever the fields say, behind the head of a 200 to CONNECT the tunnel begins.
    this.#wire.handler = SILENT;
    this.#outcome.onWayOpen(bytes.subarray(used));
  }

  onDrain(): void {
    // The head has left.
  }

  onEnd(): void {
    this.#refuse("the upstream proxy ended the connection");
  }

  onClose(): void {
    this.#refuse("the upstream proxy closed the connection");
  }

  #refuse(reason: string): void {
    this.#wire.handler = SILENT;
    this.#outcome.onWayRefused(reason);
  }
}

/**
 * Begins TLS as a client on the connection of `wire`, which carries the plaintext from here on. Nothing may have been
 * received that is not read. `events` need no `open`: the outcome is told by `handshake`.
 */
export function startTls(wire: SocketWire, tls: UpstreamTlsOptions, events: SocketHandler<SocketWire>): void {
  const { socket } = wire;
  if (socket === undefined) return;
  // The raw socket goes on telling of ciphertext and of its end.
  socket.data = new CiphertextWire();
  const [, secure]: [raw: WireSocket, tls: WireSocket] = socket.upgradeTLS<SocketWire>({
    tls,
    data: wire,
    socket: events,
  });
  wire.socket = secure;
}

/** Owns the transport of a TLS session, and ignores it. */
class CiphertextWire extends SocketWire implements RawHandler {
  override carriesTls: RawHandler | undefined = this;

  onRawData(): void {
    // The runtime's TLS reads it.
  }
}

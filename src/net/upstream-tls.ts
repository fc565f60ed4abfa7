// How upstreams prove themselves, and we to them. One TLS context for each certificate that we show, made when it is first
// needed and kept: to read 150 roots anew costs more than the handshake does. wire.md section 4.

import type { TLSOptions } from "bun";
import type { Authority } from "../values/authority.ts";
import type { ClientCertificate } from "./client-certs.ts";
import { type SecureContext, secureContext } from "./secure-context.ts";
import { UpstreamSessions } from "./upstream-sessions.ts";

/** What to show an upstream that asks for a certificate; by default nothing. */
export type ClientCertificates = (authority: Authority) => ClientCertificate | undefined;

export interface UpstreamTlsOptions extends TLSOptions {
  readonly secureContext: SecureContext;
}

export class UpstreamTls {
  readonly sessions = new UpstreamSessions();
  readonly #roots: (() => string) | undefined;
  readonly #certificates: ClientCertificates | undefined;
  readonly #contexts = new Map<ClientCertificate | undefined, SecureContext>();

  /** @param roots gives the PEM of roots that replace the runtime's; undefined keeps those */
  constructor(roots: (() => string) | undefined, certificates?: ClientCertificates) {
    this.#roots = roots;
    this.#certificates = certificates;
  }

  options(authority: Authority): UpstreamTlsOptions {
    const shown = this.#certificates?.(authority);
    // rejectUnauthorized said outright: it wins over NODE_TLS_REJECT_UNAUTHORIZED in the environment.
    return { serverName: authority.host, rejectUnauthorized: true, secureContext: this.#context(shown) };
  }

  #context(shown: ClientCertificate | undefined): SecureContext {
    let context = this.#contexts.get(shown);
    if (context === undefined) {
      const roots = this.#roots === undefined ? {} : { ca: this.#roots() };
      context = secureContext({ ...roots, ...shown });
      this.#contexts.set(shown, context);
    }
    return context;
  }
}

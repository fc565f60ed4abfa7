// The upstream connection that an exchange works on: this session's own, an idle one of the pool, or a new one; and
// where it goes afterwards. Knows nothing of requests and answers but what decides between these. wire.md section 4.

import type { RunContext } from "../../run/run-context.ts";
import type { Cancellable, DialHandler, Upstream, Upstreams, UpstreamTarget } from "../ports.ts";
import { cleartextRefusal } from "../refusals.ts";
import { PinnedUpstream } from "./pinning.ts";

/** What decides which connection may serve. */
export interface LeaseTerms {
  readonly run: RunContext;
  readonly target: UpstreamTarget;
  /** A credential goes there in the clear: public addresses are refused. */
  readonly privateOnly: boolean;
  /** Sending the request twice does no harm. */
  readonly repeatable: boolean;
}

/** Milliseconds: how long a connection may have been idle to get a request that cannot be repeated. */
const FRESH_MS = 2000;
const ANY_AGE = Number.POSITIVE_INFINITY;

export class Lease {
  readonly #upstreams: Upstreams;
  /** Authenticated by NTLM or Negotiate: this session's until it ends. */
  readonly #own = new PinnedUpstream();
  #pinning = false;

  constructor(upstreams: Upstreams) {
    this.#upstreams = upstreams;
  }

  /**
   * A connection that is at hand; undefined: dial.
   * @param retried an idle one has failed this request already
   * @throws ProxyError cleartext-credential
   */
  take({ run, target, privateOnly, repeatable }: LeaseTerms, retried: boolean): Upstream | undefined {
    let upstream = this.#own.take(run, target);
    this.#pinning = upstream !== undefined;
    if (upstream === undefined && !retried)
      upstream = this.#upstreams.take(run, target, repeatable ? ANY_AGE : FRESH_MS);
    if (upstream !== undefined && privateOnly && !upstream.privatePeer) {
      upstream.wire.destroy();
      throw cleartextRefusal();
    }
    return upstream;
  }

  /** Never calls back before it has returned. */
  dial({ run, target, privateOnly }: LeaseTerms, handler: DialHandler): Cancellable {
    return this.#upstreams.dial(run, target, privateOnly, handler);
  }

  /** The connection is being authenticated: it stays with this session. */
  pin(): void {
    this.#pinning = true;
  }

  /** Between two messages. @param keepAliveMs what the upstream announced, if it did */
  giveBack(upstream: Upstream, keepAliveMs: number | undefined): void {
    if (this.#pinning) this.#own.keep(upstream);
    else this.#upstreams.release(upstream, keepAliveMs);
  }

  /** The session is over. */
  drop(): void {
    this.#own.drop();
  }
}

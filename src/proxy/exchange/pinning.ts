// NTLM and Negotiate authenticate a connection, not a request: who comes next on it is who was there before. Such an
// upstream connection stays with the one client session that authenticated it. RFC 4559 section 6, wire.md section 4.

import type { HeaderList } from "../../http1/headers.ts";
import type { RunContext } from "../../run/run-context.ts";
import type { Upstream, UpstreamTarget, WireHandler } from "../ports.ts";

const CONNECTION_AUTH = /^(?:ntlm|negotiate)(?:$|[ ,])/i;

/** The request carries such credentials, the client's own or injected. */
export function authenticatesConnection(request: HeaderList): boolean {
  return CONNECTION_AUTH.test(request.get("authorization") ?? "");
}

/** The answer asks for such credentials: the next request on this connection will bring them. */
export function asksForConnectionAuth(response: HeaderList): boolean {
  const { keys, values } = response;
  for (let i = 0; i < keys.length; i++) {
    if (keys[i] === "www-authenticate" && CONNECTION_AUTH.test(values[i] as string)) return true;
  }
  return false;
}

/** The one idle connection that belongs to a session instead of the pool. */
export class PinnedUpstream implements WireHandler {
  #upstream: Upstream | undefined;

  keep(upstream: Upstream): void {
    this.#upstream = upstream;
    upstream.wire.handler = this;
    upstream.wire.resume();
  }

  /** The connection if it goes there, and then no longer ours to watch; any other is closed. */
  take(run: RunContext, target: UpstreamTarget): Upstream | undefined {
    const upstream = this.#upstream;
    if (upstream !== undefined && upstream.run === run && upstream.target.key === target.key) {
      this.#upstream = undefined;
      return upstream;
    }
    this.drop();
    return undefined;
  }

  drop(): void {
    this.#upstream?.wire.destroy();
    this.#upstream = undefined;
  }

  // Between two requests it has nothing to say: unasked bytes and an end both make it useless.

  onData(): void {
    this.drop();
  }

  onDrain(): void {
    // Nothing is owed to an idle connection.
  }

  onEnd(): void {
    this.drop();
  }

  onClose(): void {
    this.drop();
  }
}

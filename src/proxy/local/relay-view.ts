// One request over a relay as the answer's way back sees it: addresses of the upstream mapped to the relay's path, and
// failures told in the relay's words. Decides nothing about who may use it. wire.md sections 9 and 10.

import type { HeaderList } from "../../http1/headers.ts";
import { grantHint, type McpStub } from "../../inject/mcp-stub.ts";
import { isPlainPath, type RelayTarget } from "../../run/relay-target.ts";
import type { Transformer } from "../../transform/body-stage.ts";
import type { Hidden } from "../../transform/needles.ts";
import { endpointRewriter } from "../../transform/sse-endpoint.ts";
import { type ErrorCode, ProxyError } from "../../values/errors.ts";
import type { PathSeal } from "./path-seal.ts";

export type RelayKind = "relay" | "mcp";

/** What the upstream, or the way to it, did wrong: the relay could not do its work. */
const CONNECTION_FAILED: ReadonlySet<ErrorCode> = new Set([
  "dial-failed",
  "certificate-rejected",
  "upstream-closed",
]);
/** Fields whose value is a URL of the upstream. */
const ADDRESS_FIELDS: ReadonlySet<string> = new Set(["location", "content-location"]);

export interface RelayViewSettings {
  readonly kind: RelayKind;
  readonly target: RelayTarget;
  /** The relay's path as this client writes it, such as `/mcp/<token>/<name>`. */
  readonly prefix: string;
  /** Where the prefix holds one. */
  readonly token: string | undefined;
  /** Path at the upstream, without query; relative addresses are read from there. */
  readonly path: string;
  readonly seal: PathSeal;
  /** Of an MCP server. */
  readonly stub: McpStub | undefined;
}

export class RelayView {
  readonly #settings: RelayViewSettings;
  readonly #origin: string;
  /** Maps the endpoint that an MCP server of the older HTTP+SSE transport announces; undefined for relays. */
  readonly eventTransformer: Transformer | undefined;

  constructor(settings: RelayViewSettings) {
    this.#settings = settings;
    this.#origin = new URL(settings.target.key).origin;
    if (settings.kind === "mcp") this.eventTransformer = endpointRewriter((data) => this.mapped(data));
  }

  /** What a logger must not see: the token stands in the addresses that are mapped. */
  get hidden(): readonly Hidden[] {
    const { token } = this.#settings;
    return token === undefined ? [] : [{ secret: token, placeholder: "[token]" }];
  }

  /** The request may be answered by a stream of events. */
  readsEvents(request: HeaderList): boolean {
    return this.eventTransformer !== undefined && request.joined("accept")?.includes("event-stream") === true;
  }

  /**
   * The field holds an address of the proxy's own, often with the client's token in its path: clients that follow a
   * redirect send the one they came from.
   */
  isOwnAddress(key: string, value: string): boolean {
    const { token, prefix } = this.#settings;
    return key === "referer" || (token !== undefined && value.includes(prefix));
  }

  /** Maps the addresses in an answer's fields, in place. */
  rewriteFields(headers: HeaderList): void {
    for (let i = 0; i < headers.keys.length; i++) {
      const key = headers.keys[i] as string; // the index is within
      const value = headers.values[i] as string;
      if (ADDRESS_FIELDS.has(key)) headers.values[i] = this.mapped(value) ?? value;
      else if (key === "set-cookie") headers.values[i] = this.#ownCookie(value);
    }
  }

  /**
   * All relays are one origin to the client: a cookie stays with the relay that set it. RFC 6265 section 5.2: the last
   * Path counts, and a Domain would name a host that the client has not asked.
   */
  #ownCookie(cookie: string): string {
    const [pair = "", ...attributes] = cookie.split(";");
    const kept = attributes.filter((attribute) => !/^\s*(?:path|domain)\s*(?:=|$)/i.test(attribute));
    return [pair, ...kept, ` Path=${this.#settings.prefix}`].join(";");
  }

  /** An address of the upstream below the relay's path; undefined for one of another origin, or none at all. */
  mapped(address: string): string | undefined {
    const { target, prefix, path, seal } = this.#settings;
    const from = this.#origin + path;
    if (!URL.canParse(address, from)) return undefined;
    const url = new URL(address, from);
    if (url.origin !== this.#origin) return undefined;
    const { base } = target;
    const below = url.pathname === base || url.pathname.startsWith(`${base}/`);
    const sub = url.pathname.slice(base.length);
    const mapped = below && isPlainPath(sub) ? sub : seal.seal(prefix, url.pathname);
    return prefix + mapped + url.search + url.hash;
  }

  /** The same failure in the words of the relay's contract. */
  explain(error: ProxyError): ProxyError {
    const { kind, stub } = this.#settings;
    const { name } = this.#settings.target;
    if (CONNECTION_FAILED.has(error.code)) {
      const text =
        kind === "mcp"
          ? `MOAT: Failed to connect to MCP server '${name}'`
          : `MOAT: Relay '${name}' connection failed`;
      return new ProxyError("relay-failed", text, error.cause);
    }
    if (error.code === "credential-failed" && stub !== undefined) return missingCredential(stub, error.cause);
    return error;
  }
}

/** @param cause for the log */
export function missingCredential(stub: McpStub, cause?: unknown): ProxyError {
  const { server, grant } = stub;
  return new ProxyError(
    "relay-credential",
    `MOAT: Failed to load credential for '${server}'. Grant: ${grant}. Run: ${grantHint(grant)}`,
    cause,
  );
}

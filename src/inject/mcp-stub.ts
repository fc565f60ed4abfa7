// The stub that a client of an MCP server sends where the credential belongs, and its replacement. Any other value is
// the client's own and left alone. wire.md section 9; the reference's SetMCPServers.

import type { HeaderList } from "../http1/headers.ts";
import type { Credential } from "./credentials.ts";

const PREFIX = "moat-stub-";

/** What one MCP server's requests may carry, and what becomes of it. */
export class McpStub {
  /** Name of the server, for messages. */
  readonly server: string;
  readonly grant: string;
  /** Undefined when nothing can provide it: then the stub stays. */
  readonly credential: Credential | undefined;
  /** Lower-case name of the field. */
  readonly key: string;
  readonly value: string;

  constructor(server: string, grant: string, header: string, credential: Credential | undefined) {
    this.server = server;
    this.grant = grant;
    this.credential = credential;
    this.key = header.toLowerCase();
    this.value = PREFIX + grant;
  }

  /** The client sent this stub, once and alone. */
  isIn(headers: HeaderList): boolean {
    return headers.get(this.key) === this.value && headers.count(this.key) === 1;
  }
}

/** The stubs that a request carries; nearly always none. */
export function stubsIn(stubs: readonly McpStub[], headers: HeaderList): readonly McpStub[] {
  for (const stub of stubs) {
    if (stub.isIn(headers)) return stubs.filter((candidate) => candidate.isIn(headers));
  }
  return NONE;
}

/** How an operator provides a grant that is missing. wire.md section 9. */
export function grantHint(grant: string): string {
  return `moat grant mcp ${grant.replace(/^mcp-/, "")}`;
}

const NONE: readonly McpStub[] = Object.freeze([]);

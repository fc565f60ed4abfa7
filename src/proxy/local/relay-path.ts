// The path of a request over a relay, taken apart: token where one is due, name, and what lies below. Pure; what cannot
// be told apart in only one way is refused. wire.md sections 9 and 10.

import { isPlainPath } from "../../run/relay-target.ts";
import { ProxyError } from "../../values/errors.ts";
import type { RelayKind } from "./relay-view.ts";

export interface RelayPath {
  /** Undefined where the path holds none. */
  readonly token: string | undefined;
  readonly name: string;
  /** Up to and with the name, as the client wrote it. */
  readonly prefix: string;
  /** Empty, or beginning with a slash. */
  readonly sub: string;
  /** With its question mark; empty when there is none. */
  readonly query: string;
}

/** Undefined for a target, in whatever form, that is no path of a relay. */
export function relayKind(target: string): RelayKind | undefined {
  if (target.startsWith("/mcp/")) return "mcp";
  return target.startsWith("/relay/") ? "relay" : undefined;
}

/**
 * @param target origin-form, beginning with `/relay/` or `/mcp/`
 * @param withToken the first segment is a token
 * @throws ProxyError invalid-path
 */
export function parseRelayPath(kind: RelayKind, target: string, withToken: boolean): RelayPath {
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? "" : target.slice(mark);
  const start = kind.length + 2;
  const tokenEnd = withToken ? segmentEnd(path, start) : start - 1;
  const nameEnd = segmentEnd(path, tokenEnd + 1);
  const name = decoded(path.slice(tokenEnd + 1, nameEnd));
  if (name === undefined || name === "") throw noName(kind);
  const token = withToken ? (decoded(path.slice(start, tokenEnd)) ?? "") : undefined;
  return { token, name, prefix: path.slice(0, nameEnd), sub: path.slice(nameEnd), query };
}

/** @throws ProxyError invalid-path for a path that some server would read as another one */
export function refuseDetours(sub: string): void {
  if (!isPlainPath(sub)) {
    throw new ProxyError(
      "invalid-path",
      "the path has dot segments, or encoded dots, slashes or backslashes; it could leave the relay",
    );
  }
}

function segmentEnd(path: string, start: number): number {
  const slash = path.indexOf("/", start);
  return slash < 0 ? path.length : slash;
}

/** Undefined for a malformed encoding. */
function decoded(segment: string): string | undefined {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    // URIError: a percent sign that is none of an encoding.
    return undefined;
  }
}

function noName(kind: RelayKind): ProxyError {
  return new ProxyError("invalid-path", kind === "mcp" ? "invalid MCP relay URL" : "invalid relay URL");
}

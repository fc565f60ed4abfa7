// What a log line may not show: control characters, unbounded text, and a token in the path of a local endpoint.
// Pure functions on strings. wire.md section 12.

import type { ProxyType } from "../proxy/record.ts";

/**
 * Unicode Cc (C0, DEL, C1), the two line separators, and the marks that reverse the direction of text: each can
 * forge a second line, or hide a part of this one in a terminal.
 */
const UNSAFE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
const ALL_UNSAFE = new RegExp(UNSAFE, "gu");

/** The text without control characters. */
export function clean(text: string): string {
  return UNSAFE.test(text) ? text.replace(ALL_UNSAFE, "") : text;
}

/** The text cut to `max` characters, the last of them an ellipsis when something was cut. */
export function bound(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max - 1)}…` : text;
}

/** Endpoints whose first path segment may be the token of a run (wire.md sections 9 and 10). */
const TOKEN_ENDPOINT = /^\/(?:mcp|relay)\//;
/** The shape of every token this program makes: 32 bytes in hex (wire.md section 13). */
const OWN_TOKEN = /^[0-9a-f]{64}$/i;

/**
 * `/relay/<token>/name/x` becomes `/relay/[token]/name/x`. Relays and MCP servers know which segment is a token and
 * have hidden it. Elsewhere such a path is a request that got lost on its way to one of them, and the first segment counts as
 * a token, since a mistyped name is a smaller loss than a token in a log. Inside a tunnel the path is somebody else's,
 * and only what has the shape of our own tokens is hidden.
 */
export function redactPath(path: string, proxyType: ProxyType): string {
  if (!TOKEN_ENDPOINT.test(path) || proxyType === "relay" || proxyType === "mcp") return path;
  const start = path.indexOf("/", 1) + 1;
  const slash = path.indexOf("/", start);
  const end = slash < 0 ? path.length : slash;
  const segment = path.slice(start, end);
  if (segment === "") return path;
  const hide = proxyType !== "connect" || OWN_TOKEN.test(segment);
  return hide ? `${path.slice(0, start)}[token]${path.slice(end)}` : path;
}

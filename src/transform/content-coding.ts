// The content codings that can be undone here, read from Content-Encoding, and Accept-Encoding narrowed to them so that
// an upstream does not choose another. RFC 9110 sections 8.4 and 12.5.3; RFC 8878 and RFC 9659 (zstd).

import type { HeaderList } from "../http1/headers.ts";

export type Coding = "gzip" | "deflate" | "br" | "zstd";

const CODINGS: ReadonlyMap<string, Coding> = new Map([
  ["gzip", "gzip"],
  // RFC 9110 section 8.4.1.3: equivalent to gzip.
  ["x-gzip", "gzip"],
  ["deflate", "deflate"],
  ["br", "br"],
  ["zstd", "zstd"],
]);

/** Nobody stacks more in good faith, and each one costs a window of memory. */
const MAX_STACKED = 3;

/** A member of Accept-Encoding: the coding, and its weight if it has one (RFC 9110 section 12.4.2). */
const MEMBER = /^([!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?$/i;

/** In the order in which they were applied; empty for identity; undefined when one of them cannot be undone here. */
export function codingsOf(headers: HeaderList): readonly Coding[] | undefined {
  const value = headers.joined("content-encoding");
  if (value === undefined) return [];
  const codings: Coding[] = [];
  for (const member of value.split(",")) {
    const name = member.trim().toLowerCase();
    if (name === "" || name === "identity") continue;
    const coding = CODINGS.get(name);
    if (coding === undefined || codings.length === MAX_STACKED) return undefined;
    codings.push(coding);
  }
  return codings;
}

/**
 * Drops from Accept-Encoding what cannot be undone here, `*` too; the rest keeps its order and weights. Where that leaves
 * nothing an upstream could send, identity. An absent field stays absent.
 */
export function narrowAcceptEncoding(headers: HeaderList): void {
  const value = headers.joined("accept-encoding");
  if (value === undefined) return;
  const kept: string[] = [];
  let usable = false;
  let identity = true;
  for (const member of value.split(",")) {
    const text = member.trim();
    const [, name = "", weight = "1"] = MEMBER.exec(text) ?? [];
    const key = name.toLowerCase();
    if (key !== "identity" && !CODINGS.has(key)) continue;
    kept.push(text);
    if (Number(weight) > 0) usable = true;
    else if (key === "identity") identity = false;
  }
  headers.set("Accept-Encoding", kept.length > 0 && (usable || identity) ? kept.join(", ") : "identity");
}

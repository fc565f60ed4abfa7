// A head as the request that it is: its record opened first, so that what is wrong with it is recorded, then its
// framing and connection options, each read once. RFC 9112 sections 6 and 9.

import { connectionOptions } from "../http1/forwarding.ts";
import { requestFraming } from "../http1/framing.ts";
import type { RequestHead } from "../http1/head.ts";
import type { Current } from "./decision.ts";
import { relayKind } from "./local/relay-path.ts";
import type { UpstreamTarget } from "./ports.ts";
import { hostOf } from "./record.ts";
import type { Recorder } from "./recorder.ts";
import type { Peer } from "./session-deps.ts";

/** @throws ProxyError malformed-request, unsupported-coding */
export function readRequest(
  head: RequestHead,
  peer: Peer,
  pinned: UpstreamTarget | undefined,
  recorder: Recorder,
): Current {
  const type = pinned === undefined && head.method !== "CONNECT" ? "http" : "connect";
  const record = recorder.begin(head, peer, type, pinned?.display ?? hostOf(head.target));
  const kind = pinned === undefined ? relayKind(head.target) : undefined;
  if (kind !== undefined) {
    record.proxyType = kind;
    // Until it is known what of it is a token, and whose; a refusal may come before that.
    record.path = `/${kind}/[token]`;
  }
  if (record.message !== undefined && pinned !== undefined) record.message.scheme = pinned.scheme;
  const framing = requestFraming(head);
  const options = connectionOptions(head.headers, "malformed-request");
  return { head, framing, options, record };
}

// What becomes of a request, as plain data: the session acts on it, dispatch makes it. Types only, and the request as
// read.

import type { ConnectionOptions } from "../http1/forwarding.ts";
import type { Framing } from "../http1/framing.ts";
import type { RequestHead } from "../http1/head.ts";
import type { RunContext } from "../run/run-context.ts";
import type { Authority } from "../values/authority.ts";
import type { ExchangeRequest } from "./exchange/request-side.ts";
import type { RequestRecord } from "./record.ts";
import type { Reply } from "./replies.ts";

/** A request whose head has been read. */
export interface Current {
  readonly head: RequestHead;
  readonly framing: Framing;
  readonly options: ConnectionOptions;
  readonly record: RequestRecord;
}

export type Decision =
  | { readonly kind: "reply"; readonly reply: Reply }
  | { readonly kind: "connect"; readonly authority: Authority; readonly run: RunContext }
  | { readonly kind: "exchange"; readonly request: ExchangeRequest };

/** Who acts on a decision that had to wait. */
export interface DecisionSink {
  /** @param outcome gives the decision, or throws why there is none */
  onDecided(outcome: () => Decision): void;
}

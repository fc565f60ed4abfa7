// What an exchange asks of the session that runs it, and tells it. Types only: who
// sees both sides is the session.

import type { ProxyError } from "../../values/errors.ts";
import type { Wire } from "../ports.ts";

/** What the session does for its exchange. */
export interface ExchangeOwner {
  /** May the client's connection carry another request after this answer? */
  clientPersists(): boolean;
  /** Can the rest of the body still come? Not when the client waits for a 100 that it will not get. */
  bodyMayCome(): boolean;
  /** The upstream is connected, or has room again: body bytes may flow. */
  onRequestRoom(): void;
  /** The answer is complete. `bodyDone` false: the client is still sending a body that nobody wants. */
  onAnswered(bodyDone: boolean): void;
  /** No byte of a final answer has been sent: reply with this error. */
  onFailed(error: ProxyError): void;
  /** Part of an answer has been sent and the rest will not come. */
  onAnswerBroken(error: ProxyError): void;
  /** 101: the two wires now belong to a tunnel. `early` came behind the head. */
  onSwitched(upstream: Wire, early: Uint8Array): void;
}

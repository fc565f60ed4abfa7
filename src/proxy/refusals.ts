// Refusals that more than one place has to word: the text is part of the contract and is written once.
// wire.md sections 4, 6, 7 and 8.

import type { DenyStatus } from "../run/run-context.ts";
import { ProxyError } from "../values/errors.ts";

/** Inside a tunnel the host was allowed once; 407 there would make a client log in to its upstream's face. */
export function policyRefusal(inTunnel: boolean, host: string, denyStatus: DenyStatus = 407): ProxyError {
  if (inTunnel) {
    return new ProxyError(
      "request-rule",
      "Moat: request blocked: the network policy no longer allows this host.",
    );
  }
  const code = denyStatus === 403 ? "network-policy-forbidden" : "network-policy";
  return new ProxyError(code, `host "${host}" is not in the allow list`);
}

/** @param reason which rule, or why no rule could decide; it goes to the log, the client hears that there is one */
export function ruleRefusal(reason: string): ProxyError {
  return new ProxyError("request-rule", "Moat: request blocked by a method or path rule.", new Error(reason));
}

/** A missing run is a wrong token outside a tunnel; inside one the token was right once. */
export function runRefusal(inTunnel: boolean): ProxyError {
  return inTunnel
    ? new ProxyError("run-revoked", "Moat: the run of this tunnel has ended.")
    : new ProxyError("invalid-token", "Invalid proxy token");
}

export function destinationRefusal(): ProxyError {
  return new ProxyError("destination", "Moat: this destination is not allowed through the proxy.");
}

export function cleartextRefusal(): ProxyError {
  return new ProxyError(
    "cleartext-credential",
    "Moat: a credential is not sent over plain http:// to a public address.",
  );
}

export function headTimeout(): ProxyError {
  return new ProxyError("request-timeout", "the request head did not arrive in time");
}

export function bodyTimeout(): ProxyError {
  return new ProxyError("request-timeout", "the request body did not arrive in time");
}

export function runTimeout(): ProxyError {
  return new ProxyError("run-unresolved", "the run of this token could not be looked up in time");
}

/** @param reason for the log; made without the secret */
export function asCredentialFailure(reason: unknown): ProxyError {
  if (reason instanceof ProxyError) return reason;
  return new ProxyError("credential-failed", "credential resolution failed", reason);
}

export function upstreamClosed(): ProxyError {
  return new ProxyError("upstream-closed", "the upstream closed the connection without a complete answer");
}

/** Whatever was thrown that is no ProxyError is a bug of ours. */
export function asProxyError(thrown: unknown): ProxyError {
  return thrown instanceof ProxyError ? thrown : new ProxyError("internal-error", "internal error", thrown);
}

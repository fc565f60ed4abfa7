// The secrets of a request that are not at hand, fetched together. Nearly always there is none to fetch, and then
// nothing is allocated and nothing waits; the waiting is suspend.ts's. wire.md section 6, and section 9 for stubs.

import type { SecretSlot } from "../inject/credentials.ts";
import { grantHint } from "../inject/mcp-stub.ts";
import { type ExchangeRequest, isAtHand } from "./exchange/request-side.ts";

/**
 * Rejects with ProxyError `credential-failed` when one cannot be had. A stub's is only wished for: where it is missing
 * the stub goes on as the client sent it, and the record says what to do.
 * @returns undefined when everything is at hand
 */
export function fetchSecrets(request: ExchangeRequest): Promise<unknown> | undefined {
  const { credentials, injection, stubs } = request;
  if (stubs.length === 0 && credentials.every(isAtHand) && injection.substitutions.every(isAtHand)) {
    return undefined;
  }
  const fetches: Promise<unknown>[] = [];
  for (const holder of [...credentials, ...injection.substitutions]) {
    if (!isAtHand(holder)) fetches.push(holder.slot.refresh());
  }
  for (const { credential, grant, server } of stubs) {
    const missing = (): void => {
      request.record.error = `MCP server '${server}': no credential for grant ${grant}. Run: ${grantHint(grant)}`;
    };
    if (credential === undefined) missing();
    else if (!isAtHand(credential)) fetches.push(wished(credential.slot, missing));
  }
  return fetches.length === 0 ? undefined : Promise.all(fetches);
}

function wished(slot: SecretSlot, onMissing: () => void): Promise<unknown> {
  return slot.refresh().catch(onMissing);
}

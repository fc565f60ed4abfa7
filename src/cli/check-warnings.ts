// What is valid in a configuration and yet has no effect: found by asking the compiled tables, as a request would.
// Warnings only; none of them keeps the proxy from starting. wire.md sections 6 and 7.

import type { CredentialConfig } from "../config/config.ts";
import { parseHostPattern } from "../policy/host-pattern.ts";
import { admitsHost } from "../policy/verdict.ts";
import { type Authority, canonicalHost } from "../values/authority.ts";
import { type CheckPlan, passthroughFor } from "./check-plan.ts";
import { originText } from "./origin.ts";

const HTTPS_PORT = 443;
/** A label that no pattern names, to ask for "some name below this domain". */
const ANY_LABEL = "moat-proxy-check-any-name";

/** One line each, with the line of the file. */
export function configWarnings(plan: CheckPlan): string[] {
  return plan.config.credentials.flatMap((item) => {
    const problem = credentialProblem(plan, item);
    if (problem === undefined) return [];
    const origin = originText(item);
    return [`${origin === undefined ? "" : `${origin}: `}the ${item.header} for ${item.host} ${problem}`];
  });
}

function credentialProblem(plan: CheckPlan, item: CredentialConfig): string | undefined {
  const authority = sampleOf(item.host);
  const winners = plan.run.injection.credentials.lookup(authority).map(({ slot }) => plan.bySlot.get(slot));
  if (!winners.includes(item)) {
    const rival = winners.find((winner) => winner?.header.toLowerCase() === item.header.toLowerCase());
    const by = rival === undefined ? undefined : originText(rival);
    return `is never used: a later credential${by === undefined ? "" : ` (${by})`} for the same host, header and grant replaces it`;
  }
  if (!admitsHost(plan.run, authority))
    return "is never used: the policy is strict, and nothing allows its host";
  const opaque = passthroughFor(plan, authority);
  if (opaque !== undefined) {
    return `is not used in https: tls.passthrough lists ${opaque.text} (${originText(opaque)})`;
  }
  return undefined;
}

/** A request that the pattern covers. */
function sampleOf(text: string): Authority {
  const { wildcard, host, port = HTTPS_PORT } = parseHostPattern(text);
  const name = wildcard ? `${ANY_LABEL}.${host}` : host;
  return { host: name, port, kind: canonicalHost(name).kind };
}

// What of a request's secrets must not be seen again in its answer, nor in what a logger is shown: each with what
// stands in its place. One of the few places that reveal a secret, for Needles only. wire.md sections 6 and 12.

import type { Credential } from "../../inject/credentials.ts";
import type { Substitution } from "../../inject/token-substitution.ts";
import type { Hidden } from "../../transform/needles.ts";

/** A credential shorter than this may stand in an answer by accident. */
const LEAST_HIDDEN = 8;
const REDACTED = "[REDACTED]";

/** The client knows the placeholder. */
export function hiddenToken(substitution: Substitution): Hidden {
  return { secret: substitution.real(), placeholder: substitution.placeholder };
}

/** In each spelling in which it was sent; none when it is too short to be told from other text. */
export function hiddenCredential(credential: Credential): readonly Hidden[] {
  const secret = (credential.slot.current() ?? credential.slot.held?.())?.reveal() ?? "";
  if (secret.length < LEAST_HIDDEN) return [];
  const shown = [{ secret, placeholder: REDACTED }];
  // Basic shows it in another spelling; the scheme in front is no secret.
  if (credential.format === "basic")
    shown.push({ secret: credential.value().slice(6), placeholder: REDACTED });
  return shown;
}

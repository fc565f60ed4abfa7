// What of a request's secrets must not be seen again in its answer, nor in what a logger is shown: each with what
// stands in its place. One of the few places that reveal a secret, for Needles only. wire.md sections 6 and 12.

import type { Credential } from "../../inject/credentials.ts";
import { pathText, type Substitution } from "../../inject/token-substitution.ts";
import type { Hidden } from "../../transform/needles.ts";

/** A credential shorter than this may stand in an answer by accident. */
const LEAST_HIDDEN = 8;
const REDACTED = "[REDACTED]";
/** RFC 9110 section 11.4: a scheme, which is no secret, and what it is the scheme of. */
const WITH_SCHEME = /^[A-Za-z0-9._-]+ +(\S.*)$/;

/** As it is, and as it was sent in a path, which redirects and error pages repeat. The client knows the placeholder. */
export function hiddenToken(substitution: Substitution): readonly Hidden[] {
  const { placeholder } = substitution;
  const secret = substitution.real();
  return [
    { secret, placeholder },
    { secret: pathText(secret), placeholder },
  ];
}

/** In each spelling in which it was sent; none when it is too short to be told from other text. */
export function hiddenCredential(credential: Credential): readonly Hidden[] {
  const secret = (credential.slot.current() ?? credential.slot.held?.())?.reveal() ?? "";
  const shown = [secret, WITH_SCHEME.exec(secret)?.[1] ?? ""];
  // Basic shows it in another spelling.
  if (secret.length >= LEAST_HIDDEN && credential.format === "basic") shown.push(credential.value().slice(6));
  return shown
    .filter((text) => text.length >= LEAST_HIDDEN)
    .map((text) => ({ secret: text, placeholder: REDACTED }));
}

// How a secret becomes a field value: the scheme that Authorization needs, and the refusal of anything that would
// not arrive as it is. One of the few places that reveal a secret. wire.md section 6 (value shaping);
// RFC 9110 sections 5.5 (field values) and 11.4 (credentials), RFC 7617 section 2 (Basic).

import type { Secret } from "../values/secret.ts";

/** What of a credential decides the shape of its value. */
export interface ValueShape {
  /** Field name in lower case; only `authorization` is shaped, any other field takes the secret as it is. */
  readonly key: string;
  /** Scheme put before the secret, without the space; for `basic` the user name. Undefined: by the secret. */
  readonly prefix: string | undefined;
  readonly format: ValueFormat;
}

/**
 * `basic`: Basic and base64 of prefix:secret. `raw`: the secret as it is, in any field. `bearer`: with `Bearer`, in any
 * field, unless it has a scheme already. Empty: by the field and the secret.
 */
export type ValueFormat = "" | "basic" | "raw" | "bearer";

/**
 * Schemes that count as "already there" when one of them, in any case, and one space stand before the rest:
 * the IANA registry of HTTP authentication schemes, and those that large APIs use unregistered. A closed list,
 * so that a secret which happens to hold a space is not mistaken for a scheme and its parameters.
 */
const SCHEMES: ReadonlySet<string> = new Set([
  ...[
    "basic",
    "bearer",
    "concealed",
    "digest",
    "dpop",
    "gnap",
    "hoba",
    "mutual",
    "negotiate",
    "ntlm",
    "oauth",
  ],
  ...["privatetoken", "scram-sha-1", "scram-sha-256", "vapid"],
  // GitHub, Discord, Okta, Opsgenie, Splunk, Azure, AWS, PagerDuty (Token token=…), and common house names.
  ...[
    "token",
    "bot",
    "ssws",
    "geniekey",
    "splunk",
    "sharedkey",
    "aws4-hmac-sha256",
    "apikey",
    "api-key",
    "jwt",
  ],
]);

/**
 * The whole field value for this secret. In this order: `format: basic`, a scheme that is already there, an
 * explicit prefix, `token` for GitHub's ghp_ and ghs_, `Bearer`.
 * @throws Error, without the secret, when the value could not be sent or would not arrive as it is
 */
export function shapeValue(shape: ValueShape, secret: Secret): string {
  const value = secret.reveal();
  refuseUnsendable(value);
  if (shape.format === "bearer") return hasScheme(value, undefined) ? value : `Bearer ${value}`;
  if (shape.format === "raw" || shape.key !== "authorization") return value;
  if (shape.format === "basic") {
    return `Basic ${Buffer.from(`${shape.prefix ?? ""}:${value}`, "utf8").toString("base64")}`;
  }
  if (hasScheme(value, shape.prefix)) return value;
  if (shape.prefix !== undefined) return `${shape.prefix} ${value}`;
  return value.startsWith("ghp_") || value.startsWith("ghs_") ? `token ${value}` : `Bearer ${value}`;
}

function hasScheme(value: string, prefix: string | undefined): boolean {
  const space = value.indexOf(" ");
  if (space < 1) return false;
  const scheme = value.slice(0, space).toLowerCase();
  return SCHEMES.has(scheme) || scheme === prefix?.toLowerCase();
}

/**
 * RFC 9110 section 5.5: a field value is visible characters, spaces and obs-text, and a recipient strips white
 * space around it. CR, LF and NUL would end the field; nothing is ever stripped or escaped to make a value fit.
 * @throws Error without the value
 */
export function refuseUnsendable(value: string): void {
  if (value === "") throw new Error("credential value is empty");
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) {
      const where = i === value.length - 1 ? "ends with" : "contains";
      throw new Error(
        `credential value ${where} a control character (0x${code.toString(16).padStart(2, "0")})`,
      );
    }
    if (code > 0xff) throw new Error("credential value contains a character outside latin1");
  }
  if (value.startsWith(" ") || value.endsWith(" ")) {
    throw new Error("credential value begins or ends with a space");
  }
}

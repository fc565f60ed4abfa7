// Temporary credentials of a role: what STS gave, checked, as a value that shows no secret when it is printed by
// mistake. Asks nobody for anything and keeps no time. wire.md section 11.

import type { AssumeRoleOutput } from "./assume-role.ts";
import { AssumeRoleError } from "./failure.ts";

/** Field names as in the reference. */
export interface AWSCredentials {
  readonly accessKeyID: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  /** By the clock of AWS. */
  readonly expiration: Date;
}

const INSPECT = Symbol.for("nodejs.util.inspect.custom");
const MASK = "[secret]";
/** They become JSON strings and, in clients, header fields: visible ASCII, and far below a request head. */
const PRINTABLE = /^[\x21-\x7e]{1,16384}$/;

/** @throws AssumeRoleError `IncompleteCredentials` */
export function credentialsOf({ Credentials }: AssumeRoleOutput): AWSCredentials {
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = Credentials ?? {};
  const complete = [AccessKeyId, SecretAccessKey, SessionToken].every(isPrintable);
  if (!complete || !(Expiration instanceof Date) || Number.isNaN(Expiration.getTime())) {
    throw new AssumeRoleError({ code: "IncompleteCredentials" });
  }
  return maskedWhenPrinted({
    accessKeyID: AccessKeyId ?? "",
    secretAccessKey: SecretAccessKey ?? "",
    sessionToken: SessionToken ?? "",
    expiration: Expiration,
  });
}

function isPrintable(text: unknown): boolean {
  return typeof text === "string" && PRINTABLE.test(text);
}

/** The fields are plain strings, as library users expect; only console.log and the like see less. */
function maskedWhenPrinted(credentials: AWSCredentials): AWSCredentials {
  const { accessKeyID, expiration } = credentials;
  const inspect = (): unknown => ({ accessKeyID, secretAccessKey: MASK, sessionToken: MASK, expiration });
  return Object.freeze(Object.defineProperty(credentials, INSPECT, { value: inspect }));
}

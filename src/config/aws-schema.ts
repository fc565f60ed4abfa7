// The shape of `aws` in the config file, its flags, and the two as one: the role whose temporary credentials clients get.
// What a role may be is decided by aws/role.ts. wire.md sections 1, 2 and 11.

import { z } from "zod";
import type { AWSCredentialProviderOptions } from "../aws/credential-provider.ts";
import {
  parseExternalID,
  parseRegion,
  parseRoleARN,
  parseSessionDuration,
  parseSessionName,
  resolveRole,
} from "../aws/role.ts";
import { key, setting } from "./field.ts";
import { BadSetting, checked, parseDuration } from "./setting.ts";

/** What the flags say of it; each is checked, and absent ones are left out. */
export type AwsFlags = Partial<AWSCredentialProviderOptions>;

export function parseAwsRoleArn(text: string): string {
  return checked(
    text,
    parseRoleARN,
    "is no ARN of a role, expected one such as arn:aws:iam::123456789012:role/name",
  );
}

export function parseAwsRegion(text: string): string {
  return checked(text, parseRegion, "is no region, expected one such as eu-central-1");
}

/** Milliseconds. */
export function parseAwsSessionDuration(text: string): number {
  const ms = parseDuration(text, 1);
  checked(text, () => parseSessionDuration(ms), "is out of range, expected 15m to 12h");
  return ms;
}

export function parseAwsExternalId(text: string): string {
  return checked(text, parseExternalID, "is no external id");
}

export function parseAwsProfile(text: string): string {
  // It is looked up in an INI file, where it stands between brackets.
  if (/^[^\p{Cc}[\]]{1,256}$/u.test(text)) return text;
  throw new BadSetting("is no profile, expected the name of one in ~/.aws/config");
}

function parseAwsSessionName(text: string): string {
  return checked(text, parseSessionName, "is no session name");
}

export const awsSchema = z.strictObject({
  role_arn: key(setting("role ARN", parseAwsRoleArn), "ARN of the role that is assumed; may come as a flag"),
  region: key(
    setting("region", parseAwsRegion),
    "Region of STS; for a role of another partition by default one of that partition",
    "us-east-1",
  ),
  session_duration: key(
    setting("duration", parseAwsSessionDuration),
    "How long credentials are good for, 15m to 12h; the role may allow less",
    "15m",
  ),
  external_id: key(setting("external id", parseAwsExternalId), "External id that the role asks for"),
  session_name: key(
    setting("session name", parseAwsSessionName),
    "Name of the session in CloudTrail",
    "moat-proxy",
  ),
  profile: key(
    setting("profile", parseAwsProfile),
    "Profile of the host's AWS config that assumes the role; by default the SDK's own order",
  ),
});

type FileAws = z.output<typeof awsSchema>;

/**
 * The settings of file and flags together; a flag wins. Undefined: nothing is configured.
 * @param where how a line about the section or a key of it begins: `moat.yaml:7: aws.region`
 * @param mistakes gets a line for what is missing or does not fit together
 */
export function awsOf(
  file: FileAws | undefined,
  flags: AwsFlags | undefined,
  where: (key?: keyof FileAws) => string,
  mistakes: string[],
): AWSCredentialProviderOptions | undefined {
  if (file === undefined && flags === undefined) return undefined;
  const roleARN = flags?.roleARN ?? file?.role_arn;
  if (roleARN === undefined) {
    mistakes.push(
      file !== undefined
        ? `${where()}.role_arn: required, here or as --aws-role-arn`
        : "--aws-role-arn: required with the other --aws flags, or aws.role_arn in the config file",
    );
    return undefined;
  }
  const settings: AWSCredentialProviderOptions = {
    roleARN,
    region: flags?.region ?? file?.region,
    sessionDuration: flags?.sessionDuration ?? file?.session_duration,
    externalID: flags?.externalID ?? file?.external_id,
    sessionName: file?.session_name,
    profile: flags?.profile ?? file?.profile,
  };
  try {
    resolveRole(settings);
  } catch (error) {
    // Each setting is valid alone: it is the region that does not go with the role.
    const place = flags?.region === undefined ? where("region") : "--aws-region";
    mistakes.push(`${place}: ${error instanceof Error ? error.message : "does not go with the role"}`);
  }
  return settings;
}

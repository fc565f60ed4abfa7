// The role that credentials are for, and what may be asked of AssumeRole: parsers of its settings, each with an error that
// says what to write instead. Pure; asks AWS nothing. IAM User Guide "IAM identifiers", STS API Reference "AssumeRole".

/** Settings of one role as an operator or a library user gives them. */
export interface RoleSettings {
  readonly roleARN: string;
  /** Default: us-east-1, or in another partition the region that is its like. */
  readonly region?: string | undefined;
  /** Milliseconds, 15 minutes to 12 hours; default 15 minutes. */
  readonly sessionDuration?: number | undefined;
  readonly externalID?: string | undefined;
  /** Names the session in CloudTrail; default moat-proxy. */
  readonly sessionName?: string | undefined;
}

/** The same, complete and checked. */
export interface Role {
  readonly roleARN: string;
  readonly region: string;
  readonly durationSeconds: number;
  readonly externalID: string | undefined;
  readonly sessionName: string;
}

interface Partition {
  readonly name: string;
  /** How its regions begin; the empty one matches what no other does. */
  readonly prefix: string;
  /** Where its global services live, and STS answers always. */
  readonly region: string;
}

const AWS: Partition = { name: "aws", prefix: "", region: "us-east-1" };
const PARTITIONS: readonly Partition[] = [
  { name: "aws-cn", prefix: "cn-", region: "cn-northwest-1" },
  { name: "aws-us-gov", prefix: "us-gov-", region: "us-gov-west-1" },
  { name: "aws-iso", prefix: "us-iso-", region: "us-iso-east-1" },
  { name: "aws-iso-b", prefix: "us-isob-", region: "us-isob-east-1" },
  { name: "aws-iso-e", prefix: "eu-isoe-", region: "eu-isoe-west-1" },
  { name: "aws-iso-f", prefix: "us-isof-", region: "us-isof-south-1" },
  { name: "aws-eusc", prefix: "eusc-", region: "eusc-de-east-1" },
  AWS,
];

export const DEFAULT_SESSION_MS = 15 * 60_000;
const DEFAULT_SESSION_NAME = "moat-proxy";
/** AssumeRole: DurationSeconds is 900 to 43200, and the role may allow less. */
const MIN_SESSION_MS = 15 * 60_000;
const MAX_SESSION_MS = 12 * 3_600_000;
/** AssumeRole: RoleArn has at most 2048 characters. */
const MAX_ARN = 2_048;
const MAX_SHOWN = 80;

const ARN_FORM = "expected one such as arn:aws:iam::123456789012:role/name";
/** arn:partition:service:region:account:resource; the resource may hold colons. */
const ARN = /^arn:([^:]*):([^:]*):([^:]*):([^:]*):(.*)$/s;
const ACCOUNT = /^[0-9]{12}$/;
/** A path of printable characters between slashes, at most 512, then the name. */
const ROLE = /^role\/(?:[\x21-\x7e]{1,510}\/)?[\w+=,.@-]{1,64}$/;
const REGION = /^[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}$/;
const SESSION_NAME = /^[\w+=,.@-]{2,64}$/;
const EXTERNAL_ID = /^[\w+=,.@:/-]{2,1224}$/;

/** @throws Error of one line: what is wrong, and what to write instead */
export function resolveRole(settings: RoleSettings): Role {
  const { sessionDuration = DEFAULT_SESSION_MS, sessionName = DEFAULT_SESSION_NAME, externalID } = settings;
  const roleARN = parseRoleARN(settings.roleARN);
  const region = settings.region === undefined ? homeRegion(roleARN) : parseRegion(settings.region);
  checkPartition(roleARN, region);
  return {
    ...{ roleARN, region },
    durationSeconds: parseSessionDuration(sessionDuration) / 1_000,
    externalID: externalID === undefined ? undefined : parseExternalID(externalID),
    sessionName: parseSessionName(sessionName),
  };
}

/** The ARN as written. @throws Error */
export function parseRoleARN(text: string): string {
  const [, partition = "", service = "", region = "", account = "", resource = ""] = ARN.exec(text) ?? [];
  if (partition === "" || text.length > MAX_ARN) throw new Error(`${shown(text)} is no ARN, ${ARN_FORM}`);
  if (!PARTITIONS.some(({ name }) => name === partition)) {
    const known = PARTITIONS.map(({ name }) => name).join(", ");
    throw new Error(`${shown(text)} names the partition ${shown(partition)}, expected one of ${known}`);
  }
  if (service === "sts" && resource.startsWith("assumed-role/")) {
    throw new Error(`${shown(text)} is a session of a role, expected the role itself: ${ARN_FORM}`);
  }
  if (service !== "iam" || region !== "" || !resource.startsWith("role/")) {
    throw new Error(`${shown(text)} is the ARN of something else than a role, ${ARN_FORM}`);
  }
  if (!ACCOUNT.test(account)) throw new Error(`${shown(text)} has no account of 12 digits, ${ARN_FORM}`);
  if (!ROLE.test(resource)) throw new Error(`${shown(text)} has no valid role name, ${ARN_FORM}`);
  return text;
}

/** The region as written. @throws Error */
export function parseRegion(text: string): string {
  if (!REGION.test(text)) throw new Error(`${shown(text)} is no region, expected one such as eu-central-1`);
  return text;
}

/** A region and a role have to be of one partition: keys of one are unknown in the other. @throws Error */
export function checkPartition(roleARN: string, region: string): void {
  const ofRole = partitionOf(roleARN);
  const ofRegion = partitionOfRegion(region);
  if (ofRole === ofRegion) return;
  throw new Error(
    `the region ${region} is of the partition ${ofRegion.name} and the role of ${ofRole.name}, expected a region such as ${ofRole.region}`,
  );
}

/** Milliseconds as given. @throws Error */
export function parseSessionDuration(ms: number): number {
  if (ms >= MIN_SESSION_MS && ms <= MAX_SESSION_MS && ms % 1_000 === 0) return ms;
  throw new Error("a session lasts 15m to 12h, in whole seconds");
}

/** The external id as given; no message shows it. @throws Error */
export function parseExternalID(text: string): string {
  if (EXTERNAL_ID.test(text)) return text;
  throw new Error("an external id is 2 to 1224 letters, digits or +=,.@:/_- (the value is not shown)");
}

/** @throws Error */
export function parseSessionName(text: string): string {
  if (SESSION_NAME.test(text)) return text;
  throw new Error(`${shown(text)} is no session name, expected 2 to 64 letters, digits or +=,.@_-`);
}

function homeRegion(roleARN: string): string {
  return partitionOf(roleARN).region;
}

function partitionOf(roleARN: string): Partition {
  const name = roleARN.split(":", 2)[1];
  return PARTITIONS.find((partition) => partition.name === name) ?? AWS;
}

function partitionOfRegion(region: string): Partition {
  return PARTITIONS.find(({ prefix }) => region.startsWith(prefix)) ?? AWS;
}

function shown(text: string): string {
  return JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text);
}

import { describe, expect, test } from "bun:test";
import { ConfigError } from "../../src/config/config-error.ts";
import { type Flags, loadConfig } from "../../src/config/load.ts";

const ROLE = "arn:aws:iam::123456789012:role/moat";

function load(text: string | undefined, flags: Flags = {}, env: Readonly<Record<string, string>> = {}) {
  const file = text === undefined ? undefined : "moat.yaml";
  return loadConfig({ file, flags, env: { HOME: "/h", ...env }, readFile: () => text ?? "" }).aws;
}

function mistakes(text: string | undefined, flags: Flags = {}, env: Readonly<Record<string, string>> = {}) {
  try {
    load(text, flags, env);
  } catch (error) {
    if (error instanceof ConfigError) return [...error.mistakes];
    throw error;
  }
  return [];
}

test("without the key and the flags there is no role", () => {
  expect(load(undefined)).toBeUndefined();
  expect(load("log: {}")).toBeUndefined();
});

test("the file alone: every key", () => {
  const text = `
aws:
  role_arn: ${ROLE}
  region: eu-west-1
  session_duration: 1h
  external_id: their-id
  session_name: agent-7
  profile: work
`;
  expect(load(text)).toEqual({
    roleARN: ROLE,
    region: "eu-west-1",
    sessionDuration: 3_600_000,
    externalID: "their-id",
    sessionName: "agent-7",
    profile: "work",
  });
});

test("the flags alone", () => {
  expect(load(undefined, { aws: { roleARN: ROLE, profile: "work" } })).toEqual({
    roleARN: ROLE,
    region: undefined,
    sessionDuration: undefined,
    externalID: undefined,
    sessionName: undefined,
    profile: "work",
  });
});

test("a flag wins over the file, and what it does not say stays", () => {
  const aws = load(`aws: { role_arn: "${ROLE}", region: eu-west-1, external_id: their-id }`, {
    aws: { roleARN: `${ROLE}-2`, region: "us-west-2" },
  });
  expect(aws).toMatchObject({ roleARN: `${ROLE}-2`, region: "us-west-2", externalID: "their-id" });
});

test("a role in a variable, as a gatekeeper file may have it", () => {
  expect(load(`aws: { role_arn: "\${ROLE}" }`, {}, { ROLE })).toMatchObject({ roleARN: ROLE });
});

describe("mistakes", () => {
  const role = `role_arn: "${ROLE}"`;
  test.each([
    ["aws: { region: eu-west-1 }", "moat.yaml:1: aws.role_arn: required, here or as --aws-role-arn"],
    [
      `aws: { ${role}, region: cn-north-1 }`,
      "moat.yaml:1: aws.region: the region cn-north-1 is of the partition aws-cn and the role of aws, expected a region such as us-east-1",
    ],
    [
      `aws: { ${role}, session_duration: 10m }`,
      "moat.yaml:1: aws.session_duration: a session lasts 15m to 12h, in whole seconds",
    ],
    [
      `aws: { ${role}, session_duration: 900 }`,
      "moat.yaml:1: aws.session_duration: expected a string: put the value in quotes",
    ],
    [
      `aws: { ${role}, session_duration: "900" }`,
      'moat.yaml:1: aws.session_duration: "900" is no duration, expected a number with its unit, such as 500ms, 10s or 15m',
    ],
    [
      `aws: { ${role}, external_id: "my secret id" }`,
      "moat.yaml:1: aws.external_id: an external id is 2 to 1224 letters, digits or +=,.@:/_- (the value is not shown)",
    ],
    [
      `aws: { ${role}, session_name: a b }`,
      'moat.yaml:1: aws.session_name: "a b" is no session name, expected 2 to 64 letters, digits or +=,.@_-',
    ],
    [
      `aws: { ${role}, profile: "[x]" }`,
      "moat.yaml:1: aws.profile: is no profile, expected the name of one in ~/.aws/config",
    ],
    [`aws: { ${role}, regoin: x }`, 'moat.yaml:1: aws.regoin: unknown key, did you mean "region"?'],
    [
      'aws: { role_arn: "arn:aws:iam::1:role/a" }',
      'moat.yaml:1: aws.role_arn: "arn:aws:iam::1:role/a" has no account of 12 digits, expected one such as arn:aws:iam::123456789012:role/name',
    ],
  ])("%s", (text, line) => {
    expect(mistakes(text)).toEqual([line]);
  });

  test("a flag without a role", () => {
    expect(mistakes(undefined, { aws: { region: "eu-west-1" } })).toEqual([
      "--aws-role-arn: required with the other --aws flags, or aws.role_arn in the config file",
    ]);
  });

  test("a region flag that does not go with the role of the file", () => {
    expect(mistakes(`aws: { ${role} }`, { aws: { region: "cn-north-1" } })).toEqual([
      "--aws-region: the region cn-north-1 is of the partition aws-cn and the role of aws, expected a region such as us-east-1",
    ]);
  });

  test("a value from the environment is not shown", () => {
    const [line] = mistakes(`aws: { role_arn: "\${ROLE}" }`, {}, { ROLE: "hunter2" });
    expect(line).toBe(
      `moat.yaml:1: aws.role_arn: with \${ROLE} filled in: is no ARN of a role, expected one such as arn:aws:iam::123456789012:role/name`,
    );
  });
});

import { describe, expect, test } from "bun:test";
import {
  checkPartition,
  DEFAULT_SESSION_MS,
  parseExternalID,
  parseRegion,
  parseRoleARN,
  parseSessionDuration,
  parseSessionName,
  resolveRole,
} from "../../src/aws/role.ts";

const ROLE = "arn:aws:iam::123456789012:role/moat";
const FORM = "expected one such as arn:aws:iam::123456789012:role/name";

describe("a role ARN is taken as written", () => {
  test.each([
    [ROLE],
    ["arn:aws-cn:iam::123456789012:role/moat"],
    ["arn:aws-us-gov:iam::123456789012:role/moat"],
    ["arn:aws-eusc:iam::123456789012:role/moat"],
    ["arn:aws:iam::000000000000:role/a"],
    ["arn:aws:iam::123456789012:role/path/of/it/Name+=,.@_-1"],
    ["arn:aws:iam::123456789012:role/path:with:colons/name"],
    [`arn:aws:iam::123456789012:role/${"n".repeat(64)}`],
  ])("%s", (arn) => {
    expect(parseRoleARN(arn)).toBe(arn);
  });
});

describe("what is no role ARN is refused with the reason", () => {
  test.each([
    ["", `"" is no ARN, ${FORM}`],
    ["moat", `"moat" is no ARN, ${FORM}`],
    ["arn:aws:iam::123456789012", `"arn:aws:iam::123456789012" is no ARN, ${FORM}`],
    ["arn::iam::123456789012:role/a", `"arn::iam::123456789012:role/a" is no ARN, ${FORM}`],
    [
      "arn:azure:iam::123456789012:role/a",
      '"arn:azure:iam::123456789012:role/a" names the partition "azure", expected one of aws-cn, aws-us-gov, aws-iso, aws-iso-b, aws-iso-e, aws-iso-f, aws-eusc, aws',
    ],
    [
      "arn:aws:iam::123456789012:user/a",
      `"arn:aws:iam::123456789012:user/a" is the ARN of something else than a role, ${FORM}`,
    ],
    [
      "arn:aws:sts::123456789012:assumed-role/a/s",
      `"arn:aws:sts::123456789012:assumed-role/a/s" is a session of a role, expected the role itself: ${FORM}`,
    ],
    [
      "arn:aws:iam:us-east-1:123456789012:role/a",
      `"arn:aws:iam:us-east-1:123456789012:role/a" is the ARN of something else than a role, ${FORM}`,
    ],
    ["arn:aws:iam::1234:role/a", `"arn:aws:iam::1234:role/a" has no account of 12 digits, ${FORM}`],
    ["arn:aws:iam::123456789012:role/", `"arn:aws:iam::123456789012:role/" has no valid role name, ${FORM}`],
    [
      "arn:aws:iam::123456789012:role/a b",
      `"arn:aws:iam::123456789012:role/a b" has no valid role name, ${FORM}`,
    ],
    [`${ROLE}\n`, `"${ROLE}\\n" has no valid role name, ${FORM}`],
  ])("%j", (text, message) => {
    expect(() => parseRoleARN(text)).toThrow(new Error(message));
  });

  test("one longer than AWS takes, and the message stays short", () => {
    const long = `${ROLE}/${"x".repeat(3_000)}`;
    expect(() => parseRoleARN(long)).toThrow('…" is no ARN');
  });
});

describe("a session lasts 15m to 12h", () => {
  test.each([[900_000], [3_600_000], [43_200_000]])("%d ms", (ms) => {
    expect(parseSessionDuration(ms)).toBe(ms);
  });

  test.each([[899_000], [43_201_000], [900_500], [0], [Number.NaN], [Number.POSITIVE_INFINITY]])(
    "not %d ms",
    (ms) => {
      expect(() => parseSessionDuration(ms)).toThrow("a session lasts 15m to 12h, in whole seconds");
    },
  );
});

describe("regions", () => {
  test.each([["us-east-1"], ["eu-central-1"], ["us-gov-west-1"], ["ap-southeast-12"], ["eusc-de-east-1"]])(
    "%s",
    (region) => {
      expect(parseRegion(region)).toBe(region);
    },
  );

  test.each([[""], ["europe"], ["us-east-1.evil.example"], ["us-east-1/"], ["US-EAST-1"], ["us-east"]])(
    "not %j: it becomes part of a host name",
    (text) => {
      expect(() => parseRegion(text)).toThrow("is no region, expected one such as eu-central-1");
    },
  );

  test.each([
    ["aws", "cn-north-1", "aws-cn", "us-east-1"],
    ["aws-cn", "us-east-1", "aws", "cn-northwest-1"],
    ["aws-us-gov", "us-east-1", "aws", "us-gov-west-1"],
    ["aws", "us-isob-east-1", "aws-iso-b", "us-east-1"],
  ])("a role of %s does not go with %s", (partition, region, ofRegion, hint) => {
    expect(() => checkPartition(`arn:${partition}:iam::123456789012:role/a`, region)).toThrow(
      `the region ${region} is of the partition ${ofRegion} and the role of ${partition}, expected a region such as ${hint}`,
    );
  });
});

describe("external id and session name", () => {
  test.each([["ab"], ["a:b/c=d,e.f@g-h_i+j"], ["x".repeat(1224)]])("external id %j", (text) => {
    expect(parseExternalID(text)).toBe(text);
  });

  test.each([["a"], ["with space"], ["x".repeat(1225)], ["ab\n"]])(
    "no external id: %j, and it is not shown",
    (text) => {
      expect(() => parseExternalID(text)).toThrow(
        new Error("an external id is 2 to 1224 letters, digits or +=,.@:/_- (the value is not shown)"),
      );
    },
  );

  test.each([["moat-proxy"], ["run_1@host.example"]])("session name %j", (text) => {
    expect(parseSessionName(text)).toBe(text);
  });

  test.each([["a"], ["a b"], ["x".repeat(65)], ["a/b"]])("no session name: %j", (text) => {
    expect(() => parseSessionName(text)).toThrow("is no session name, expected 2 to 64");
  });
});

describe("resolveRole", () => {
  test("fills in what is not said", () => {
    expect(resolveRole({ roleARN: ROLE })).toEqual({
      roleARN: ROLE,
      region: "us-east-1",
      durationSeconds: DEFAULT_SESSION_MS / 1000,
      externalID: undefined,
      sessionName: "moat-proxy",
    });
  });

  test.each([
    ["aws-cn", "cn-northwest-1"],
    ["aws-us-gov", "us-gov-west-1"],
    ["aws-eusc", "eusc-de-east-1"],
  ])("a role of %s without a region is asked for in %s", (partition, region) => {
    expect(resolveRole({ roleARN: `arn:${partition}:iam::123456789012:role/a` }).region).toBe(region);
  });

  test("keeps what is said", () => {
    const settings = {
      roleARN: ROLE,
      region: "eu-west-1",
      sessionDuration: 3_600_000,
      externalID: "their-id",
      sessionName: "agent-7",
    };
    expect(resolveRole(settings)).toEqual({
      roleARN: ROLE,
      region: "eu-west-1",
      durationSeconds: 3_600,
      externalID: "their-id",
      sessionName: "agent-7",
    });
  });

  test("refuses a region of another partition", () => {
    expect(() => resolveRole({ roleARN: ROLE, region: "cn-north-1" })).toThrow("is of the partition aws-cn");
  });
});

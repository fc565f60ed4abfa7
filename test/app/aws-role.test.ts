import { describe, expect, test } from "bun:test";
import { AwsRole } from "../../src/app/aws-role.ts";
import { AssumeRoleError } from "../../src/aws/failure.ts";
import { createLogger } from "../../src/log/logger.ts";

const ROLE = "arn:aws:iam::123456789012:role/moat";
const request = (): Request => new Request("http://moat-proxy/_aws/credentials");

/** A role over a scripted STS; `answers` says how long each call's credentials are good for, or why there are none. */
function rig(answers: (minutes: number) => number | string = () => 15) {
  const lines: string[] = [];
  const calls: string[] = [];
  const log = createLogger({
    level: "info",
    format: "json",
    output: (bytes) => {
      lines.push(Buffer.from(bytes).toString());
      return bytes.length;
    },
  });
  const role = new AwsRole(log, {
    sts: {
      assumeRole: async ({ RoleArn }) => {
        calls.push(RoleArn);
        const answer = answers(calls.length);
        if (typeof answer === "string") throw new AssumeRoleError({ code: answer, requestID: "0f3b-1" });
        return {
          Credentials: {
            AccessKeyId: `ASIA${calls.length}`,
            SecretAccessKey: "the-secret",
            SessionToken: "the-session",
            Expiration: new Date(Date.now() + answer * 60_000),
          },
        };
      },
    },
  });
  return {
    ...{ role, calls },
    logged(): string {
      log.flush();
      return lines.join("");
    },
  };
}

test("without settings there is no handler", () => {
  expect(rig().role.handlerFor(undefined)).toBeUndefined();
});

describe("over a reload", () => {
  test("the same settings keep what is cached", async () => {
    const { role, calls } = rig();
    const before = await role.handlerFor({ roleARN: ROLE })?.(request());
    const after = await role.handlerFor({ roleARN: ROLE, region: undefined })?.(request());
    expect(await before?.text()).toBe((await after?.text()) ?? "");
    expect(calls).toEqual([ROLE]);
  });

  test.each([
    ["another role", { roleARN: `${ROLE}-2` }],
    ["another session", { roleARN: ROLE, sessionDuration: 3_600_000 }],
    ["another profile", { roleARN: ROLE, profile: "work" }],
  ])("%s is asked for anew", async (_name, settings) => {
    const { role, calls } = rig();
    await role.handlerFor({ roleARN: ROLE })?.(request());
    await role.handlerFor(settings)?.(request());
    expect(calls).toEqual([ROLE, settings.roleARN]);
  });

  test("a role that was taken away and comes back has nothing cached", async () => {
    const { role, calls } = rig();
    await role.handlerFor({ roleARN: ROLE })?.(request());
    role.handlerFor(undefined);
    await role.handlerFor({ roleARN: ROLE })?.(request());
    expect(calls).toEqual([ROLE, ROLE]);
  });
});

describe("a failure is told to the log with code and request id, and not to the client", () => {
  test("with nothing to serve", async () => {
    const { role, logged } = rig(() => "AccessDenied");
    const reply = await role.handlerFor({ roleARN: ROLE })?.(request());
    expect([reply?.status, await reply?.text()]).toEqual([500, "failed to get credentials\n"]);
    const { level, msg, error } = JSON.parse(logged());
    expect([level, msg]).toEqual(["error", "AWS credentials could not be fetched"]);
    expect(error).toStartWith("AssumeRole failed: AccessDenied (request id 0f3b-1)");
  });

  test("with old ones", async () => {
    const { role, logged } = rig((call) => (call === 1 ? 4 : "ExpiredToken"));
    const handler = role.handlerFor({ roleARN: ROLE });
    await handler?.(request());
    const reply = await handler?.(request());
    expect(await reply?.json()).toMatchObject({ AccessKeyId: "ASIA1" });
    const { level, msg, error } = JSON.parse(logged());
    expect([level, msg]).toEqual([
      "warn",
      "AWS credentials could not be refreshed, the old ones are still served",
    ]);
    expect(error).toContain("ExpiredToken (request id 0f3b-1)");
    expect(logged()).not.toMatch(/the-secret|the-session/);
  });
});

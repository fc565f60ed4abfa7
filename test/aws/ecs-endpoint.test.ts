import { describe, expect, test } from "bun:test";
import { credentialsReply, fetchFailed, presentedToken, unauthorized } from "../../src/aws/ecs-endpoint.ts";

const ROLE = "arn:aws:iam::123456789012:role/moat";

test("credentials are JSON with exactly these keys, and nobody may keep them", async () => {
  const reply = credentialsReply(
    {
      accessKeyID: "ASIAEXAMPLE",
      secretAccessKey: "secret/+=",
      sessionToken: 'token"\\',
      expiration: new Date("2026-01-02T03:04:05.678Z"),
    },
    ROLE,
  );
  expect(reply.status).toBe(200);
  expect(reply.headers.get("content-type")).toBe("application/json");
  expect(reply.headers.get("cache-control")).toBe("no-store");
  expect(await reply.text()).toBe(
    JSON.stringify({
      Version: 1,
      AccessKeyId: "ASIAEXAMPLE",
      SecretAccessKey: "secret/+=",
      SessionToken: 'token"\\',
      Token: 'token"\\',
      Expiration: "2026-01-02T03:04:05Z",
      RoleArn: ROLE,
    }),
  );
});

describe("refusals have their fixed text", () => {
  test.each([
    [unauthorized, 401, "unauthorized"],
    [fetchFailed, 500, "failed to get credentials"],
  ])("%p", async (make, status, text) => {
    const reply = make();
    expect(reply.status).toBe(status);
    expect(await reply.text()).toBe(`${text}\n`);
    expect(reply.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(reply.headers.get("cache-control")).toBe("no-store");
    expect(reply.headers.get("www-authenticate")).toBe(status === 401 ? "Bearer" : null);
  });
});

describe("the token of a request", () => {
  test.each([
    [null, undefined],
    ["", undefined],
    ["Bearer", undefined],
    ["Bearer ", undefined],
    ["Bearerabc", "Bearerabc"],
    ["Bearer abc", "abc"],
    ["bearer abc", "abc"],
    ["BEARER   abc ", "abc"],
    ["abc", "abc"],
    ["Basic bW9hdDphYmM=", "Basic bW9hdDphYmM="],
    ["abc, abc", "abc, abc"],
  ])("%j is %j", (field, token) => {
    expect(presentedToken(field)).toBe(token);
  });
});

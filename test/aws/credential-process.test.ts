import { describe, expect, test } from "bun:test";
import { credentialProcessText } from "../../src/aws/credential-process.ts";
import { credentialsReply } from "../../src/aws/ecs-endpoint.ts";

const FIELDS = {
  AccessKeyId: "ASIAEXAMPLE",
  SecretAccessKey: "the-secret",
  Token: "the-session",
  Expiration: "2026-01-02T03:04:05Z",
};

test("what our own endpoint replies becomes what SDKs read", async () => {
  const reply = credentialsReply(
    {
      accessKeyID: "ASIAEXAMPLE",
      secretAccessKey: "the-secret",
      sessionToken: "the-session",
      expiration: new Date("2026-01-02T03:04:05Z"),
    },
    "arn:aws:iam::123456789012:role/moat",
  );
  expect(credentialProcessText(await reply.text())).toBe(
    '{"Version":1,"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"the-secret","SessionToken":"the-session","Expiration":"2026-01-02T03:04:05Z"}',
  );
});

test("SessionToken alone will do", () => {
  const { Token, ...rest } = FIELDS;
  expect(JSON.parse(credentialProcessText(JSON.stringify({ ...rest, SessionToken: Token })))).toMatchObject({
    SessionToken: "the-session",
  });
});

describe("anything else is refused, and nothing of it shown", () => {
  test.each([
    ["no JSON", "the-secret"],
    ["half of it", '{"SecretAccessKey":"the-secret'],
    ["null", "null"],
    ["a list", '["the-secret"]'],
    ["no key", JSON.stringify({ ...FIELDS, AccessKeyId: undefined })],
    ["an empty secret", JSON.stringify({ ...FIELDS, SecretAccessKey: "" })],
    ["a number for a token", JSON.stringify({ ...FIELDS, Token: 1 })],
    ["no end", JSON.stringify({ ...FIELDS, Expiration: undefined })],
    ["an end that is no time", JSON.stringify({ ...FIELDS, Expiration: "soon" })],
  ])("%s", (_name, reply) => {
    expect(() => credentialProcessText(reply)).toThrow(
      new Error("the answer holds no AWS credentials: is this the URL of /_aws/credentials?"),
    );
  });
});

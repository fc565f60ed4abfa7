import { describe, expect, test } from "bun:test";
import { inspect } from "node:util";
import { credentialsOf } from "../../src/aws/credentials.ts";

const COMPLETE = {
  AccessKeyId: "ASIAEXAMPLE",
  SecretAccessKey: "the-secret/key",
  SessionToken: "the-session-token==",
  Expiration: new Date("2026-01-02T03:04:05Z"),
};

test("credentials have the field names of the reference", () => {
  expect({ ...credentialsOf({ Credentials: COMPLETE }) }).toEqual({
    accessKeyID: "ASIAEXAMPLE",
    secretAccessKey: "the-secret/key",
    sessionToken: "the-session-token==",
    expiration: COMPLETE.Expiration,
  });
});

test("console.log and its like show no secret", () => {
  const shown =
    inspect(credentialsOf({ Credentials: COMPLETE })) + Bun.inspect(credentialsOf({ Credentials: COMPLETE }));
  expect(shown).toContain("ASIAEXAMPLE");
  expect(shown).not.toContain("the-secret");
  expect(shown).not.toContain("the-session");
});

describe("an answer that is not complete is refused, and the error shows nothing of it", () => {
  test.each([
    ["no credentials", undefined],
    ["no access key", { ...COMPLETE, AccessKeyId: undefined }],
    ["an empty secret", { ...COMPLETE, SecretAccessKey: "" }],
    ["no session token", { ...COMPLETE, SessionToken: undefined }],
    ["no expiration", { ...COMPLETE, Expiration: undefined }],
    ["an expiration that is no time", { ...COMPLETE, Expiration: new Date("soon") }],
    ["a token with a line break", { ...COMPLETE, SessionToken: "the-secret\r\nX: y" }],
  ])("%s", (_name, Credentials) => {
    expect(() => credentialsOf({ Credentials })).toThrow(
      "AssumeRole failed: IncompleteCredentials: the answer of STS holds no complete credentials",
    );
  });
});

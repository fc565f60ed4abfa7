import { describe, expect, test } from "bun:test";
import { AssumeRoleError, assumeRoleError } from "../../src/aws/failure.ts";

function sdkError(name: string, more: object = {}): Error {
  return Object.assign(new Error("the message with session-token-SECRET in it"), { name, ...more });
}

describe("an error is reduced to code and request id", () => {
  test.each([
    [
      "an error of AWS",
      sdkError("AccessDenied", { $metadata: { requestId: "0f3b-1" } }),
      "AccessDenied",
      "0f3b-1",
    ],
    [
      "the system's code before the name",
      sdkError("Error", { code: "ECONNREFUSED" }),
      "ECONNREFUSED",
      undefined,
    ],
    [
      "no credentials on the host",
      sdkError("CredentialsProviderError"),
      "CredentialsProviderError",
      undefined,
    ],
    ["an abort", sdkError("AbortError"), "Timeout", undefined],
    ["a timeout of the SDK", sdkError("TimeoutError"), "Timeout", undefined],
    ["a name with a line break", sdkError("Bad\nlevel=error"), "Unknown", undefined],
    [
      "a request id with a line break",
      sdkError("Throttling", { $metadata: { requestId: "a\nb" } }),
      "Throttling",
      undefined,
    ],
    ["an error without a name", sdkError("Error"), "Unknown", undefined],
    ["what is no error", "session-token-SECRET", "Unknown", undefined],
    ["nothing", undefined, "Unknown", undefined],
  ])("%s", (_name, thrown, code, requestID) => {
    const error = assumeRoleError(thrown);
    expect({ code: error.code, requestID: error.requestID }).toEqual({ code, requestID });
    expect(error.message).toStartWith(`AssumeRole failed: ${code}`);
    expect(`${error.message}${error.stack}`).not.toContain("SECRET");
    expect(error.message).not.toContain("\n");
  });
});

test("the message names the request id and what to do", () => {
  const error = new AssumeRoleError({ code: "ExpiredToken", requestID: "0f3b" });
  expect(error.message).toBe(
    "AssumeRole failed: ExpiredToken (request id 0f3b): the host's own session has ended: sign in again",
  );
});

test("an AssumeRoleError stays what it is", () => {
  const error = new AssumeRoleError({ code: "Timeout" });
  expect(assumeRoleError(error)).toBe(error);
});

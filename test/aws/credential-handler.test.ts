import { describe, expect, test } from "bun:test";
import { AWSCredentialHandler } from "../../src/aws/credential-handler.ts";

const ROLE = "arn:aws:iam::123456789012:role/moat";
const CREDENTIALS = {
  accessKeyID: "ASIAEXAMPLE",
  secretAccessKey: "secret",
  sessionToken: "session",
  expiration: new Date("2026-01-02T03:04:05Z"),
};

function request(authorization?: string): Request {
  const headers = authorization === undefined ? {} : { authorization };
  return new Request("http://127.0.0.1/_aws/credentials", { headers });
}

function handler(token?: string): AWSCredentialHandler & { asked: number } {
  const origin = {
    roleARN: ROLE,
    getCredentials: () => {
      made.asked++;
      return Promise.resolve(CREDENTIALS);
    },
  };
  const made = Object.assign(new AWSCredentialHandler(origin), { asked: 0 });
  if (token !== undefined) made.setAuthToken(token);
  return made;
}

describe("a handler with a token of its own", () => {
  test.each([["Bearer right-token"], ["bearer right-token"], ["right-token"]])("serves %j", async (field) => {
    const reply = await handler("right-token").serveHTTP(request(field));
    expect(reply.status).toBe(200);
    expect(await reply.json()).toMatchObject({ AccessKeyId: "ASIAEXAMPLE", RoleArn: ROLE });
  });

  test.each([
    [undefined],
    [""],
    ["wrong-token"],
    ["Bearer wrong-token"],
    ["Bearer"],
    ["right-toke"],
    ["right-tokenn"],
    ["Bearer Bearer right-token"],
    ["Basic cmlnaHQtdG9rZW4="],
    ["right-token, right-token"],
  ])("refuses %j, and asks nobody for credentials", async (field) => {
    const refusing = handler("right-token");
    const reply = await refusing.serveHTTP(request(field));
    expect([reply.status, await reply.text()]).toEqual([401, "unauthorized\n"]);
    expect(refusing.asked).toBe(0);
  });

  test("takes no empty token", () => {
    expect(() => handler("")).toThrow("the token of the AWS credential handler is empty");
  });

  test("goes by the last token that was set", async () => {
    const changed = handler("first-token");
    changed.setAuthToken("second-token");
    expect((await changed.serveHTTP(request("first-token"))).status).toBe(401);
    expect((await changed.serveHTTP(request("second-token"))).status).toBe(200);
  });
});

test("a handler without a token serves whoever reaches it", async () => {
  expect((await handler().serveHTTP(request())).status).toBe(200);
});

test("what the provider says of a failure is not in the reply", async () => {
  const failing = new AWSCredentialHandler({
    roleARN: ROLE,
    getCredentials: () => Promise.reject(new Error("AccessDenied on arn:aws:iam::1:user/host")),
  });
  const reply = await failing.serveHTTP(request());
  expect([reply.status, await reply.text()]).toEqual([500, "failed to get credentials\n"]);
});

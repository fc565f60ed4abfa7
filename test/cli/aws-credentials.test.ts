import { describe, expect, test } from "bun:test";
import { credentialsReply } from "../../src/aws/ecs-endpoint.ts";
import { values } from "../support/http-message.ts";
import { closedPort, ok, startUpstream, type Upstream } from "../support/upstream.ts";

const MAIN = new URL("../../src/main.ts", import.meta.url).pathname;
const TOKEN = "0123456789abcdef";
const REPLY = await credentialsReply(
  {
    accessKeyID: "ASIAEXAMPLE",
    secretAccessKey: "the-secret",
    sessionToken: "the-session",
    expiration: new Date("2026-01-02T03:04:05Z"),
  },
  "arn:aws:iam::123456789012:role/moat",
).text();

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = Bun.spawn([process.execPath, MAIN, "aws-credentials", ...args], {
    env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [status, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { status, stdout, stderr };
}

function proxy(reply = ok(REPLY)): Upstream {
  return startUpstream({ tls: false, reply: () => reply });
}

const urlOf = (server: Upstream): string => `http://${server.authority}/_aws/credentials`;

describe("prints what SDKs expect of a credential_process", () => {
  const printed =
    '{"Version":1,"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"the-secret","SessionToken":"the-session","Expiration":"2026-01-02T03:04:05Z"}\n';

  test("with URL and token from its variables", async () => {
    await using server = proxy();
    const env = { MOAT_AWS_CREDENTIAL_URL: urlOf(server), MOAT_AWS_CREDENTIAL_TOKEN: TOKEN };
    expect(await run([], env)).toEqual({ status: 0, stdout: printed, stderr: "" });
    expect(server.requests[0]?.startLine).toBe("GET /_aws/credentials HTTP/1.1");
    expect(values(server.requests[0] ?? { fields: [] }, "authorization")).toEqual([`Bearer ${TOKEN}`]);
  });

  test("with flags, which win", async () => {
    await using server = proxy();
    const env = {
      MOAT_AWS_CREDENTIAL_URL: "http://127.0.0.1:1/",
      MOAT_AWS_CREDENTIAL_TOKEN: "x",
      OWN: TOKEN,
    };
    expect(await run(["--url", urlOf(server), "--token-env", "OWN"], env)).toMatchObject({ stdout: printed });
    expect(values(server.requests[0] ?? { fields: [] }, "authorization")).toEqual([`Bearer ${TOKEN}`]);
  });

  test("without a token, for a proxy that asks for none", async () => {
    await using server = proxy();
    expect(await run(["--url", urlOf(server)])).toMatchObject({ status: 0, stdout: printed });
    expect(values(server.requests[0] ?? { fields: [] }, "authorization")).toEqual([]);
  });

  test("past the proxy that the environment names", async () => {
    await using server = proxy();
    const dead = `http://127.0.0.1:${closedPort()}`;
    const env = { HTTP_PROXY: dead, http_proxy: dead, HTTPS_PROXY: dead, ALL_PROXY: dead };
    expect(await run(["--url", urlOf(server)], env)).toMatchObject({ status: 0, stdout: printed });
    expect(server.requests[0]?.startLine).toBe("GET /_aws/credentials HTTP/1.1");
  });
});

describe("a refusal is one line on stderr, status 1, nothing on stdout", () => {
  test.each([
    [401, "unauthorized"],
    [401, "Authorization required"],
    [401, "Invalid token"],
    [404, "AWS credentials not configured for this run"],
    [500, "failed to get credentials"],
  ])("%d %s", async (status, text) => {
    await using server = proxy(
      `HTTP/1.1 ${status} X\r\nContent-Type: text/plain\r\nContent-Length: ${text.length + 1}\r\n\r\n${text}\n`,
    );
    expect(await run(["--url", urlOf(server)])).toEqual({
      status: 1,
      stdout: "",
      stderr: `moat-proxy: ${urlOf(server)}: ${status} ${text}\n`,
    });
  });

  test("a page of somebody else is not repeated", async () => {
    await using server = proxy("HTTP/1.1 403 X\r\nContent-Length: 16\r\n\r\n<b>the-secret</b>".slice(0, -1));
    expect((await run(["--url", urlOf(server)])).stderr).toBe(`moat-proxy: ${urlOf(server)}: 403\n`);
  });

  test("a 200 that holds no credentials is not repeated", async () => {
    await using server = proxy(ok('{"SecretAccessKey":"the-secret"}'));
    const { status, stdout, stderr } = await run(["--url", urlOf(server)]);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toBe(
      "moat-proxy: the answer holds no AWS credentials: is this the URL of /_aws/credentials?\n",
    );
  });
});

describe("mistakes", () => {
  const form = "expected one such as http://host.docker.internal:8080/_aws/credentials";
  test.each([
    ["no URL", [], {}, `no URL to ask: set MOAT_AWS_CREDENTIAL_URL, or give --url; ${form}`],
    [
      "another scheme",
      ["--url", "file:///etc/passwd"],
      {},
      `--url: "file:///etc/passwd" is no http or https URL without user information, ${form}`,
    ],
    [
      "a password in the URL, which is not shown",
      [],
      { MOAT_AWS_CREDENTIAL_URL: "http://moat:hunter2@proxy/" },
      `MOAT_AWS_CREDENTIAL_URL: is no http or https URL without user information, ${form}`,
    ],
    [
      "a token variable that is not set",
      ["--url", "http://127.0.0.1:1/", "--token-env", "OWN"],
      {},
      "--token-env: the variable OWN is not set, or empty",
    ],
    [
      "a token that is none, and is not shown",
      ["--url", "http://127.0.0.1:1/"],
      { MOAT_AWS_CREDENTIAL_TOKEN: "hunter2\r\nX: y" },
      "MOAT_AWS_CREDENTIAL_TOKEN: a token is visible ASCII characters without spaces (the value is not shown)",
    ],
    [
      "a proxy that is not there",
      ["--url", "http://127.0.0.1:1/_aws/credentials"],
      {},
      "http://127.0.0.1:1/_aws/credentials: cannot be reached: nobody listens there",
    ],
  ])("%s", async (_name, args, env, line) => {
    const given: Readonly<Record<string, string>> = env;
    expect(await run(args, given)).toEqual({ status: 1, stdout: "", stderr: `moat-proxy: ${line}\n` });
  });

  test("an unknown flag is wrong usage", async () => {
    expect(await run(["--role", "x"])).toMatchObject({ status: 2, stdout: "" });
  });
});

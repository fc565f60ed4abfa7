// AWS SDKs without keys: they get temporary credentials of a role from the proxy, by the container variables and by
// credential_process, and sign with them. STS is a fake that verifies signatures.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { AWSCredentialProvider } from "../../src/aws/credential-provider.ts";
import { AWS_CLIENTS, NO_OTHER_CREDENTIALS } from "../support/aws-clients.ts";
import { BINARY } from "../support/binary.ts";
import { type FakeSts, hostEnvironment, ROLE, startFakeSts } from "../support/fake-sts.ts";
import { scratchDir } from "../support/scratch.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";

let sts: FakeSts;
let server: Bun.Server<undefined>;
let url = "";
beforeAll(() => {
  sts = startFakeSts();
  Object.assign(process.env, hostEnvironment(sts));
  const provider = new AWSCredentialProvider({ roleARN: ROLE });
  provider.setAuthToken(TOKEN);
  server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: provider.handler() });
  url = `http://127.0.0.1:${server.port}/_aws/credentials`;
});
afterAll(async () => {
  for (const name of Object.keys(hostEnvironment(sts))) delete process.env[name];
  await server?.stop(true);
  await sts?.[Symbol.asyncDispose]();
});

/** The config file of a client that gets its credentials from a command. */
function processConfig(): string {
  const file = join(scratchDir("moat-aws-"), "config");
  writeFileSync(file, `[default]\ncredential_process = ${BINARY} aws-credentials\n`);
  return file;
}

describe.each(AWS_CLIENTS.map((client) => [client.name, client] as const))("%s", (_name, client) => {
  const skip = client.missing !== undefined;

  test.skipIf(skip)(
    "gets credentials by AWS_CONTAINER_CREDENTIALS_FULL_URI, and signs with them",
    async () => {
      const outcome = await client.run({
        ...NO_OTHER_CREDENTIALS,
        AWS_CONTAINER_CREDENTIALS_FULL_URI: url,
        AWS_CONTAINER_AUTHORIZATION_TOKEN: TOKEN,
        AWS_ENDPOINT_URL_STS: sts.url,
      });
      expect(outcome).toMatchObject({ code: 0, stdout: `${sts.issued[0]?.id}\n` });
    },
  );

  test.skipIf(skip)("gets credentials by credential_process, although HTTPS_PROXY is set", async () => {
    const outcome = await client.run({
      ...NO_OTHER_CREDENTIALS,
      AWS_CONFIG_FILE: processConfig(),
      MOAT_AWS_CREDENTIAL_URL: url,
      MOAT_AWS_CREDENTIAL_TOKEN: TOKEN,
      HTTPS_PROXY: "http://127.0.0.1:1",
      AWS_ENDPOINT_URL_STS: sts.url,
    });
    expect(outcome).toMatchObject({ code: 0, stdout: `${sts.issued[0]?.id}\n` });
  });

  test.skipIf(skip)("with a wrong token gets none, and its complaint shows no secret", async () => {
    const outcome = await client.run({
      ...NO_OTHER_CREDENTIALS,
      AWS_CONFIG_FILE: processConfig(),
      MOAT_AWS_CREDENTIAL_URL: url,
      MOAT_AWS_CREDENTIAL_TOKEN: "wrong-token",
      AWS_ENDPOINT_URL_STS: sts.url,
    });
    expect(outcome.code).not.toBe(0);
    // The SDK for JavaScript keeps what the command said to itself.
    expect(outcome.stderr).toMatch(/401 unauthorized|Could not load credentials/);
    expect(outcome.stdout + outcome.stderr).not.toContain("wrong-token");
  });
});

test("all of it was one AssumeRole", () => {
  expect(sts.calls).toHaveLength(AWS_CLIENTS.every(({ missing }) => missing !== undefined) ? 0 : 1);
});

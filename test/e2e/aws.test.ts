// AWS SDKs without keys: they get temporary credentials of a role from the proxy, by the container variables and by
// credential_process, and sign with them. STS is a fake that verifies signatures, and so is S3 behind the interception.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { AWS_CLIENTS, NO_OTHER_CREDENTIALS } from "../support/aws-clients.ts";
import { BINARY, type LogLine, type RunningProxy, startProxy } from "../support/binary.ts";
import { connectProxy, message } from "../support/client.ts";
import { startFakeS3 } from "../support/fake-s3.ts";
import {
  type FakeSts,
  HOST_KEY,
  hostEnvironment,
  ROLE,
  type StsOptions,
  startFakeSts,
} from "../support/fake-sts.ts";
import { exchange, type Response, value } from "../support/http-message.ts";
import { runProgram, works } from "../support/programs.ts";
import { scratchDir } from "../support/scratch.ts";
import { expectNotPrinted } from "../support/secrets.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const PATH = "/_aws/credentials";

async function withRole(sts: FakeSts, more: readonly string[] = []): Promise<RunningProxy> {
  return startProxy({
    args: ["--aws-role-arn", ROLE, ...more],
    env: { ...hostEnvironment(sts), MOAT_PROXY_AUTH_TOKEN: TOKEN },
  });
}

async function ask(
  proxy: RunningProxy,
  fields: readonly string[],
  target = PATH,
  method = "GET",
): Promise<Response> {
  const stream = await connectProxy(proxy);
  return exchange(stream, message(`${method} ${target} HTTP/1.1`, ["Host: moat-proxy", ...fields]));
}

function replied({ status, body }: Response): readonly [number, string] {
  return [status, body.toString()];
}

const urlOf = (proxy: RunningProxy): string => `http://127.0.0.1:${proxy.port}${PATH}`;

/** The config file of a client that gets its credentials from a command. */
function processConfig(more = ""): string {
  const file = join(scratchDir("moat-aws-"), "config");
  writeFileSync(file, `[default]\ncredential_process = ${BINARY} aws-credentials\n${more}`);
  return file;
}

describe("clients", () => {
  let sts: FakeSts;
  let proxy: RunningProxy;
  beforeAll(async () => {
    sts = startFakeSts();
    proxy = await withRole(sts);
  });
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await sts?.[Symbol.asyncDispose]();
  });

  describe.each(AWS_CLIENTS.map((client) => [client.name, client] as const))("%s", (_name, client) => {
    const skip = client.missing !== undefined;

    test.skipIf(skip)(
      "gets credentials by AWS_CONTAINER_CREDENTIALS_FULL_URI, and signs with them",
      async () => {
        const outcome = await client.run({
          ...NO_OTHER_CREDENTIALS,
          AWS_CONTAINER_CREDENTIALS_FULL_URI: urlOf(proxy),
          AWS_CONTAINER_AUTHORIZATION_TOKEN: TOKEN,
          AWS_ENDPOINT_URL_STS: sts.url,
        });
        expect(outcome).toMatchObject({ code: 0, stdout: `${sts.issued[0]?.id}\n` });
      },
    );

    test.skipIf(skip)("the same with a Bearer in front of the token", async () => {
      const outcome = await client.run({
        ...NO_OTHER_CREDENTIALS,
        AWS_CONTAINER_CREDENTIALS_FULL_URI: urlOf(proxy),
        AWS_CONTAINER_AUTHORIZATION_TOKEN: `Bearer ${TOKEN}`,
        AWS_ENDPOINT_URL_STS: sts.url,
      });
      expect(outcome).toMatchObject({ code: 0, stdout: `${sts.issued[0]?.id}\n` });
    });

    test.skipIf(skip)("gets credentials by credential_process, although HTTPS_PROXY is set", async () => {
      const outcome = await client.run({
        ...NO_OTHER_CREDENTIALS,
        AWS_CONFIG_FILE: processConfig(),
        MOAT_AWS_CREDENTIAL_URL: urlOf(proxy),
        MOAT_AWS_CREDENTIAL_TOKEN: TOKEN,
        HTTPS_PROXY: `http://moat:${TOKEN}@127.0.0.1:${proxy.port}`,
        AWS_ENDPOINT_URL_STS: sts.url,
      });
      expect(outcome).toMatchObject({ code: 0, stdout: `${sts.issued[0]?.id}\n` });
    });

    test.skipIf(skip)("with a wrong token gets none, and its complaint shows no secret", async () => {
      const outcome = await client.run({
        ...NO_OTHER_CREDENTIALS,
        AWS_CONFIG_FILE: processConfig(),
        MOAT_AWS_CREDENTIAL_URL: urlOf(proxy),
        MOAT_AWS_CREDENTIAL_TOKEN: "wrong-token",
        AWS_ENDPOINT_URL_STS: sts.url,
      });
      expect(outcome.code).not.toBe(0);
      // The SDK for JavaScript keeps what the command said to itself.
      expect(outcome.stderr).toMatch(/401 Invalid token|Could not load credentials/);
      expect(outcome.stdout + outcome.stderr).not.toContain("wrong-token");
    });
  });

  test.skipIf(!works(["aws", "--version"]))(
    "the aws CLI puts and gets an object at S3 through the interception, with nothing but variables",
    async () => {
      await using s3 = startFakeS3({ keyFor: (id) => sts.issued.find((key) => key.id === id) });
      const dir = scratchDir("moat-s3-");
      const [from, to, config] = [join(dir, "from"), join(dir, "to"), join(dir, "config")];
      writeFileSync(from, "content ".repeat(20_000));
      writeFileSync(config, "[default]\ns3 =\n    addressing_style = path\n");
      const aws = (command: string, ...more: string[]) =>
        runProgram(
          ["aws", "--endpoint-url", `https://${s3.authority}`, "s3api", command].concat(
            ["--bucket", "b", "--key", "k/ü"],
            more,
          ),
          {
            ...NO_OTHER_CREDENTIALS,
            AWS_CONFIG_FILE: config,
            AWS_CONTAINER_CREDENTIALS_FULL_URI: urlOf(proxy),
            AWS_CONTAINER_AUTHORIZATION_TOKEN: TOKEN,
            AWS_DEFAULT_REGION: "us-east-1",
            AWS_CA_BUNDLE: proxy.caPath,
            HTTPS_PROXY: `http://moat:${TOKEN}@127.0.0.1:${proxy.port}`,
          },
        );
      expect(await aws("put-object", "--body", from)).toMatchObject({ code: 0 });
      expect(await aws("get-object", to)).toMatchObject({ code: 0 });
      expect(await Bun.file(to).text()).toBe("content ".repeat(20_000));
      expect([s3.refusals, s3.complaints]).toEqual([[], []]);
    },
    60_000,
  );

  test("all of it is one AssumeRole, and the log and its records show no secret", async () => {
    await ask(proxy, [`Authorization: ${TOKEN}`]);
    expect(sts.calls).toHaveLength(1);
    expect(Object.fromEntries(sts.calls[0] ?? [])).toMatchObject({
      RoleArn: ROLE,
      RoleSessionName: "moat-proxy",
    });
    const [key] = sts.issued;
    const secrets = [HOST_KEY.secret, key?.secret ?? "", key?.sessionToken ?? ""];
    const records = await proxy.untilRecords(1, isAws);
    expect(records[0]).toMatchObject({ proxy_type: "aws", http_path: PATH, http_status: 200 });
    expectNotPrinted(proxy, secrets);
    // Its own URL on stdout has to hold the token.
    expect(proxy.stderr).not.toContain(TOKEN);
  });
});

const isAws = (record: LogLine): boolean => record.proxy_type === "aws";

async function scenario(
  options: StsOptions,
  run: (proxy: RunningProxy, sts: FakeSts) => Promise<void>,
  args: readonly string[] = [],
): Promise<void> {
  await using sts = startFakeSts(options);
  await using proxy = await withRole(sts, args);
  await run(proxy, sts);
}

const authorized = [`Authorization: Bearer ${TOKEN}`];

describe("the endpoint", () => {
  test("a hundred first requests at once are one AssumeRole", () =>
    scenario({}, async (proxy, sts) => {
      const replies = await Promise.all(Array.from({ length: 100 }, () => ask(proxy, authorized)));
      const bodies = new Set(replies.map((reply) => reply.body.toString()));
      expect([...bodies].map((body) => JSON.parse(body).AccessKeyId)).toEqual([sts.issued[0]?.id]);
      expect(sts.calls).toHaveLength(1);
    }));

  test("the reply, byte for byte", () =>
    scenario({}, async (proxy, sts) => {
      const reply = await ask(proxy, authorized);
      const [key] = sts.issued;
      expect(value(reply, "content-type")).toBe("application/json");
      expect(value(reply, "cache-control")).toBe("no-store");
      expect(reply.body.toString()).toBe(
        JSON.stringify({
          Version: 1,
          AccessKeyId: key?.id,
          SecretAccessKey: key?.secret,
          SessionToken: key?.sessionToken,
          Token: key?.sessionToken,
          Expiration: new Date(key?.expiresAt ?? 0).toISOString().replace(".000Z", "Z"),
          RoleArn: ROLE,
        }),
      );
    }));

  test("what expires in four minutes is refreshed", () =>
    scenario({ lifetimeMs: (call) => (call === 1 ? 240_000 : 900_000) }, async (proxy, sts) => {
      const ids: string[] = [];
      for (let i = 0; i < 3; i++)
        ids.push(JSON.parse((await ask(proxy, authorized)).body.toString()).AccessKeyId);
      const [first, second] = sts.issued.map(({ id }) => id);
      expect(ids).toEqual([first, second, second] as string[]);
    }));

  test("with STS down what is still valid is served, and the log has code and request id", () =>
    scenario(
      {
        lifetimeMs: () => 240_000,
        script: (call) =>
          call === 1 ? undefined : { status: 403, code: "AccessDenied", message: "secret words" },
      },
      async (proxy, sts) => {
        const [first, second] = [await ask(proxy, authorized), await ask(proxy, authorized)];
        expect(replied(second)).toEqual(replied(first));
        expect(second.status).toBe(200);
        await proxy.untilWarning();
        const line = proxy.logLines().find(({ level }) => level === "warn");
        expect(line?.error).toContain(`AccessDenied (request id ${sts.requestIds[1]})`);
        expectNotPrinted(proxy, ["secret words", HOST_KEY.secret, sts.issued[0]?.secret ?? ""]);
      },
    ));

  test("with STS down and nothing valid: 500, and the log has code and request id", () =>
    scenario(
      { script: () => ({ status: 403, code: "AccessDenied", message: "secret words" }) },
      async (proxy, sts) => {
        expect(replied(await ask(proxy, authorized))).toEqual([500, "failed to get credentials\n"]);
        await proxy.untilRecords(1, isAws);
        const line = proxy.logLines().find(({ msg }) => msg === "AWS credentials could not be fetched");
        expect(line?.error).toContain(`AccessDenied (request id ${sts.requestIds[0]})`);
        expectNotPrinted(proxy, ["secret words", HOST_KEY.secret]);
      },
    ));

  test.each([
    ["no token", [], 401, "Authorization required\n"],
    ["a wrong token", ["Authorization: Bearer wrong"], 401, "Invalid token\n"],
    ["the token as Basic", [`Authorization: Basic ${btoa(`moat:${TOKEN}`)}`], 401, "Invalid token\n"],
    [
      "the token for the proxy only",
      [`Proxy-Authorization: Bearer ${TOKEN}`],
      401,
      "Authorization required\n",
    ],
    [
      "a web page",
      [...authorized, "Origin: https://evil.example"],
      403,
      "requests from web pages are not answered\n",
    ],
  ])("%s", (_name, fields, status, body) =>
    scenario({}, async (proxy, sts) => {
      expect(replied(await ask(proxy, fields))).toEqual([status, body]);
      expect(sts.requestIds).toHaveLength(0);
    }),
  );

  test("POST is 405, HEAD has no body, another path is 404", () =>
    scenario({}, async (proxy) => {
      expect((await ask(proxy, [...authorized, "Content-Length: 0"], PATH, "POST")).status).toBe(405);
      expect(replied(await ask(proxy, authorized, PATH, "HEAD"))).toEqual([200, ""]);
      expect((await ask(proxy, authorized, `${PATH}/more`)).status).toBe(404);
    }));

  test("a request through the proxy never reaches it", () =>
    scenario({}, async (proxy, sts) => {
      const fields = [...authorized, `Proxy-Authorization: Bearer ${TOKEN}`];
      const reply = await ask(proxy, fields, `http://127.0.0.1:${proxy.port}${PATH}`);
      expect([400, 403, 502]).toContain(reply.status);
      expect(sts.requestIds).toHaveLength(0);
    }));
});

test("without a role: 404, and the SDK is not asked for anything", async () => {
  await using proxy = await startProxy();
  expect(replied(await ask(proxy, []))).toEqual([404, "AWS credentials not configured for this run\n"]);
});

test("without a token nobody needs one, over loopback", async () => {
  await using sts = startFakeSts();
  await using proxy = await startProxy({
    config: {
      aws: { role_arn: ROLE, session_duration: "1h", external_id: "their-id", session_name: "agent" },
    },
    env: hostEnvironment(sts),
  });
  expect((await ask(proxy, [])).status).toBe(200);
  expect(Object.fromEntries(sts.calls[0] ?? [])).toMatchObject({
    DurationSeconds: "3600",
    ExternalId: "their-id",
    RoleSessionName: "agent",
  });
});

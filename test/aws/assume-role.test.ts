// The SDK for real, against a fake STS that verifies its signatures.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { STS } from "@aws-sdk/client-sts";
import { createSTS, type STSAssumeRoler } from "../../src/aws/assume-role.ts";
import { assumeRoleError } from "../../src/aws/failure.ts";
import { type FakeSts, HOST_KEY, hostEnvironment, ROLE, startFakeSts } from "../support/fake-sts.ts";
import { pki } from "../support/pki.ts";
import { scratchDir } from "../support/scratch.ts";
import { ok, startUpstream } from "../support/upstream.ts";

const INPUT = { RoleArn: ROLE, RoleSessionName: "moat-proxy", DurationSeconds: 900 };
const saved = { ...process.env };

function useEnvironment(sts: FakeSts | undefined, more: Readonly<Record<string, string>> = {}): void {
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
  Object.assign(process.env, sts === undefined ? {} : hostEnvironment(sts), more);
}

beforeEach(() => useEnvironment(undefined));
afterEach(() => {
  useEnvironment(undefined);
  for (const [name, value] of Object.entries(saved)) if (name.startsWith("AWS_")) process.env[name] = value;
});

async function failure(call: Promise<unknown>): Promise<{ code: string; requestID: string | undefined }> {
  const error = assumeRoleError(
    await call.then(
      () => undefined,
      (reason: unknown) => reason,
    ),
  );
  return { code: error.code, requestID: error.requestID };
}

describe("AssumeRole", () => {
  test("is signed with the host's key, sent to AWS_ENDPOINT_URL_STS, and its answer read", async () => {
    const start = Date.now();
    await using sts = startFakeSts();
    useEnvironment(sts);
    const output = await createSTS({ region: "eu-west-1" }).assumeRole({ ...INPUT, ExternalId: "their-id" });
    const [issued] = sts.issued;
    expect(output.Credentials).toMatchObject({
      AccessKeyId: issued?.id,
      SecretAccessKey: issued?.secret,
      SessionToken: issued?.sessionToken,
      Expiration: new Date(issued?.expiresAt ?? 0),
    });
    expect(Math.abs((output.ServedAt?.getTime() ?? 0) - start)).toBeLessThan(5_000);
    expect(Object.fromEntries(sts.calls[0] ?? [])).toEqual({
      Action: "AssumeRole",
      Version: "2011-06-15",
      RoleArn: ROLE,
      RoleSessionName: "moat-proxy",
      DurationSeconds: "900",
      ExternalId: "their-id",
    });
    expect(sts.received).toContain("/eu-west-1/sts/aws4_request");
    expect(sts.received).not.toContain(HOST_KEY.secret);
  });

  test("with a profile takes its keys, not those of the environment", async () => {
    await using sts = startFakeSts();
    const file = join(scratchDir("moat-aws-"), "credentials");
    const section = (name: string, id: string, secret: string): string =>
      `[${name}]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`;
    writeFileSync(file, section("default", "AKIAOTHER", "x") + section("work", HOST_KEY.id, HOST_KEY.secret));
    const wrong = { AWS_ACCESS_KEY_ID: "AKIAOTHER", AWS_SECRET_ACCESS_KEY: "x" };
    useEnvironment(sts, { AWS_SHARED_CREDENTIALS_FILE: file, ...wrong });
    const output = await createSTS({ region: "us-east-1", profile: "work" }).assumeRole(INPUT);
    expect(output.Credentials?.AccessKeyId).toBe(sts.issued[0]?.id as string);
  });

  test("finds keys that were replaced in the host's file since the last call", async () => {
    await using sts = startFakeSts();
    const file = join(scratchDir("moat-aws-"), "credentials");
    const write = (secret: string): void =>
      writeFileSync(file, `[default]\naws_access_key_id=${HOST_KEY.id}\naws_secret_access_key=${secret}\n`);
    useEnvironment(sts);
    delete process.env.AWS_ACCESS_KEY_ID;
    delete process.env.AWS_SECRET_ACCESS_KEY;
    process.env.AWS_SHARED_CREDENTIALS_FILE = file;
    const client = createSTS({ region: "us-east-1" });
    write("revoked");
    expect((await failure(client.assumeRole(INPUT))).code).toBe("SignatureDoesNotMatch");
    write(HOST_KEY.secret);
    expect((await client.assumeRole(INPUT)).Credentials?.AccessKeyId).toBe(sts.issued[0]?.id as string);
  });
});

describe("what goes wrong has a code, and that of AWS its request id", () => {
  test.each([
    ["a wrong secret", { AWS_SECRET_ACCESS_KEY: "wrong" }, "SignatureDoesNotMatch"],
    ["an unknown key", { AWS_ACCESS_KEY_ID: "AKIANOBODY" }, "InvalidClientTokenId"],
    ["a token that does not belong", { AWS_SESSION_TOKEN: "surplus" }, "InvalidClientTokenId"],
  ])("%s", async (_name, env, code) => {
    await using sts = startFakeSts();
    useEnvironment(sts, env);
    const outcome = await failure(createSTS({ region: "us-east-1" }).assumeRole(INPUT));
    expect(outcome).toEqual({ code, requestID: sts.requestIds[0] as string });
    expect(sts.calls).toHaveLength(0);
  });

  test("a refusal", async () => {
    await using sts = startFakeSts({ script: () => ({ status: 403, code: "AccessDenied" }) });
    useEnvironment(sts);
    const outcome = await failure(createSTS({ region: "us-east-1" }).assumeRole(INPUT));
    expect(outcome).toEqual({ code: "AccessDenied", requestID: sts.requestIds[0] as string });
  });

  test("a service that fails for a moment is asked again", async () => {
    await using sts = startFakeSts({
      script: (call) => (call < 3 ? { status: 503, code: "ServiceUnavailable" } : undefined),
    });
    useEnvironment(sts);
    await createSTS({ region: "us-east-1" }).assumeRole(INPUT);
    expect(sts.calls).toHaveLength(3);
  });

  test("a host without credentials", async () => {
    await using sts = startFakeSts();
    useEnvironment(sts);
    delete process.env.AWS_ACCESS_KEY_ID;
    const outcome = await failure(createSTS({ region: "us-east-1" }).assumeRole(INPUT));
    expect(outcome).toEqual({ code: "CredentialsProviderError", requestID: undefined });
    expect(sts.requestIds).toHaveLength(0);
  });

  test("an abort, with a service that never answers", async () => {
    await using sts = startFakeSts({ script: () => new Promise(() => undefined) });
    useEnvironment(sts);
    const abort = new AbortController();
    const call = createSTS({ region: "us-east-1" }).assumeRole(INPUT, { abortSignal: abort.signal });
    abort.abort();
    expect((await failure(call)).code).toBe("Timeout");
  });

  test("a certificate that is not trusted, although NODE_TLS_REJECT_UNAUTHORIZED says never mind", async () => {
    await using impostor = startUpstream({ tls: pki().selfSigned, reply: () => ok("<x/>") });
    const script = `
      const { createSTS } = await import(${JSON.stringify(join(import.meta.dir, "../../src/aws/assume-role.ts"))});
      const call = createSTS({ region: "us-east-1" }).assumeRole(${JSON.stringify(INPUT)});
      console.log(await call.then(() => "served", (error) => error.code));
      process.exit();`;
    const child = Bun.spawn([process.execPath, "-e", script], {
      env: {
        PATH: process.env.PATH ?? "",
        NODE_TLS_REJECT_UNAUTHORIZED: "0",
        AWS_ENDPOINT_URL_STS: `https://${impostor.authority}`,
        AWS_ACCESS_KEY_ID: HOST_KEY.id,
        AWS_SECRET_ACCESS_KEY: HOST_KEY.secret,
      },
      stderr: "ignore",
    });
    expect(await new Response(child.stdout).text()).toMatch(/SELF_SIGNED|CERT|UNABLE/);
    expect(impostor.text).toBe("");
  });
});

test("the SDK's own client is an STSAssumeRoler", () => {
  // Checked by the compiler.
  const client: STSAssumeRoler = new STS({ region: "us-east-1" });
  expect(typeof client.assumeRole).toBe("function");
});

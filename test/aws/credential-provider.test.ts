// With the SDK and a fake STS where the two meet; with a scripted STS and a clock of the test's own where time passes.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { AssumeRoleInput, AssumeRoleOutput, STSAssumeRoler } from "../../src/aws/assume-role.ts";
import { AWSCredentialProvider, type Delay, type RefreshFailure } from "../../src/aws/credential-provider.ts";
import { AssumeRoleError } from "../../src/aws/failure.ts";
import { type FakeSts, HOST_KEY, hostEnvironment, ROLE, startFakeSts } from "../support/fake-sts.ts";

const MINUTE = 60_000;
const saved = { ...process.env };

function forgetAws(): void {
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
}

beforeEach(forgetAws);
afterEach(() => {
  forgetAws();
  for (const [name, value] of Object.entries(saved)) if (name.startsWith("AWS_")) process.env[name] = value;
});

const never: Delay = () => ({ over: new Promise(() => undefined), cancel: () => undefined });

/** A provider over the SDK and this STS. */
function real(sts: FakeSts): { provider: AWSCredentialProvider; failures: RefreshFailure[] } {
  Object.assign(process.env, hostEnvironment(sts));
  const failures: RefreshFailure[] = [];
  const provider = new AWSCredentialProvider(
    { roleARN: ROLE, externalID: "their-id", sessionName: "agent" },
    { onFailure: (failure) => failures.push(failure), delay: never },
  );
  return { provider, failures };
}

const request = (): Request => new Request("http://127.0.0.1/_aws/credentials");

describe("over the SDK", () => {
  test("a hundred first requests at once are one AssumeRole, and all get its credentials", async () => {
    await using sts = startFakeSts();
    const { provider } = real(sts);
    const handler = provider.handler();
    const replies = await Promise.all(Array.from({ length: 100 }, () => handler(request())));
    const bodies = new Set(await Promise.all(replies.map((reply) => reply.text())));
    expect(sts.calls).toHaveLength(1);
    expect(Object.fromEntries(sts.calls[0] ?? [])).toMatchObject({
      RoleArn: ROLE,
      RoleSessionName: "agent",
      ExternalId: "their-id",
      DurationSeconds: "900",
    });
    expect([...bodies].map((body) => JSON.parse(body).AccessKeyId)).toEqual([sts.issued[0]?.id]);
    expect(await provider.getCredentials()).toMatchObject({ accessKeyID: sts.issued[0]?.id });
    expect(sts.calls).toHaveLength(1);
  });

  test("credentials that expire in four minutes are refreshed, those in six are not", async () => {
    await using sts = startFakeSts({ lifetimeMs: (call) => (call === 1 ? 4 : 6) * MINUTE });
    const { provider } = real(sts);
    const taken = [];
    for (let i = 0; i < 4; i++) taken.push((await provider.getCredentials()).accessKeyID);
    const [first, second] = sts.issued.map(({ id }) => id);
    expect(taken).toEqual([first, second, second, second] as string[]);
  });

  test("with STS down the credentials that are still valid are served, and the log has the reason", async () => {
    await using sts = startFakeSts({
      lifetimeMs: () => 4 * MINUTE,
      script: (call) =>
        call === 1
          ? undefined
          : {
              status: 403,
              code: "AccessDenied",
              message: "User: arn:aws:iam::1:user/host is not authorized",
            },
    });
    const { provider, failures } = real(sts);
    const [first, second] = [await provider.getCredentials(), await provider.getCredentials()];
    expect(second).toEqual(first);
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatchObject({ inARow: 1, servesOld: true });
    const { message } = failures[0]?.error ?? {};
    expect(message).toContain(`AccessDenied (request id ${sts.requestIds[1]})`);
    expect(message).not.toContain("user/host");
  });

  test("with STS down and nothing valid the reply is 500, and the reason is in the log and not in it", async () => {
    await using sts = startFakeSts({ script: () => ({ status: 403, code: "AccessDenied" }) });
    const { provider, failures } = real(sts);
    const reply = await provider.handler()(request());
    expect([reply.status, await reply.text()]).toEqual([500, "failed to get credentials\n"]);
    expect(failures).toHaveLength(1);
    expect(failures[0]?.error).toMatchObject({ code: "AccessDenied", requestID: sts.requestIds[0] });
    expect(failures[0]).toMatchObject({ servesOld: false });
  });

  test("a wrong host key is told by its code, and nothing of what was signed", async () => {
    await using sts = startFakeSts();
    const { provider, failures } = real(sts);
    process.env.AWS_SECRET_ACCESS_KEY = "wrong-secret";
    process.env.AWS_SESSION_TOKEN = "host-session-token";
    expect(provider.getCredentials()).rejects.toThrow("AssumeRole failed: InvalidClientTokenId");
    await provider.getCredentials().catch(() => undefined);
    const told = JSON.stringify(failures) + String(failures[0]?.error.stack);
    expect(told).not.toContain("host-session-token");
    expect(told).not.toContain(HOST_KEY.id);
  });

  test.each([[40], [-40]])("a host clock that is %d minutes off changes nothing", async (minutes) => {
    await using sts = startFakeSts({ now: () => Date.now() + minutes * MINUTE });
    const { provider } = real(sts);
    const first = await provider.getCredentials();
    expect(first.accessKeyID).toBe(sts.issued[0]?.id as string);
    expect(await provider.getCredentials()).toBe(first);
    expect(sts.calls).toHaveLength(1);
  });
});

/** As in the source: SDKs give up after a second; one call with all it needs. */
const PATIENCE_MS = 700;
const REFRESH_MS = 20_000;
const START = Date.parse("2026-01-01T00:00:00Z");

interface Rig {
  readonly provider: AWSCredentialProvider;
  readonly inputs: AssumeRoleInput[];
  readonly signals: (AbortSignal | undefined)[];
  readonly failures: RefreshFailure[];
  /** Ends the waits of this length. */
  elapse(ms: number): void;
  now: number;
  /** What STS does; default: credentials for 15 minutes. */
  answer: (call: number) => Promise<AssumeRoleOutput>;
}

function issue(call: number, expiration: number, servedAt?: number): AssumeRoleOutput {
  return {
    Credentials: {
      AccessKeyId: `ASIA${call}`,
      SecretAccessKey: "secret",
      SessionToken: "token",
      Expiration: new Date(expiration),
    },
    ...(servedAt === undefined ? {} : { ServedAt: new Date(servedAt) }),
  };
}

function rig(): Rig {
  const inputs: AssumeRoleInput[] = [];
  const signals: (AbortSignal | undefined)[] = [];
  const failures: RefreshFailure[] = [];
  const waits = new Map<() => void, number>();
  const sts: STSAssumeRoler = {
    assumeRole(input, options) {
      inputs.push(input);
      signals.push(options?.abortSignal);
      return made.answer(inputs.length);
    },
  };
  const delay: Delay = (ms) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    waits.set(resolve, ms);
    return { over: promise, cancel: () => waits.delete(resolve) };
  };
  const made: Rig = {
    provider: new AWSCredentialProvider(
      { roleARN: ROLE },
      { sts, delay, now: () => made.now, random: () => 1, onFailure: (failure) => failures.push(failure) },
    ),
    ...{ inputs, signals, failures },
    elapse(ms) {
      for (const [end, length] of waits) if (length === ms) end();
    },
    now: START,
    answer: async (call) => issue(call, made.now + 15 * MINUTE),
  };
  return made;
}

const down = (): Promise<never> => Promise.reject(new AssumeRoleError({ code: "AccessDenied" }));
const id = async (made: Rig): Promise<string> => (await made.provider.getCredentials()).accessKeyID;

describe("as time passes", () => {
  test("credentials are kept until five minutes before their end, not longer", async () => {
    const made = rig();
    expect(await id(made)).toBe("ASIA1");
    made.now = START + 10 * MINUTE - 1;
    expect(await id(made)).toBe("ASIA1");
    made.now = START + 10 * MINUTE;
    expect(await id(made)).toBe("ASIA2");
    expect(made.inputs).toHaveLength(2);
  });

  test("one refresh however many ask while it runs", async () => {
    const made = rig();
    await id(made);
    made.now += 11 * MINUTE;
    expect(await Promise.all([id(made), id(made), id(made)])).toEqual(["ASIA2", "ASIA2", "ASIA2"]);
    expect(made.inputs).toHaveLength(2);
  });

  test("a failed refresh serves the old ones to their last second, and then nothing", async () => {
    const made = rig();
    await id(made);
    made.answer = down;
    made.now = START + 11 * MINUTE;
    expect(await id(made)).toBe("ASIA1");
    made.now = START + 15 * MINUTE - 1;
    expect(await id(made)).toBe("ASIA1");
    made.now = START + 15 * MINUTE;
    expect(id(made)).rejects.toThrow("AccessDenied");
  });

  test("a refresh that takes long serves the old ones meanwhile, is not begun twice, and its result is kept", async () => {
    const made = rig();
    await id(made);
    const { promise, resolve } = Promise.withResolvers<AssumeRoleOutput>();
    made.answer = () => promise;
    made.now += 11 * MINUTE;
    const asked = [id(made), id(made)];
    made.elapse(PATIENCE_MS);
    expect(await Promise.all(asked)).toEqual(["ASIA1", "ASIA1"]);
    expect(made.inputs).toHaveLength(2);
    const third = id(made);
    resolve(issue(2, made.now + 15 * MINUTE));
    expect(await third).toBe("ASIA2");
    expect(made.inputs).toHaveLength(2);
    expect(made.signals[1]?.aborted).toBe(false);
  });

  test("without old ones whoever asks waits for as long as it takes", async () => {
    const made = rig();
    const { promise, resolve } = Promise.withResolvers<AssumeRoleOutput>();
    made.answer = () => promise;
    const asked = id(made);
    made.elapse(PATIENCE_MS);
    resolve(issue(1, made.now + 15 * MINUTE));
    expect(await asked).toBe("ASIA1");
  });

  test("failures are followed by growing pauses in which STS is left alone", async () => {
    const made = rig();
    made.answer = down;
    const gaps: number[] = [];
    let last = made.now;
    while (made.inputs.length < 9) {
      const before = made.inputs.length;
      await id(made).catch(() => undefined);
      if (made.inputs.length > before && before > 0) {
        gaps.push(made.now - last);
        last = made.now;
      }
      made.now += 100;
    }
    expect(gaps).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(made.failures.map(({ inARow }) => inARow)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("after a success the next pause is the short one again", async () => {
    const made = rig();
    made.answer = down;
    await id(made).catch(() => undefined);
    made.now += 600;
    await id(made).catch(() => undefined);
    made.now += 2_000;
    made.answer = async (call) => issue(call, made.now + 4 * MINUTE);
    expect(await id(made)).toBe("ASIA3");
    made.answer = down;
    await id(made);
    made.now += 500;
    await id(made);
    expect(made.failures.map(({ inARow, servesOld }) => [inARow, servesOld])).toEqual([
      [1, false],
      [2, false],
      [1, true],
      [2, true],
    ]);
  });

  test("a call that never ends is given up, and aborted", async () => {
    const made = rig();
    made.answer = () => new Promise(() => undefined);
    const asked = id(made);
    made.elapse(REFRESH_MS);
    expect(asked).rejects.toThrow("AssumeRole failed: Timeout");
    await asked.catch(() => undefined);
    expect(made.signals[0]?.aborted).toBe(true);
  });

  test("an STS that throws at once is a failure like any other", async () => {
    const made = rig();
    made.answer = () => {
      throw new TypeError("secret in here");
    };
    expect(id(made)).rejects.toThrow("AssumeRole failed: TypeError");
    await id(made).catch(() => undefined);
    expect(made.failures[0]?.error.message).not.toContain("secret");
  });
});

describe("clocks", () => {
  test("the end is told by the clock of AWS: an offset that its answer shows is taken into account", async () => {
    const made = rig();
    const hour = 60 * MINUTE;
    made.answer = async (call) => issue(call, made.now - hour + 15 * MINUTE, made.now - hour);
    expect(await id(made)).toBe("ASIA1");
    made.now += 9 * MINUTE;
    expect(await id(made)).toBe("ASIA1");
    made.now += 2 * MINUTE;
    expect(await id(made)).toBe("ASIA2");
  });

  test("a few seconds of difference are not counted", async () => {
    const made = rig();
    made.answer = async (call) => issue(call, made.now + 15 * MINUTE, made.now - 50_000);
    await id(made);
    made.now += 10 * MINUTE - 1;
    expect(await id(made)).toBe("ASIA1");
  });

  test("an answer that has expired when it comes, with nothing to tell the clocks apart by, is a failure", async () => {
    const made = rig();
    made.answer = async (call) => issue(call, made.now - 1);
    expect(id(made)).rejects.toThrow("ExpiredCredentials");
  });

  test("a clock that is set back has the credentials fetched anew, and no pause gets longer by it", async () => {
    const made = rig();
    await id(made);
    made.now -= 60 * MINUTE;
    expect(await id(made)).toBe("ASIA2");
    made.answer = down;
    made.now += 11 * MINUTE;
    await id(made);
    made.now -= 60 * MINUTE;
    await id(made);
    expect(made.inputs).toHaveLength(4);
  });
});

describe("the provider", () => {
  test("names its role and region", () => {
    const provider = new AWSCredentialProvider({ roleARN: ROLE, region: "eu-west-1" });
    expect([provider.roleARN, provider.region]).toEqual([ROLE, "eu-west-1"]);
  });

  test.each([
    [{ roleARN: "moat" }, "is no ARN"],
    [{ roleARN: ROLE, region: "cn-north-1" }, "is of the partition aws-cn"],
    [{ roleARN: ROLE, sessionDuration: 1_000 }, "a session lasts 15m to 12h"],
    [{ roleARN: ROLE, externalID: "x" }, "an external id is"],
    [{ roleARN: ROLE, sessionName: "x" }, "is no session name"],
  ])("refuses %p", (options, message) => {
    expect(() => new AWSCredentialProvider(options)).toThrow(message);
  });

  test("hands the token on to its handler", async () => {
    const made = rig();
    const handler = made.provider.handler();
    made.provider.setAuthToken("right-token");
    const reply = await handler(request());
    expect([reply.status, await reply.text()]).toEqual([401, "unauthorized\n"]);
    expect(made.inputs).toHaveLength(0);
    const authorized = new Request("http://127.0.0.1/", { headers: { authorization: "Bearer right-token" } });
    expect((await handler(authorized)).status).toBe(200);
  });
});

// From a Config to a plan: everything that the file says is in the run, and what is wrong is told before anything starts.

import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { AwsRole } from "../../src/app/aws-role.ts";
import { type ConfigPlan, planOf } from "../../src/app/config-plan.ts";
import { Surroundings } from "../../src/app/surroundings.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { SourcePool } from "../../src/credentials/source-pool.ts";
import { PathSeal } from "../../src/proxy/local/path-seal.ts";
import type { RunContext } from "../../src/run/run-context.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { printed } from "../support/net-app.ts";
import { SECRET } from "../support/secrets.ts";

const LASTING = {
  opened: undefined,
  surroundings: new Surroundings(),
  seal: new PathSeal(randomBytes(32)),
};

async function plan(yaml: string, previous?: SourcePool): Promise<ConfigPlan> {
  const env = { HOME: "/nonexistent" };
  const config = loadConfig({ file: "moat.yaml", flags: {}, env, readFile: () => yaml });
  const { log } = printed();
  return planOf(config, { ...LASTING, log, aws: new AwsRole(log) }, previous);
}

function runOf({ session }: ConfigPlan): RunContext {
  return session.runs.lookup(undefined) as RunContext; // a DefaultRun answers at once
}

const CREDENTIAL = `credentials: [{ host: a.test, header: X-Key, grant: g, source: { type: static, value: ${SECRET} } }]`;

describe("planOf", () => {
  test("puts all that the file says into the one run and the local endpoints", async () => {
    const made = await plan(`
${CREDENTIAL}
extra_headers: [{ host: a.test, header: X-Extra, value: "1" }]
remove_headers: [{ host: a.test, header: X-Gone }]
token_substitutions: [{ host: a.test, placeholder: abcd, source: { type: static, value: ${SECRET} } }]
response_transformers: [{ host: a.test, kind: response-scrub }]
relays: [{ name: api, url: "http://127.0.0.1:9000/v1" }]
mcp_servers: [{ name: tools, url: "http://127.0.0.1:9001", auth: { grant: g, header: X-Key } }]
network: { policy: strict, allow: [a.test], deny_status: 403 }
tls: { passthrough: [b.test], plain_ports: [80, 8080] }
`);
    const run = runOf(made);
    const authority = parseAuthority("a.test:443");
    const injection = run.injection.lookup("https://a.test:443", authority);
    expect(injection.credentials.map((credential) => credential.value())).toEqual([SECRET]);
    expect(injection.extra.map(({ header }) => header)).toEqual(["X-Extra"]);
    expect([...injection.remove]).toEqual(["x-gone"]);
    expect(injection.substitutions.map((substitution) => substitution.real())).toEqual([SECRET]);
    expect(run.transformers.lookup(authority)).toHaveLength(1);
    expect(run.mcpServers.get("tools")?.stub?.credential?.value()).toBe(SECRET);
    expect(run.passthrough.lookup(parseAuthority("b.test:443"))).toBe(true);
    expect([run.policy.allows(authority), run.policy.allows(parseAuthority("c.test:443"))]).toEqual([
      true,
      false,
    ]);
    expect([run.denyStatus, [...made.session.plainPorts]]).toEqual([403, [80, 8080]]);
    expect(made.session.local.relays.get("api")?.path).toBe("/v1");
    const named = (port: number) =>
      made.dial.destinations.verdict("127.0.0.1", port, `http://127.0.0.1:${port}`);
    expect([named(9000), named(9001), named(9002)]).toEqual(["allowed", "allowed", "denied"]);
    made.sources.close();
  });

  test("asks for a token where the file has one", async () => {
    const made = await plan("proxy: { auth_token: token-1 }");
    expect([made.session.runs.authRequired, runOf(made)]).toEqual([true, undefined as unknown as RunContext]);
    made.sources.close();
  });

  test("a source that was there before is not asked again", async () => {
    const counted = `credentials: [{ host: a.test, source: { type: process, command: "echo ${SECRET}" } }]`;
    const first = await plan(counted);
    const second = await plan(counted, first.sources);
    expect(Object.values(second.sources.stats()).reduce((sum, { refreshes }) => sum + refreshes, 0)).toBe(1);
    second.sources.close();
  });

  test.each([
    [
      "credentials: [{ host: a.test, source: { type: env, var: MOAT_TEST_NOT_SET } }]",
      "credential for a.test: ",
    ],
    [
      "credentials: [{ host: a.test, source: { type: file, path: /nowhere/key } }]",
      "credential for a.test: ",
    ],
    [
      "token_substitutions: [{ host: b.test, placeholder: abcd, source: { type: env, var: MOAT_NO } }]",
      "b.test",
    ],
    ["tls: { upstream_ca: /nowhere/ca.pem }", "upstream CA /nowhere/ca.pem"],
  ])("%j fails with one line", async (yaml, says) => {
    const outcome: unknown = await plan(yaml).catch((error: unknown) => error);
    expect(outcome).toBeInstanceOf(Error);
    expect((outcome as Error).message).toContain(says);
    expect((outcome as Error).message).not.toContain("\n");
  });
});

// Compiling a run: its parts arrive, and its mistakes are named.

import { describe, expect, test } from "bun:test";
import type { CredentialRule } from "../../src/inject/credentials.ts";
import { compileRun, type RunSettings } from "../../src/run/run-context.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { Secret } from "../../src/values/secret.ts";

const SECRET = new Secret("s3cr3t");

const CREDENTIAL: CredentialRule = {
  host: "api.example.com",
  header: "Authorization",
  format: "",
  grant: "",
  allowCleartext: false,
  slot: { current: () => SECRET, refresh: () => Promise.resolve(SECRET) },
};

function settings(more: Partial<RunSettings> = {}): RunSettings {
  return {
    runId: undefined,
    network: { policy: "strict", allow: ["*.example.com"], grants: [] },
    credentials: [CREDENTIAL],
    ...more,
  };
}

describe("compileRun", () => {
  test("compiles policy and credentials into one immutable value", () => {
    const run = compileRun(settings({ runId: "run-1" }));
    const authority = parseAuthority("api.example.com:443");
    expect(run.runId).toBe("run-1");
    expect(run.policy.allows(authority)).toBe(true);
    expect(run.policy.allows(parseAuthority("example.org:443"))).toBe(false);
    expect(run.injection.credentials.lookup(authority).map((c) => c.header)).toEqual(["Authorization"]);
    expect(Object.isFrozen(run)).toBe(true);
  });

  test("a later change of the settings does not reach the run", () => {
    const allow = ["a.test"];
    const credentials: CredentialRule[] = [];
    const run = compileRun(settings({ network: { policy: "strict", allow, grants: [] }, credentials }));
    allow.push("b.test");
    credentials.push(CREDENTIAL);
    expect(run.policy.allows(parseAuthority("b.test:443"))).toBe(false);
    expect(run.injection.credentials.lookup(parseAuthority("api.example.com:443"))).toEqual([]);
  });

  test.each([
    [{ network: { policy: "strict", allow: ["a b"], grants: [] } }, '"a b"'],
    [{ network: { policy: "permissive", allow: [], grants: ["nope"] } }, 'unknown grant "nope"'],
    [{ credentials: [{ ...CREDENTIAL, host: "api.example.com/v1" }] }, "slash"],
  ] as [Partial<RunSettings>, string][])("a mistake is named: %#", (more, problem) => {
    expect(() => compileRun(settings(more))).toThrow(problem);
  });
});

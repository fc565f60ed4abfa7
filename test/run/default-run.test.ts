// The static token and the default run, wire.md section 6. Also: it fits the Runs port.

import { describe, expect, test } from "bun:test";
import type { Runs } from "../../src/proxy/ports.ts";
import { DefaultRun } from "../../src/run/default-run.ts";
import { compileRun } from "../../src/run/run-context.ts";
import { Secret } from "../../src/values/secret.ts";

const RUN = compileRun({
  runId: undefined,
  network: { policy: "permissive", allow: [], grants: [] },
  credentials: [],
});
const TOKEN = "ab".repeat(32);

describe("DefaultRun", () => {
  test.each([
    [TOKEN, true],
    [undefined, false],
    ["", false],
    [TOKEN.slice(1), false],
    [`${TOKEN}0`, false],
    [TOKEN.toUpperCase(), false],
    ["x".repeat(60_000), false],
  ])("with a token, %j gives the run: %p", (presented, expected) => {
    const runs: Runs = new DefaultRun(RUN, new Secret(TOKEN));
    expect(runs.authRequired).toBe(true);
    expect(runs.lookup(presented)).toBe(expected ? RUN : undefined);
  });

  test.each([undefined, "", "anything"])("without a token everybody is served: %j", (presented) => {
    const runs: Runs = new DefaultRun(RUN, undefined);
    expect(runs.authRequired).toBe(false);
    expect(runs.lookup(presented)).toBe(RUN);
  });

  test("an empty token is a mistake, not an open door", () => {
    expect(() => new DefaultRun(RUN, new Secret(""))).toThrow("auth token is empty");
  });
});

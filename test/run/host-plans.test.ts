// What a run says of one host: the same as its tables, in one look-up.

import { describe, expect, test } from "bun:test";
import { NO_INJECTION } from "../../src/inject/injection-plan.ts";
import type { HostPlan } from "../../src/run/host-plans.ts";
import { oauthEndpointWorkaround } from "../../src/transform/oauth-endpoint.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { credential, makeRun } from "../support/session-rig.ts";

const RUN = makeRun({
  network: {
    policy: "strict",
    allow: ["a.test", "left-alone.test"],
    grants: [],
    rules: [{ host: "ruled.test", rules: ["allow GET /**"] }],
  },
  credentials: [credential("*.test", "secret"), credential("a.test", "secret", { header: "X-Key" })],
  more: {
    passthrough: ["left-alone.test"],
    transformers: [{ host: "*.test", transformer: oauthEndpointWorkaround }],
  },
});

function plan(authority: string, scheme = "https"): HostPlan {
  return RUN.hosts.lookup(`${scheme}://${authority}`, parseAuthority(authority));
}

describe("of a host", () => {
  test("that the policy allows", () => {
    expect(plan("a.test:443")).toMatchObject({ admitted: true, ruled: false, passthrough: false });
    expect(plan("a.test:443").injection.credentials.map(({ header }) => header)).toEqual(["X-Key"]);
    expect(plan("a.test:443").transformers).toEqual([oauthEndpointWorkaround]);
  });

  test("that nothing allows, and on a port that nothing allows", () => {
    expect(plan("b.test:443").admitted).toBe(false);
    expect(plan("a.test:8443").admitted).toBe(false);
  });

  test("with rules, which let it in and judge its requests", () => {
    expect(plan("ruled.test:443")).toMatchObject({ admitted: true, ruled: true });
  });

  test("whose tunnels are left alone: nothing is injected or transformed on any other way either", () => {
    const { passthrough, injection, transformers } = plan("left-alone.test:80", "http");
    expect([passthrough, injection, transformers]).toEqual([true, NO_INJECTION, []]);
  });
});

describe("a look-up", () => {
  test("of the same target gives the very same frozen value; http and https are two targets", () => {
    expect(plan("a.test:443")).toBe(plan("a.test:443"));
    expect(Object.isFrozen(plan("a.test:443"))).toBe(true);
    expect(plan("a.test:443", "http")).not.toBe(plan("a.test:443"));
  });

  test("is right however many hosts a client has asked for", () => {
    for (let i = 0; i < 5_000; i++) expect(plan(`h${i}.other:443`).admitted).toBe(false);
    expect(plan("a.test:443").admitted).toBe(true);
  });
});

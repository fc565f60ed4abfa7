// Grants and their hosts, wire.md section 7. Registered names are unique to each test: the table is process-wide.

import { describe, expect, test } from "bun:test";
import { hostsForGrant, knownGrants, registerGrantHosts } from "../../src/policy/grants.ts";
import { parseHostPattern } from "../../src/policy/host-pattern.ts";

describe("hostsForGrant", () => {
  test.each([
    ["github", ["github.com", "api.github.com", "*.githubusercontent.com", "*.github.com"]],
    ["anthropic", ["api.anthropic.com", "*.anthropic.com"]],
    ["claude", ["api.anthropic.com", "*.anthropic.com"]],
    ["openai", ["api.openai.com", "chatgpt.com", "*.openai.com"]],
    ["aws", ["*.amazonaws.com"]],
  ])("%s expands to its hosts", (grant, hosts) => {
    expect([...hostsForGrant(grant)]).toEqual(hosts);
  });

  test("the part after the colon is ignored", () => {
    expect(hostsForGrant("github:repo,read:org")).toEqual(hostsForGrant("github"));
  });

  test.each(["", "unknown", "GitHub", ":repo", "github ", "constructor"])(
    "%j is unknown: no hosts",
    (grant) => {
      expect(hostsForGrant(grant)).toEqual([]);
    },
  );

  test("every built-in host is a valid pattern", () => {
    for (const grant of knownGrants()) for (const host of hostsForGrant(grant)) parseHostPattern(host);
    expect(knownGrants()).toContain("github");
    expect([...knownGrants()].sort()).toEqual([...knownGrants()]);
  });
});

describe("registerGrantHosts", () => {
  test("more can be registered, and registered again", () => {
    const hosts = ["api.one.test"];
    registerGrantHosts("grants-test-one", hosts);
    hosts.push("changed.afterwards.test");
    expect(hostsForGrant("grants-test-one:scope")).toEqual(["api.one.test"]);
    registerGrantHosts("grants-test-one", ["*.two.test"]);
    expect(hostsForGrant("grants-test-one")).toEqual(["*.two.test"]);
    expect(knownGrants()).toContain("grants-test-one");
  });

  test.each([
    ["", ["a.test"], "grant name"],
    ["grants-test:scoped", ["a.test"], "grant name"],
    ["grants-test-empty", [], "at least one"],
    ["grants-test-bad", ["https://a.test"], "slash"],
  ])("a bad registration of %j is refused whole", (grant, hosts, problem) => {
    expect(() => registerGrantHosts(grant, hosts)).toThrow(problem);
    expect(hostsForGrant(grant)).toEqual([]);
  });
});

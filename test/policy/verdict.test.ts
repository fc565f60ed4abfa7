// The one answer of network policy and rules, for a host and for a request. wire.md sections 4 and 7.

import { describe, expect, test } from "bun:test";
import { HeaderList } from "../../src/http1/headers.ts";
import { NetworkPolicy } from "../../src/policy/network-policy.ts";
import { compileRules, type HostRules } from "../../src/policy/rules.ts";
import {
  admitsHost,
  type PolicyPlan,
  requestVerdict,
  ruledVerdict,
  type Verdict,
} from "../../src/policy/verdict.ts";
import { parseAuthority } from "../../src/values/authority.ts";

const RULES: readonly HostRules[] = [
  { host: "api.test", rules: ["allow GET /repos/**", "deny * /repos/**"] },
];

function plan(policy: "strict" | "permissive", allow: readonly string[] = [], rules = RULES): PolicyPlan {
  return { policy: NetworkPolicy.compile({ policy, allow, grants: [] }), rules: compileRules(rules) };
}

function ask(of: PolicyPlan, method: string, url: string, field?: string): string {
  const { host, pathname } = new URL(url);
  const headers = new HeaderList();
  if (field !== undefined) headers.push(field, "DELETE");
  return requestVerdict(of, parseAuthority(host, 443), method, pathname, headers).kind;
}

describe("a host", () => {
  test("with rules is admitted although the strict policy does not list it", () => {
    expect(admitsHost(plan("strict"), parseAuthority("api.test:443"))).toBe(true);
    expect(admitsHost(plan("strict"), parseAuthority("other.test:443"))).toBe(false);
    expect(admitsHost(plan("strict", ["other.test"]), parseAuthority("other.test:443"))).toBe(true);
    expect(admitsHost(plan("permissive"), parseAuthority("other.test:443"))).toBe(true);
  });
});

describe("a request", () => {
  const cases: readonly (readonly [string, PolicyPlan, string, string, string])[] = [
    ["first match wins: allow", plan("strict"), "GET", "https://api.test/repos/a", "allowed"],
    ["first match wins: deny", plan("permissive"), "POST", "https://api.test/repos/a", "request-denied"],
    ["no rule matches, strict", plan("strict"), "GET", "https://api.test/user", "request-denied"],
    [
      "no rule matches, strict with the host listed",
      plan("strict", ["api.test"]),
      "GET",
      "https://api.test/user",
      "allowed",
    ],
    ["no rule matches, permissive", plan("permissive"), "GET", "https://api.test/user", "allowed"],
    ["a host without rules, strict", plan("strict"), "GET", "https://other.test/", "host-denied"],
    ["a host without rules, permissive", plan("permissive"), "GET", "https://other.test/", "allowed"],
    [
      "a path of two readings",
      plan("permissive"),
      "GET",
      "https://api.test/repos%2f..%2fuser",
      "request-denied",
    ],
  ];
  test.each(cases)("%s", (_name, of, method, url, kind) => {
    expect(ask(of, method, url)).toBe(kind);
  });

  test("rules without a port let 80 and 443 in, like an entry of the allow list", () => {
    const strict = plan("strict");
    expect(admitsHost(strict, parseAuthority("api.test:8443"))).toBe(false);
    expect(ask(strict, "GET", "https://api.test:8443/repos/a")).toBe("host-denied");
    const pinned = plan("strict", [], [{ host: "api.test:8443", rules: ["allow GET /**"] }]);
    expect(ask(pinned, "GET", "https://api.test:8443/repos/a")).toBe("allowed");
    // Where the policy lets the port in, the rules still judge there.
    expect(ask(plan("permissive"), "POST", "https://api.test:8443/repos/a")).toBe("request-denied");
  });

  test.each([
    "X_HTTP_METHOD_OVERRIDE",
    "X-Http-Method_Override",
    "X_Original_URL",
    "X-Original-Uri",
    "X-Method",
  ])("%s is denied on a host with rules: some servers take underscores for dashes", (field) => {
    expect(ask(plan("permissive"), "GET", "https://api.test/repos/a", field)).toBe("request-denied");
  });

  test("with a field that some servers obey instead of the method is denied on a host with rules only", () => {
    expect(ask(plan("permissive"), "GET", "https://api.test/repos/a", "X-HTTP-Method-Override")).toBe(
      "request-denied",
    );
    expect(ask(plan("permissive"), "GET", "https://other.test/", "X-HTTP-Method-Override")).toBe("allowed");
  });
});

describe("a request to what the operator named as a relay or MCP server", () => {
  const strict = plan("strict");
  const listed = plan("strict", ["api.test", "other.test"]);
  const permissive = plan("permissive");
  const cases: readonly (readonly [string, PolicyPlan, string, string, string, Verdict["kind"]])[] = [
    ["the network policy does not apply", strict, "other.test:443", "GET", "/", "allowed"],
    ["whatever its port", strict, "other.test:3000", "POST", "/", "allowed"],
    ["nor to an address", strict, "127.0.0.1:3000", "POST", "/", "allowed"],
    ["a rule of its host allows", strict, "api.test:443", "GET", "/repos/a", "allowed"],
    ["a rule of its host denies", permissive, "api.test:443", "POST", "/repos/a", "request-denied"],
    ["no rule matches, strict", strict, "api.test:443", "GET", "/user", "request-denied"],
    ["no rule matches, strict with the host listed", listed, "api.test:443", "GET", "/user", "allowed"],
    ["no rule matches, permissive", permissive, "api.test:443", "GET", "/user", "allowed"],
    ["a path of two readings", permissive, "api.test:443", "GET", "/repos%2f..%2fuser", "request-denied"],
    [
      "the rules hold on every port of their host",
      strict,
      "api.test:8443",
      "POST",
      "/repos/a",
      "request-denied",
    ],
    [
      "a rule that denies, on another port",
      permissive,
      "api.test:8443",
      "POST",
      "/repos/a",
      "request-denied",
    ],
  ];
  test.each(cases)("%s", (_name, of, authority, method, target, kind) => {
    const headers = new HeaderList();
    expect(ruledVerdict(of, parseAuthority(authority), method, target, headers).kind).toBe(kind);
    expect(ruledVerdict(of, parseAuthority(authority), method, target, undefined).kind).toBe(kind);
  });

  test("a field that overrides the method is denied where rules are, and only there", () => {
    const headers = new HeaderList();
    headers.push("X-HTTP-Method-Override", "DELETE");
    const ruled = ruledVerdict(permissive, parseAuthority("api.test:443"), "GET", "/repos/a", headers);
    expect(ruled).toEqual({
      kind: "request-denied",
      rule: undefined,
      reason: "the field x-http-method-override could change what is asked",
    });
    expect(ruledVerdict(strict, parseAuthority("other.test:443"), "GET", "/", headers).kind).toBe("allowed");
  });

  test("it never says more than the whole verdict of a host that is admitted", () => {
    for (const of of [strict, listed, permissive]) {
      for (const [method, path] of [
        ["GET", "/repos/a"],
        ["POST", "/repos/a"],
        ["GET", "/user"],
      ] as const) {
        const authority = parseAuthority("api.test:443");
        expect(ruledVerdict(of, authority, method, path, undefined)).toEqual(
          requestVerdict(of, authority, method, path, undefined),
        );
      }
    }
  });
});

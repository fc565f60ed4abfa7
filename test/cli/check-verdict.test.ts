// Verdicts on requests, table by table, and the agreement with the decisions of the data path on generated requests.

import { describe, expect, test } from "bun:test";
import { type CheckPlan, compileCheck } from "../../src/cli/check-plan.ts";
import { type Explanation, explain, type Question, stepText } from "../../src/cli/check-verdict.ts";
import { loadConfig } from "../../src/config/load.ts";
import { readConfigFile } from "../../src/config/read-file.ts";
import type { RequestHead } from "../../src/http1/head.ts";
import { HeaderList } from "../../src/http1/headers.ts";
import { admitsHost, requestVerdict } from "../../src/policy/verdict.ts";
import { compileRun } from "../../src/run/run-context.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { ProxyError } from "../../src/values/errors.ts";

function planOf(yaml: string, flags: Parameters<typeof loadConfig>[0]["flags"] = {}): CheckPlan {
  const env = { HOME: "/nonexistent" };
  const readFile = (): string => yaml;
  const config = loadConfig({ file: "moat.yaml", flags, env, readFile });
  return compileCheck(config, readConfigFile("moat.yaml", readFile, env), () => ["198.51.100.7"]);
}

function ask(plan: CheckPlan, url: string, more: Partial<Question> = {}): Explanation {
  return explain(plan, { method: "GET", headers: [], address: undefined, url, ...more });
}

const YAML = `credentials:
  - host: api.github.com
    grant: github
    source: { type: env, var: GITHUB_TOKEN }
  - host: api.github.com
    header: X-Other
    source: { type: static, value: other }
  - host: "*.corp.example"
    source: { type: file, path: /nonexistent }
  - host: open.corp.example
    allow_cleartext: true
    source: { type: static, value: open }
  - host: pinned.example
    source: { type: static, value: pinned }
tls:
  passthrough:
    - "*.pinned.example"
    - pinned.example
network:
  policy: strict
  deny_status: 403
  grants: [github]
  allow:
    - "*.corp.example"
    - pinned.example
    - sub.pinned.example:8443
    - 127.0.0.1
    - 203.0.113.5
    - 10.0.0.1
    - 198.51.100.7
  rules:
    - bare.example
    - api.github.com:
        - allow GET /repos/**
        - deny * /**
    - soft.example: [allow GET /a]
    - sub.pinned.example: [allow GET /a]
  allow_ips: [127.0.0.0/8]
`;
const PLAN = planOf(YAML);

/** Where the first line with this text stands. */
function lineOf(text: string): string {
  return `line ${YAML.split("\n").findIndex((line) => line.includes(text)) + 1}`;
}

/** [name, url, more, verdict with status and X-Moat-Blocked, the step that decided] */
type Row = readonly [string, string, Partial<Question>, string, string?];

describe("verdicts", () => {
  const rows: readonly Row[] = [
    [
      "a rule allows",
      "https://api.github.com/repos/a",
      {},
      "allowed",
      `allowed by "allow GET /repos/**" for api.github.com (${lineOf("allow GET /repos")})`,
    ],
    [
      "a rule denies",
      "https://api.github.com/user",
      {},
      "denied 403 request-rule",
      `denied by "deny * /**" for api.github.com (${lineOf("deny * /**")})`,
    ],
    [
      "by method",
      "https://api.github.com/repos/a",
      { method: "POST" },
      "denied 403 request-rule",
      `denied by "deny * /**" for api.github.com (${lineOf("deny * /**")})`,
    ],
    [
      "readings differ",
      "https://api.github.com/repos/%2e%2e/x",
      {},
      "denied 403 request-rule",
      "denied: the path can be read in several ways: dot segments",
    ],
    [
      "rules but no match, strict",
      "https://soft.example/b",
      {},
      "denied 403 request-rule",
      "denied: no rule allows it and the policy is strict",
    ],
    [
      "a field that overrides the method",
      "https://api.github.com/repos/a",
      { headers: ["X-HTTP-Method-Override"] },
      "denied 403 request-rule",
      "denied: the field x-http-method-override could change what is asked",
    ],
    [
      "a grant",
      "https://github.com/",
      {},
      "allowed",
      `allowed by github in network.grants (${lineOf("grants:")})`,
    ],
    [
      "a wildcard",
      "https://a.b.corp.example/",
      {},
      "allowed",
      `allowed by *.corp.example in network.allow (${lineOf('    - "*.corp')})`,
    ],
    [
      "a host without rules in network.rules",
      "https://bare.example/",
      {},
      "allowed",
      `allowed by bare.example in network.rules (${lineOf("bare.example")})`,
    ],
    [
      "another port",
      "https://bare.example:8443/",
      {},
      "denied 403 network-policy",
      `denied: the policy is strict, and nothing allows bare.example:8443 (${lineOf("policy: strict")})`,
    ],
    [
      "not the domain itself",
      "https://corp.example/",
      {},
      "denied 403 network-policy",
      `denied: the policy is strict, and nothing allows corp.example (${lineOf("policy: strict")})`,
    ],
    [
      "upper case and a trailing dot",
      "https://API.GitHub.com./repos/a",
      {},
      "allowed",
      `allowed by "allow GET /repos/**" for api.github.com (${lineOf("allow GET /repos")})`,
    ],
    [
      "an opaque tunnel",
      "https://pinned.example/",
      {},
      "allowed",
      `opaque, since tls.passthrough lists pinned.example: no rule applies inside and no credential is injected (${lineOf("    - pinned.example")})`,
    ],
    [
      "rules in an opaque tunnel",
      "https://sub.pinned.example:8443/a",
      {},
      "denied 403 request-rule",
      `denied: the tunnel is opaque (tls.passthrough lists *.pinned.example), so the rules of this host cannot be kept in it (${lineOf("*.pinned")})`,
    ],
    [
      "an exempt literal",
      "https://127.0.0.1/",
      {},
      "allowed",
      `allowed by 127.0.0.1 in network.allow (${lineOf("    - 127")})`,
    ],
    [
      "a public literal",
      "https://203.0.113.5/",
      {},
      "allowed",
      `allowed by 203.0.113.5 in network.allow (${lineOf("203.0")})`,
    ],
    [
      "the host's own address",
      "https://198.51.100.7/",
      {},
      "denied 403 destination",
      "denied: 198.51.100.7 is on the built-in list of refused addresses; network.allow_ips can exempt it",
    ],
    [
      "a name at a refused address",
      "https://bare.example/",
      { address: "169.254.169.254" },
      "denied 403 destination",
      "denied: bare.example, at 169.254.169.254, is on the built-in list of refused addresses; network.allow_ips can exempt it",
    ],
    ["cleartext to a name", "http://a.corp.example/", {}, "depends"],
    [
      "cleartext to a private address",
      "http://a.corp.example/",
      { address: "10.0.0.9" },
      "allowed",
      `allowed: 10.0.0.9 is a loopback or private address (${lineOf('- host: "*.corp')})`,
    ],
    [
      "cleartext to a public address",
      "http://a.corp.example/",
      { address: "203.0.113.9" },
      "denied 403 cleartext-credential",
      `denied: a credential would go over plain http:// to 203.0.113.9, a public address (${lineOf('- host: "*.corp')})`,
    ],
    ["cleartext that is allowed", "http://open.corp.example/", {}, "allowed"],
    ["cleartext without a credential", "http://10.0.0.1/", {}, "allowed"],
    [
      "TLS on a port for cleartext",
      "https://api.github.com:80/repos/a",
      {},
      "denied 400",
      "denied: tls.plain_ports lists port 80, so a tunnel there carries plain HTTP and no TLS",
    ],
    ["TRACE", "https://api.github.com/", { method: "TRACE" }, "denied 405", "refused: TRACE is not allowed"],
    ["an unknown method", "https://github.com/", { method: "FROB" }, "denied 400"],
    ["no host name", "https://a_b..example/", {}, "denied 400", "refused: invalid host format"],
    ["a port out of range", "https://github.com:70000/", {}, "denied 400", "refused: invalid port"],
    ["a head over its limit", `https://github.com/${"x".repeat(70_000)}`, {}, "denied 431"],
  ];
  for (const [name, url, more, outcome, step] of rows) {
    test(name, () => {
      const { verdict, status = "", blocked = "", steps } = ask(PLAN, url, more);
      expect(`${verdict} ${status} ${blocked}`.trim()).toBe(outcome);
      const texts = steps.map((each) => stepText(each).replaceAll("\u00a0", " "));
      if (step !== undefined) expect(texts.at(-1)).toBe(step);
    });
  }
});

describe("credentials", () => {
  const injected = (url: string, more: Partial<Question> = {}): string[] =>
    ask(PLAN, url, more).credentials.map(({ header, line }) => `${header} line ${line}`);

  test("all of the host, where the client asks for none", () => {
    expect(injected("https://api.github.com/repos/a")).toEqual(["Authorization line 2", "X-Other line 5"]);
  });
  test("those that the client asks for", () => {
    expect(injected("https://api.github.com/repos/a", { headers: ["x-other"] })).toEqual(["X-Other line 5"]);
  });
  test("the exact host before the wildcard", () => {
    expect(injected("https://open.corp.example/")).toEqual(["Authorization line 10"]);
    expect(injected("https://other.corp.example/")).toEqual(["Authorization line 8"]);
  });
  test("none where denied, and none in an opaque tunnel", () => {
    expect(injected("https://api.github.com/user")).toEqual([]);
    expect(injected("https://pinned.example/")).toEqual([]);
  });
});

test("the verdict says which flag decided", () => {
  const plan = planOf(YAML, { allow: ["flag.example"], allowIps: ["169.254.1.1"] });
  expect(stepText(ask(plan, "https://flag.example/").steps.at(-1)!)).toBe(
    "allowed by flag.example in network.allow (--allow)",
  );
  expect(ask(plan, "https://flag.example/", { address: "169.254.1.1" }).steps.map(stepText)).toContain(
    "allowed: flag.example, at 169.254.1.1, is exempt by 169.254.1.1 in network.allow_ips (--allow-ip)",
  );
  const permissive = planOf(YAML, { policy: "permissive", noIntercept: true });
  expect(ask(permissive, "https://x.example/").steps.map(stepText)).toEqual([
    "allowed: the policy is permissive",
    "opaque, since interception is off: no rule applies inside and no credential is injected",
  ]);
});

describe("agreement with the decisions of the data path", () => {
  const pick = <T>(list: readonly T[], seed: number): T => list[seed % list.length]!;
  const hosts = "api.github.com github.com soft.example bare.example x.corp.example evil.example".split(" ");
  const paths = [
    "/",
    "/repos/a",
    "/repos//a",
    "/repos/../user",
    "/a",
    "/A",
    "/a/%2F",
    "/repos/a?b=/c",
    "/user",
  ];
  const methods = ["GET", "POST", "DELETE", "HEAD"];

  for (const policy of ["strict", "permissive"] as const) {
    test(`on 1,000 requests, ${policy}`, () => {
      const plan = planOf(YAML, { policy });
      const run = compileRun({ runId: undefined, network: plan.config.network, credentials: [] });
      let denied = 0;
      for (let i = 0; i < 1_000; i++) {
        // Steps without a common divisor: every combination comes up.
        const host = pick(hosts, i);
        const path = pick(paths, Math.floor(i / 6));
        const method = pick(methods, Math.floor(i / 54));
        const port = pick(["", ":443", ":8443"], Math.floor(i / 216));
        const authority = parseAuthority(`${host}${port}`, 443);
        const head: RequestHead = { method, target: path, minor: 1, headers: new HeaderList() };
        const allowed =
          admitsHost(run, authority) &&
          requestVerdict(run, authority, head.method, path, head.headers).kind === "allowed";
        const url = `https://${host}${port}${path}`;
        expect([method, url, ask(plan, url, { method }).verdict]).toEqual([
          method,
          url,
          allowed ? "allowed" : "denied",
        ]);
        if (!allowed) denied++;
      }
      expect(denied).toBeGreaterThan(50);
      expect(denied).toBeLessThan(950);
    });
  }
});

test("a bug is no verdict", () => {
  const broken = { ...PLAN, run: { ...PLAN.run, rules: undefined as never } };
  expect(() => ask(broken, "https://github.com/")).toThrow(TypeError);
  expect(() => ask(broken, "https://github.com/")).not.toThrow(ProxyError);
});

import { describe, expect, test } from "bun:test";
import {
  allowedBy,
  type CheckPlan,
  compileCheck,
  exemptBy,
  passthroughFor,
} from "../../src/cli/check-plan.ts";
import { originText } from "../../src/cli/origin.ts";
import { type Flags, loadConfig } from "../../src/config/load.ts";
import { NO_FILE, readConfigFile } from "../../src/config/read-file.ts";
import { parseAuthority } from "../../src/values/authority.ts";

const YAML = `network:
  allow:
    - a.example
    - a.example:8443
  grants: [github]
  rules:
    - bare.example
    - b.example:
        - deny * /x
        - allow * /**
  allow_ips: [10.0.0.0/8]
  policy: strict
tls:
  passthrough: ["*.p.example"]
`;

function planOf(flags: Flags = {}): CheckPlan {
  const env = { HOME: "/nonexistent" };
  const readFile = (): string => YAML;
  const config = loadConfig({ file: "moat.yaml", flags, env, readFile });
  return compileCheck(config, readConfigFile("moat.yaml", readFile, env), () => ["10.9.9.9"]);
}

const plan = planOf({ allow: ["flag.example"], grants: ["openai"], allowIps: ["127.0.0.1"] });

describe("which entry allows a host", () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["a.example:443", "a.example, network.allow, line 3"],
    ["a.example:8443", "a.example:8443, network.allow, line 4"],
    ["flag.example:80", "flag.example, network.allow, --allow"],
    ["api.github.com:443", "github, network.grants, line 5"],
    ["api.openai.com:443", "openai, network.grants, --grant"],
    ["bare.example:443", "bare.example, network.rules, line 7"],
    ["b.example:443", undefined],
    ["other.example:443", undefined],
  ];
  for (const [authority, expected] of cases) {
    test(authority, () => {
      const found = allowedBy(plan, parseAuthority(authority));
      expect(found && `${found.entry.text}, ${found.key}, ${originText(found.entry)}`).toBe(expected);
    });
  }
});

test("the line of a rule, of the policy, of nothing", () => {
  expect(plan.ruleLine("b.example", "allow * /**")).toBe(10);
  expect(plan.ruleLine("b.example", "deny * /**")).toBeUndefined();
  expect(plan.ruleLine("c.example", "allow * /**")).toBeUndefined();
  expect(originText(plan.policyOrigin)).toBe("line 12");
  expect(originText({ line: undefined })).toBeUndefined();
  expect(planOf({ policy: "permissive" }).policyOrigin.line).toBeUndefined();
});

test("an exemption is named only for an address that is refused", () => {
  expect(exemptBy(plan, "10.9.9.9")).toMatchObject({ text: "10.0.0.0/8", line: 11 });
  expect(exemptBy(plan, "127.0.0.1")).toMatchObject({ text: "127.0.0.1", flag: "--allow-ip" });
  expect(exemptBy(plan, "10.1.1.1")).toBeUndefined();
  expect(exemptBy(plan, "169.254.169.254")).toBeUndefined();
});

test("the pattern that keeps a tunnel opaque", () => {
  expect(passthroughFor(plan, parseAuthority("x.p.example:443"))).toMatchObject({
    text: "*.p.example",
    line: 14,
  });
  expect(passthroughFor(plan, parseAuthority("p.example:443"))).toBeUndefined();
});

test("without a file there are no lines", () => {
  const config = loadConfig({
    flags: { allow: ["a.example"], policy: "strict" },
    env: {},
    readFile: () => "",
  });
  const { allow, policyOrigin } = compileCheck(config, NO_FILE, () => []);
  expect([allow, policyOrigin]).toEqual([
    [{ text: "a.example", line: undefined, flag: "--allow" }],
    { line: undefined },
  ]);
});

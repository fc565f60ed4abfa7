// The pages of `check` as a reader sees them, whole.

import { describe, expect, test } from "bun:test";
import { type CheckPlan, compileCheck } from "../../src/cli/check-plan.ts";
import { explain } from "../../src/cli/check-verdict.ts";
import { configLines, explanationJson, explanationLines, sourceText } from "../../src/cli/check-view.ts";
import { type Flags, loadConfig } from "../../src/config/load.ts";
import { readConfigFile } from "../../src/config/read-file.ts";
import { Secret } from "../../src/values/secret.ts";

const PLAIN = { colour: false, unicode: false };
const COLOURED = { colour: true, unicode: true };

function planOf(yaml: string, flags: Flags = {}): CheckPlan {
  const readFile = (): string => yaml;
  const config = loadConfig({ file: "moat.yaml", flags, env: {}, readFile });
  return compileCheck(config, readConfigFile("moat.yaml", readFile, {}), () => []);
}

const YAML = `proxy: { host: 0.0.0.0, port: 8080 }
credentials:
  - host: api.github.com
    grant: github
    source: { type: env, var: GITHUB_TOKEN }
  - host: "*.corp.example:8443"
    header: X-Key
    allow_cleartext: true
    source: { type: process, command: "vault read -field=x secret/very-private" }
  - host: github.com
    format: basic
    prefix: x-access-token
    source: { type: file, path: /run/token }
  - host: vcs.example
    prefix: token
    source: { type: static, value: very-private }
network:
  policy: strict
  grants: [github]
  allow: ["*.corp.example:8443"]
  rules:
    - vcs.example:
        - allow GET /repos/**
        - deny * /**
  allow_ips: [10.0.0.0/8]
tls:
  passthrough: [pinned.example]
`;

test("a whole configuration", () => {
  expect(configLines(planOf(YAML), PLAIN).join("\n")).toBe(`
Credentials
  line 3    api.github.com: the field Authorization gets Bearer (token for ghp_
            and ghs_, none if it names a scheme) and the value from the
            environment variable GITHUB_TOKEN. Sent to api.github.com alone, any
            port. Grant github.
  line 6    *.corp.example:8443: the field X-Key gets the value from the output
            of the command "vault …". Sent to every name below corp.example, not
            corp.example itself, port 8443. Over plain http:// too, to any
            address.
  line 10   github.com: the field Authorization gets Basic with the user name
            "x-access-token" and, as password, the value from the file
            /run/token. Sent to github.com alone, any port.
  line 14   vcs.example: the field Authorization gets token and the value from
            the config file. Sent to vcs.example alone, any port.

Network policy
  line 18   strict: only these hosts, and those with rules, may be reached
  line 20   *.corp.example:8443: every name below corp.example, not corp.example
            itself, port 8443
  line 19   grant github: github.com, api.github.com, *.githubusercontent.com,
            *.github.com

Rules
  The first rule of a host that matches decides; where none does, an allow entry
  for the host decides.
  line 23   vcs.example: "allow GET /repos/**" allows GET on /repos and
            everything below it
  line 24   vcs.example: "deny * /**" denies every method on every path

Opaque tunnels
  line 27   pinned.example: pinned.example alone, any port; nothing is seen or
            injected there

Addresses allowed although the built-in list refuses them
  line 25   10.0.0.0/8

Clients
  They connect to 0.0.0.0, port 8080, and must show a token that each start
  makes anew.`);
});

test("an AWS role, as it would be assumed", () => {
  const role = "arn:aws:iam::123456789012:role/sandbox";
  const lines = (yaml: string): string => configLines(planOf(yaml), PLAIN).join(" ").replaceAll(/\s+/g, " ");
  expect(lines(`aws: { role_arn: "${role}" }`)).toContain(
    `AWS Clients get credentials of ${role} at /_aws/credentials, good for 15 minutes. The proxy assumes the role with its host's AWS sign-in, at STS in us-east-1.`,
  );
  expect(
    lines(`aws: { role_arn: "${role}", region: eu-west-1, session_duration: 1h, profile: work }`),
  ).toContain("good for 60 minutes. The proxy assumes the role with the profile work, at STS in eu-west-1.");
  expect(lines("log: {}")).not.toContain("AWS");
});

test("colours change nothing but the colour, and no secret is shown", () => {
  const coloured = configLines(planOf(YAML), COLOURED).join("\n");
  expect(coloured).toContain("\u001b[1mCredentials");
  expect(Bun.stripANSI(coloured)).toBe(configLines(planOf(YAML), PLAIN).join("\n"));
  expect(coloured).not.toContain("very-private");
});

describe("other settings in words", () => {
  const cases: readonly (readonly [string, string, Flags, string])[] = [
    ["nothing at all", "", {}, "permissive: every host may be reached"],
    [
      "lists without effect",
      "network: { allow: [a.example] }",
      {},
      "reached; what allow and grants name makes no",
    ],
    ["no interception", "tls: { intercept: false }", {}, "Interception is off: every CONNECT is opaque"],
    [
      "a flag",
      "",
      { policy: "strict", allow: ["a.example"] },
      "  --allow   a.example: a.example alone, ports 80 and 443",
    ],
    ["any port", "", {}, "They connect to 127.0.0.1, at a port that the system picks, and need no token."],
    ["a token", "proxy: { auth_token: abc }", {}, "and must show the configured token."],
    ["no token by choice", "proxy: { host: 0.0.0.0 }", { noAuth: true }, "need no token."],
    [
      "rules under permissive",
      'network: { rules: [{ a.b: ["deny * /x"] }] }',
      {},
      "where none does, it is allowed.",
    ],
  ];
  for (const [name, yaml, flags, words] of cases) {
    test(name, () => {
      const text = configLines(planOf(yaml, flags), PLAIN).join("\n");
      expect(text.replaceAll(/\n +/g, " ")).toContain(words.trim());
    });
  }
});

test("a verdict, its steps and what is injected", () => {
  const plan = planOf(YAML);
  const question = { method: "GET", url: "https://vcs.example/repos/a", headers: [], address: undefined };
  expect(explanationLines(explain(plan, question), PLAIN).join("\n")).toBe(
    `GET https://vcs.example/repos/a: allowed

  rules        allowed by "allow GET /repos/**" for vcs.example (line 23)
  credential   Authorization from the config file, for vcs.example (line 14)`,
  );
  const denied = explain(plan, { ...question, url: "https://evil.example/" });
  expect(explanationLines(denied, PLAIN).join("\n")).toBe(
    `GET https://evil.example/: denied with 407, X-Moat-Blocked: network-policy

  policy       denied: the policy is strict, and nothing allows evil.example
               (line 18)`,
  );
  expect(explanationLines(denied, COLOURED)[0]).toContain("\u001b[1;31mdenied");
  const none = explain(plan, { ...question, url: "https://github.com.github.com/" });
  expect(explanationLines(none, PLAIN).at(-1)).toBe("  credential   none is injected");
});

test("for machines: every key is there, absent values are null", () => {
  const question = { method: "GET", url: "https://api.github.com/", headers: [], address: undefined };
  expect(explanationJson(explain(planOf(YAML), question))).toEqual({
    ...{ method: "GET", url: "https://api.github.com/", verdict: "allowed", status: null, blocked: null },
    steps: [{ what: "policy", text: "allowed by github in network.grants", line: 19, flag: null }],
    credentials: [
      {
        ...{ header: "Authorization", host: "api.github.com", grant: "github", line: 3 },
        source: "the environment variable GITHUB_TOKEN",
      },
    ],
  });
});

test("a credential of the store, by its name and profile", () => {
  expect(sourceText({ type: "store", provider: "mcp-linear", profile: undefined })).toBe(
    '"mcp-linear" in the credential store',
  );
  expect(sourceText({ type: "store", provider: "github", profile: "work" })).toBe(
    '"github" in the credential store (profile work)',
  );
});

test("of a command only its program is shown, of a static value nothing", () => {
  expect(sourceText({ type: "process", command: "  op read op://x", ttlMs: 1 })).toBe(
    'the output of the command "op …"',
  );
  expect(sourceText({ type: "process", command: "KEY=abc get", ttlMs: 1 })).toBe("the output of the command");
  expect(sourceText({ type: "static", value: new Secret("abc") })).toBe("the config file");
});

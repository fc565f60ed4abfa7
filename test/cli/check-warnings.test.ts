import { expect, test } from "bun:test";
import { compileCheck } from "../../src/cli/check-plan.ts";
import { configWarnings } from "../../src/cli/check-warnings.ts";
import { loadConfig } from "../../src/config/load.ts";
import { readConfigFile } from "../../src/config/read-file.ts";

function warnings(yaml: string): string[] {
  const readFile = (): string => yaml;
  const config = loadConfig({ file: "moat.yaml", flags: {}, env: {}, readFile });
  return configWarnings(compileCheck(config, readConfigFile("moat.yaml", readFile, {}), () => []));
}

/** One line each, from line 2 on. */
function credentials(...hosts: readonly string[]): string {
  const items = hosts.map((host) => `  - { host: "${host}", source: { type: static, value: x } }`);
  return `credentials:\n${items.join("\n")}\n`;
}

const NEVER = "is never used: the policy is strict, and nothing allows its host";
const CASES: readonly (readonly [string, string, readonly string[]])[] = [
  ["all is well", credentials("a.example", "*.b.example", "c.example:8443", "10.0.0.1"), []],
  [
    "nothing allows the host",
    `${credentials("a.example", "*.b.example", "c.example:8443")}network: { policy: strict, allow: ["*.b.example", c.example] }\n`,
    [
      `line 2: the Authorization for a.example ${NEVER}`,
      `line 4: the Authorization for c.example:8443 ${NEVER}`,
    ],
  ],
  [
    "rules allow it",
    `${credentials("a.example")}network: { policy: strict, rules: [{ a.example: ["allow * /**"] }] }\n`,
    [],
  ],
  [
    "a later one replaces it",
    credentials("a.example", "A.Example."),
    [
      "line 2: the Authorization for a.example is never used: a later credential (line 3) for the same host, " +
        "header and grant replaces it",
    ],
  ],
  [
    "its tunnels are opaque",
    `${credentials("a.example", "b.example")}tls:\n  passthrough:\n    - a.example\n`,
    [
      "line 2: the Authorization for a.example is not used in https: tls.passthrough lists a.example (line 6)",
    ],
  ],
];

for (const [name, yaml, expected] of CASES) {
  test(name, () => expect(warnings(yaml)).toEqual([...expected]));
}

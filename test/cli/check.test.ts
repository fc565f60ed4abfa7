import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { moatProxy, scratch } from "../support/command.ts";

const YAML = `credentials:
  - host: api.github.com
    source: { type: env, var: MOAT_TEST_TOKEN }
network:
  policy: strict
  grants: [github]
`;

/** A directory with the file as moat.yaml. */
function withFile(yaml: string): ReturnType<typeof scratch> {
  const place = scratch();
  writeFileSync(place.file("moat.yaml"), yaml);
  return place;
}

describe("a file", () => {
  test("that is valid is explained, without fetching a secret", () => {
    using place = withFile(YAML);
    const { status, stdout, stderr } = moatProxy(["check", "--config", "moat.yaml"], { cwd: place.dir });
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toStartWith("moat.yaml: valid\n\nCredentials\n  line 2    api.github.com:");
    expect(stdout).not.toContain("\u001b");
  });

  test("with mistakes: all of them on stderr, status 1", () => {
    using place = withFile("proxi: {}\nnetwork: { polcy: strict }\ncredentials: [{ host: a/b }]\n");
    const { status, stdout, stderr } = moatProxy(["check", "--config", "moat.yaml"], { cwd: place.dir });
    expect([status, stdout]).toEqual([1, ""]);
    const lines = stderr.trimEnd().split("\n");
    expect(lines.length).toBe(4);
    for (const line of lines) expect(line).toMatch(/^moat\.yaml:[123]: /);
    const json = moatProxy(["check", "--config", "moat.yaml", "--json"], { cwd: place.dir });
    expect([json.status, json.stderr]).toEqual([1, ""]);
    expect(JSON.parse(json.stdout)).toEqual({ valid: false, mistakes: lines });
  });

  test("with a credential without use: a warning, and still valid", () => {
    using place = withFile(YAML.replace("[github]", "[openai]"));
    const { status, stderr } = moatProxy(["check"], { env: { MOAT_PROXY_CONFIG: place.file("moat.yaml") } });
    expect(status).toBe(0);
    expect(stderr).toBe(
      "warning: line 2: the Authorization for api.github.com is never used: the policy\n" +
        "  is strict, and nothing allows its host\n",
    );
  });

  test("--fetch asks the sources", () => {
    using place = withFile(YAML);
    const args = ["check", "--config", place.file("moat.yaml"), "--fetch"];
    const missing = moatProxy(args);
    expect(missing.status).toBe(1);
    expect(missing.stdout).toContain("FAILED: environment variable");
    const there = moatProxy(args, { env: { MOAT_TEST_TOKEN: "never-shown-1" } });
    expect(there.status).toBe(0);
    expect(there.stdout + there.stderr).not.toContain("never-shown-1");
    const json: unknown = JSON.parse(moatProxy([...args, "--json"]).stdout);
    expect(json).toMatchObject({
      valid: true,
      credentials: 1,
      sources: [
        { host: "api.github.com", line: 2, problem: "environment variable MOAT_TEST_TOKEN is not set" },
      ],
    });
  });

  test("none: the defaults are explained", () => {
    const { status, stdout } = moatProxy(["check"]);
    expect(status).toBe(0);
    expect(stdout).toStartWith("no config file: the defaults and the flags: valid\n");
  });
});

describe("a URL", () => {
  const cases: readonly (readonly [string, readonly string[], number, string])[] = [
    ["allowed", ["https://api.github.com/user"], 0, "GET https://api.github.com/user: allowed\n"],
    ["denied", ["https://evil.example/"], 3, "denied with 407, X-Moat-Blocked: network-policy\n"],
    ["depends", ["http://api.github.com/"], 4, "GET http://api.github.com/: depends\n"],
    ["with a flag of serve", ["https://evil.example/", "--policy", "permissive"], 0, "allowed\n"],
  ];
  for (const [name, args, status, words] of cases) {
    test(`${name}: status ${status}`, () => {
      using place = withFile(YAML);
      const found = moatProxy(["check", ...args, "--config", place.file("moat.yaml")]);
      expect([found.status, found.stderr]).toEqual([status, ""]);
      expect(found.stdout).toContain(words);
      const json = moatProxy(["check", ...args, "--json", "--config", place.file("moat.yaml")]);
      expect(json.status).toBe(status);
      expect(JSON.parse(json.stdout)).toMatchObject({ verdict: name.startsWith("with") ? "allowed" : name });
    });
  }

  test("of a file with mistakes is no verdict", () => {
    using place = withFile("nothing: 1\n");
    expect(moatProxy(["check", "https://a.example/", "--config", place.file("moat.yaml")]).status).toBe(1);
  });

  test("that is none: status 2", () => {
    const { status, stderr } = moatProxy(["check", "api.github.com"]);
    expect([status, stderr]).toEqual([
      2,
      'moat-proxy: "api.github.com" is no URL, expected one such as https://api.github.com/user\n',
    ]);
  });
});

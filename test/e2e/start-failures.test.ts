// Start-up failures (wire.md section 1): "Exit: … 1 for a config or start-up failure; 2 for usage. One line per
// mistake says why, naming the file and key." and nothing on stdout.
import { describe, expect, test } from "bun:test";
import { complaints, run, startProxy } from "../support/binary.ts";
import { within } from "../support/byte-stream.ts";
import { SECRET } from "../support/secrets.ts";

describe("A bad flag exits 2 with one line that names the flag, the value and what was expected", () => {
  const bad: readonly (readonly string[])[] = [
    ["--port", "abc"],
    ["--port", "70000"],
    ["--port", "-1"],
    ["--port", "1.5"],
    ["--policy", "loose"],
    ["--allow", "bad/pattern"],
    ["--allow", "a.*.test"],
    ["--allow", "host:99999"],
    ["--allow", ""],
    ["--allow-ip", "not-a-cidr"],
    ["--allow-ip", "10.0.0.0/33"],
    ["--allow-ip", "10.0.0.300/8"],
    ["--log-level", "loud"],
    ["--log-format", "xml"],
    ["--drain-timeout", "soon"],
    ["--drain-timeout", "-5"],
  ];
  for (const [flag = "", given = ""] of bad) {
    test(`${flag} ${given}`, async () => {
      await using child = run({ args: [flag, given], loopback: false });
      expect(await within(child.exited, "end")).toBe(2);
      expect(child.stdout).toBe("");
      const lines = complaints(child.stderr);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain(flag);
      if (given !== "") expect(lines[0]).toContain(given);
      expect((lines[0] ?? "").length).toBeGreaterThan(flag.length + given.length + 10);
    });
  }

  for (const args of [["--prot", "0"], ["--no-such-flag"], ["no-such-command"], ["--port"]]) {
    test(`unknown or incomplete: ${args.join(" ")}`, async () => {
      await using child = run({ args, loopback: false, standardArgs: false });
      expect(await within(child.exited, "end")).toBe(2);
      expect(child.stdout).toBe("");
      expect(child.stderr).toContain(args[0] ?? "");
    });
  }
});

describe("exit 1 for a config or start-up failure; one line per mistake says why, naming the file and key", () => {
  const bad: readonly (readonly [name: string, yaml: string, ...said: string[]])[] = [
    ["no YAML", "proxy: [", "moat-proxy.yaml"],
    ["a port that is no number", "proxy:\n  port: many\n", "moat-proxy.yaml", "proxy.port"],
    ["a port out of range", "proxy:\n  port: 99999\n", "proxy.port"],
    ["a policy that is none", "network:\n  policy: loose\n", "network.policy"],
    ["a bad CIDR", "network:\n  allow_ips: [nonsense]\n", "network.allow_ips", "nonsense"],
    ["an unknown key", "proxy:\n  prot: 1\n", "proxy.prot", "port"],
    ["a duplicate key", "proxy:\n  port: 1\n  port: 2\n", "port"],
    ["tls.ca_cert without tls.ca_key", "tls:\n  ca_cert: /nonexistent/ca.crt\n", "ca_key"],
    [
      "a credential without a host",
      "credentials:\n  - source: {type: static, value: x}\n",
      "credentials",
      "host",
    ],
    ["a credential without a source", "credentials:\n  - host: a.test\n", "credentials", "source"],
    [
      "a host that can never match",
      "credentials:\n  - host: https://a.test/\n    source: {type: static, value: x}\n",
      "host",
    ],
    [
      "a field of another source type",
      "credentials:\n  - host: a.test\n    source: {type: static, value: x, var: Y}\n",
      "var",
    ],
    ["a log level that is none", "log:\n  level: loud\n", "log.level", "loud"],
    ["a key for later", "postgres:\n  port: 5432\n", "postgres", "not supported yet"],
  ];
  for (const [name, yaml, ...said] of bad) {
    test(name, async () => {
      await using child = run({ config: yaml });
      expect(await within(child.exited, "end")).toBe(1);
      expect(child.stdout).toBe("");
      for (const word of said) expect(child.stderr).toContain(word);
      expect(child.stderr).toContain("moat-proxy.yaml");
      expect(child.stderr).not.toMatch(/\n\s+at /);
    });
  }

  test("two mistakes are two lines", async () => {
    await using child = run({ config: "proxy:\n  port: many\nnetwork:\n  policy: loose\n" });
    expect(await within(child.exited, "end")).toBe(1);
    expect(complaints(child.stderr)).toHaveLength(2);
  });

  test("a secret in a config file that is refused is not printed", async () => {
    await using child = run({
      config: { credentials: [{ host: "a b", source: { type: "static", value: SECRET } }], x: SECRET },
    });
    expect(await within(child.exited, "end")).toBe(1);
    expect(child.stderr).not.toContain(SECRET);
  });

  for (const [name, args] of [
    ["a config file that is not there", ["--config", "/nonexistent/file.yaml"]],
    ["an upstream CA file that is not there", ["--upstream-ca", "/nonexistent/roots.pem"]],
  ] as const) {
    test(name, async () => {
      await using child = run({ args, loopback: false });
      expect(await within(child.exited, "end")).toBe(1);
      expect(complaints(child.stderr)).toHaveLength(1);
      expect(child.stderr).toContain(args[1]);
    });
  }

  test("an upstream CA file without a certificate", async () => {
    await using child = run({ args: ["--upstream-ca", "/dev/null"], loopback: false });
    expect(await within(child.exited, "end")).toBe(1);
    expect(child.stderr).toContain("/dev/null");
  });

  test("a port that is taken", async () => {
    await using proxy = await startProxy();
    await using child = run({ args: ["--port", String(proxy.port)] });
    expect(await within(child.exited, "end")).toBe(1);
    expect(child.stdout).toBe("");
    expect(complaints(child.stderr)).toHaveLength(1);
    expect(child.stderr).toContain(String(proxy.port));
  });
});

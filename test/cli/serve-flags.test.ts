import { describe, expect, test } from "bun:test";
import { UsageError } from "../../src/cli/argv.ts";
import { readServeFlags, serveArgs } from "../../src/cli/serve-flags.ts";

test("every flag becomes its setting", () => {
  const { authToken, ...rest } = readServeFlags([
    ...["--config", "moat.yaml", "--port", "8080", "--bind", "0.0.0.0", "--auth-token", "t0ken"],
    ...["--ca-dir", "ca", "--no-intercept", "--policy", "strict", "--upstream-ca", "roots.pem"],
    ...["--allow", "a.example", "--allow=*.b.example:8443", "--grant", "github", "--grant", "aws"],
    ...["--allow-ip", "127.0.0.1", "--allow-ip", "10.0.0.0/8", "--ready-file", "r.json"],
    ...["--drain-timeout", "1m30s", "--log-level", "debug", "--log-format", "json"],
    ...["--token-out", "token", "--advertise-host", "Proxy.Example", "--log-output", "moat.log"],
    ...["--metrics-listen", "[::1]:9090", "--aws-role-arn", "arn:aws:iam::123456789012:role/a"],
    ...["--aws-region", "eu-west-1", "--aws-session-duration", "1h", "--aws-external-id", "their-id"],
    ...["--aws-profile", "work"],
  ]);
  expect(rest).toEqual({
    config: "moat.yaml",
    port: 8080,
    host: "0.0.0.0",
    caDir: "ca",
    noIntercept: true,
    policy: "strict",
    upstreamCa: "roots.pem",
    allow: ["a.example", "*.b.example:8443"],
    grants: ["github", "aws"],
    allowIps: ["127.0.0.1", "10.0.0.0/8"],
    readyFile: "r.json",
    drainMs: 90_000,
    logLevel: "debug",
    logFormat: "json",
    tokenOut: "token",
    advertiseHost: "proxy.example",
    logOutput: "moat.log",
    metricsListen: { host: "::1", port: 9090 },
    aws: {
      roleARN: "arn:aws:iam::123456789012:role/a",
      region: "eu-west-1",
      sessionDuration: 3_600_000,
      externalID: "their-id",
      profile: "work",
    },
  });
  expect(authToken?.reveal()).toBe("t0ken");
  expect(readServeFlags(["--no-auth"])).toEqual({ noAuth: true });
  expect(readServeFlags(["--auth-token-file", "t"])).toEqual({ authTokenFile: "t" });
});

describe("a bad value: flag, value and what was expected", () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [["--port", "70000"], '--port: "70000" is no port, expected 0 to 65535'],
    [["--bind", "*"], '--bind: "*" is no address, expected an IP address or a host name'],
    [["--policy", "loose"], '--policy: "loose" is not accepted, expected strict or permissive'],
    [["--log-level", "INFO"], '--log-level: "INFO" is not accepted, expected debug, info, warn or error'],
    [["--log-format", "xml"], '--log-format: "xml" is not accepted, expected text or json'],
    [["--grant", "githb"], '--grant: unknown grant "githb", did you mean "github"?'],
    [["--config", ""], "--config: expected a path"],
    [
      ["--auth-token", "two words"],
      "--auth-token: a token is 1 to 512 visible ASCII characters without spaces (the value is not shown)",
    ],
    [["--no-auth", "--auth-token", "x"], "--no-auth: excludes --auth-token, expected one of them"],
    [["--no-auth", "--token-out", "x"], "--no-auth: excludes --token-out, expected one of them"],
    [
      ["--auth-token-file", "x", "--auth-token", "y"],
      "--auth-token: excludes --auth-token-file, expected one of them",
    ],
    [
      ["--aws-role-arn", "moat"],
      '--aws-role-arn: "moat" is no ARN, expected one such as arn:aws:iam::123456789012:role/name',
    ],
    [["--aws-region", "europe"], '--aws-region: "europe" is no region, expected one such as eu-central-1'],
    [
      ["--aws-session-duration", "5m"],
      "--aws-session-duration: a session lasts 15m to 12h, in whole seconds",
    ],
    [
      ["--aws-external-id", "x"],
      "--aws-external-id: an external id is 2 to 1224 letters, digits or +=,.@:/_- (the value is not shown)",
    ],
    [["--aws-profile", ""], "--aws-profile: is no profile, expected the name of one in ~/.aws/config"],
    [["--control", "x"], "--control: not supported yet"],
    [["--log-output", ""], "--log-output: expected a path"],
    [
      ["--metrics-listen", "here"],
      '--metrics-listen: "here" is no address to listen on, expected a port such as 9090, or 127.0.0.1:9090',
    ],
    [
      ["--advertise-host", "http://x"],
      '--advertise-host: "http://x" is no address, expected an IP address or a host name',
    ],
    [
      ["--drain-timeout", "5"],
      '--drain-timeout: "5" is no duration, expected a number with its unit, such as 500ms, 10s or 15m',
    ],
  ];
  for (const [args, message] of cases) {
    test(args.join(" "), () => expect(() => readServeFlags(args)).toThrow(new UsageError(message)));
  }

  for (const [flag, value] of [
    ["--allow", "a/b"],
    ["--allow-ip", "10.0.0.1/8"],
  ] as const) {
    test(`${flag} ${value}`, () => {
      expect(() => readServeFlags([flag, value])).toThrow(UsageError);
      expect(() => readServeFlags([flag, value])).toThrow(new RegExp(`^${flag}: .*"${value}"[^\\n]*$`));
    });
  }
});

test("every flag has its line in the help text", () => {
  for (const [name, arg] of Object.entries(serveArgs)) {
    expect(`${name}: ${arg.description}`).toMatch(/^[a-z-]+: [^\n]{10,90}$/);
  }
});

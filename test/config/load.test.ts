import { describe, expect, test } from "bun:test";
import { DEFAULT_LIMITS } from "../../src/config/config.ts";
import { ConfigError } from "../../src/config/config-error.ts";
import { type Environment, type Flags, loadConfig } from "../../src/config/load.ts";
import { Secret } from "../../src/values/secret.ts";

function load(
  text: string | undefined,
  flags: Flags = {},
  env: Environment = {},
): ReturnType<typeof loadConfig> {
  return loadConfig({
    file: text === undefined ? undefined : "moat.yaml",
    flags,
    env: { HOME: "/home/op", ...env },
    readFile: () => text ?? "",
  });
}

function mistakes(text: string, env: Environment = {}): readonly string[] {
  try {
    load(text, {}, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

describe("without a file", () => {
  test("every default of the contract", () => {
    expect(load(undefined)).toEqual({
      proxy: {
        host: "127.0.0.1",
        port: 0,
        authToken: undefined,
        noAuth: false,
        localHosts: [],
        allowedOrigins: [],
      },
      tls: {
        intercept: true,
        caDir: "/home/op/.moat/proxy/ca",
        caCert: undefined,
        caKey: undefined,
        upstreamCa: undefined,
        plainPorts: [80],
      },
      credentials: [],
      network: { policy: "permissive", allow: [], grants: [], allowIps: [] },
      log: { level: "info", format: "text" },
      limits: DEFAULT_LIMITS,
      readyFile: undefined,
    });
  });

  test("an empty file, and one of comments, change nothing", () => {
    for (const text of ["", "# nothing\n", "proxy:\ncredentials:\n"])
      expect(load(text)).toEqual(load(undefined));
  });
});

const FULL = `
proxy:
  host: 0.0.0.0
  port: 8080
  auth_token: proxy-token
  local_hosts: [Proxy.Internal.]
  allowed_origins: ["https://app.example.com"]
tls:
  ca_cert: /etc/moat/ca.crt
  ca_key: /etc/moat/ca.key
  intercept: false
  upstream_ca: /etc/roots.pem
  plain_ports: [80, 8080]
credentials:
  - host: api.github.com
    grant: github
    source: { type: env, var: GITHUB_TOKEN }
  - host: "*.example.com"
    header: X-Api-Key
    prefix: x-access-token
    format: basic
    allow_cleartext: true
    source: { type: static, value: hunter2 }
network:
  policy: strict
  allow: [api.example.com, "*.example.com:8443"]
  grants: [github, "openai:chat"]
  allow_ips: [127.0.0.1, 10.0.0.0/8]
limits:
  response_header_timeout: 1m30s
  drain_timeout: 0
  max_connections: 7
log:
  level: warn
  format: json
`;

test("every key of this issue is read", () => {
  const config = load(FULL.replace("drain_timeout: 0", 'drain_timeout: "0"'));
  expect(config.proxy).toMatchObject({
    host: "0.0.0.0",
    port: 8080,
    localHosts: ["proxy.internal"],
    allowedOrigins: ["https://app.example.com"],
  });
  expect(config.proxy.authToken?.reveal()).toBe("proxy-token");
  expect(config.tls).toEqual({
    intercept: false,
    caDir: "/home/op/.moat/proxy/ca",
    caCert: "/etc/moat/ca.crt",
    caKey: "/etc/moat/ca.key",
    upstreamCa: "/etc/roots.pem",
    plainPorts: [80, 8080],
  });
  expect(config.credentials[0]).toEqual({
    host: "api.github.com",
    header: "Authorization",
    prefix: undefined,
    format: "",
    grant: "github",
    allowCleartext: false,
    source: { type: "env", variable: "GITHUB_TOKEN" },
  });
  const [, second] = config.credentials;
  expect(second).toMatchObject({
    header: "X-Api-Key",
    prefix: "x-access-token",
    format: "basic",
    allowCleartext: true,
  });
  expect(second?.source.type === "static" ? second.source.value.reveal() : "").toBe("hunter2");
  expect(config.network).toEqual({
    policy: "strict",
    allow: ["api.example.com", "*.example.com:8443"],
    grants: ["github", "openai:chat"],
    allowIps: ["127.0.0.1", "10.0.0.0/8"],
  });
  expect(config.limits).toEqual({
    ...DEFAULT_LIMITS,
    responseHeaderMs: 90_000,
    drainMs: 0,
    maxConnections: 7,
  });
  expect(config.log).toEqual({ level: "warn", format: "json" });
});

test("a loaded configuration prints no secret", () => {
  const printed =
    Bun.inspect(load(FULL.replace("drain_timeout: 0", "drain_timeout: 1s"))) +
    JSON.stringify(load("proxy: { auth_token: proxy-token }"));
  expect(printed).not.toContain("hunter2");
  expect(printed).not.toContain("proxy-token");
});

describe("what wins", () => {
  const file =
    "proxy: { port: 1, auth_token: from-file }\nnetwork: { policy: strict, allow: [a.example], grants: [github], allow_ips: [10.0.0.1] }\nlog: { level: warn }\ntls: { ca_cert: c, ca_key: k }\n";

  test("flags win over the file, and lists are added to", () => {
    const config = load(file, {
      port: 2,
      policy: "permissive",
      allow: ["b.example"],
      grants: ["aws"],
      allowIps: ["10.0.0.2"],
      logLevel: "debug",
      drainMs: 1,
      readyFile: "r",
    });
    expect(config.proxy.port).toBe(2);
    expect(config.network).toEqual({
      policy: "permissive",
      allow: ["a.example", "b.example"],
      grants: ["github", "aws"],
      allowIps: ["10.0.0.1", "10.0.0.2"],
    });
    expect([config.log.level, config.limits.drainMs, config.readyFile]).toEqual(["debug", 1, "r"]);
  });

  test("token: flag, then environment, then file; --no-auth over all", () => {
    const env = { MOAT_PROXY_AUTH_TOKEN: "from-env" };
    const flag = new Secret("from-flag");
    expect(load(file).proxy.authToken?.reveal()).toBe("from-file");
    expect(load(file, {}, env).proxy.authToken?.reveal()).toBe("from-env");
    expect(load(file, { authToken: flag }, env).proxy.authToken?.reveal()).toBe("from-flag");
    expect(load(file, { noAuth: true }, env).proxy).toMatchObject({ authToken: undefined, noAuth: true });
    expect(load(file, {}, { MOAT_PROXY_AUTH_TOKEN: "" }).proxy.authToken?.reveal()).toBe("from-file");
  });

  test("--ca-dir replaces the pair of the file, --no-intercept the switch", () => {
    expect(load(file).tls).toMatchObject({ caCert: "c", caKey: "k" });
    expect(load(file, { caDir: "d", noIntercept: true }).tls).toMatchObject({
      caDir: "d",
      caCert: undefined,
      caKey: undefined,
      intercept: false,
    });
  });
});

describe("one line for each mistake", () => {
  const source = "source: { type: env, var: X }";
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    [
      "unknown key with its path and the nearest one",
      `credentials:\n  - host: a.example\n    ${source}\n  - host: b.example\n    souce: { type: env, var: X }\n`,
      [
        "moat.yaml:4: credentials[1].source: required",
        'moat.yaml:5: credentials[1].souce: unknown key, did you mean "source"?',
      ],
    ],
    [
      "at the top",
      "polcy: 1\nlogs: {}\n",
      ["moat.yaml:1: polcy: unknown key", 'moat.yaml:2: logs: unknown key, did you mean "log"?'],
    ],
    [
      "a key that is right elsewhere",
      "\nallow: []\n",
      ["moat.yaml:2: allow: unknown key, it belongs under network"],
    ],
    ["a key that no word can be", '"a b\\n": 1', ['moat.yaml:1: "a b\\n": unknown key']],
    ["the prototype", "__proto__: { port: 1 }", ["moat.yaml:1: __proto__: unknown key"]],
    [
      "duplicate keys",
      "proxy:\n  port: 1\n  port: 2\n",
      ["moat.yaml:3: port: duplicate key, an earlier line of this mapping has it too"],
    ],
    ["no mapping", "- a\n", ["moat.yaml:1: expected a mapping of keys to values"]],
    ["two documents", "proxy:\n---\nlog:\n", ["moat.yaml:2: a second document begins here, expected one"]],
    [
      "an unquoted wildcard",
      "network:\n  allow:\n    - *.example.com\n",
      ["moat.yaml:3: an alias that nothing defines; a value that begins with * must stand in quotes"],
    ],
    [
      "wrong types",
      "proxy: { port: '80', host: 1 }\ntls: []\nlog: x\n",
      [
        "moat.yaml:1: proxy.host: expected a string: put the value in quotes",
        "moat.yaml:1: proxy.port: expected a number",
        "moat.yaml:2: tls: expected a mapping of keys to values",
        "moat.yaml:3: log: expected a mapping of keys to values",
      ],
    ],
    [
      "a port out of range",
      "proxy: { port: 65536 }",
      ["moat.yaml:1: proxy.port: expected a whole number from 0 to 65535"],
    ],
    [
      "a host pattern that can never match",
      `credentials: [{ host: a/b, ${source} }]`,
      [
        'moat.yaml:1: credentials[0].host: host pattern "a/b" contains a slash, but takes no scheme and no path: write a host such as api.example.com, *.example.com or api.example.com:8443',
      ],
    ],
    [
      "an unknown policy",
      "network: { policy: paranoid }",
      ['moat.yaml:1: network.policy: "paranoid" is not accepted, expected strict or permissive'],
    ],
    [
      "an unknown grant",
      "network: { grants: [githb] }",
      ['moat.yaml:1: network.grants[0]: unknown grant "githb", did you mean "github"?'],
    ],
    [
      "half a CA",
      "tls:\n  intercept: true\n  ca_key: k\n",
      ["moat.yaml:3: tls.ca_key: needs tls.ca_cert as well"],
    ],
    [
      "half a CA beside another mistake",
      "tls:\n  ca_cert: c\n  ca_kee: k\n",
      [
        "moat.yaml:2: tls.ca_cert: needs tls.ca_key as well",
        'moat.yaml:3: tls.ca_kee: unknown key, did you mean "ca_key"?',
      ],
    ],
    [
      "a field of another source type",
      "credentials: [{ host: a.example, source: { type: static, value: v, var: X } }]",
      ['moat.yaml:1: credentials[0].source.var: is a field of source type "env", type "static" takes value'],
    ],
    [
      "a source type to come",
      "credentials: [{ host: a.example, source: { type: process, command: x } }]",
      [
        'moat.yaml:1: credentials[0].source.type: source type "process" is not supported yet, expected static or env',
      ],
    ],
    [
      "a mistyped source type",
      "credentials: [{ host: a.example, source: { type: statc, value: x } }]",
      ['moat.yaml:1: credentials[0].source.type: unknown source type "statc", did you mean "static"?'],
    ],
    [
      "a time without its unit",
      "limits: { dial_timeout: '10' }",
      [
        'moat.yaml:1: limits.dial_timeout: "10" is no duration, expected a number with its unit, such as 500ms, 10s or 15m',
      ],
    ],
    [
      "a limit of no time",
      "limits: { head_timeout: 0s }",
      ['moat.yaml:1: limits.head_timeout: "0s" is out of range, expected 1ms to 168h'],
    ],
    ["a null in a list", "network: { allow: [~] }", ["moat.yaml:1: network.allow[0]: expected a string"]],
  ];
  for (const [name, text, expected] of cases)
    test(name, () => expect([...mistakes(text)]).toEqual([...expected]));

  test("all at once, in the order of the file", () => {
    const found = mistakes(
      "log: { level: loud }\nproxy: { prt: 1 }\nnetwork: { allow_ips: [10.0.0.1/8] }\nfoo: 1\n",
    );
    expect(found.map((line) => line.slice(0, 12))).toEqual([
      "moat.yaml:1:",
      "moat.yaml:2:",
      "moat.yaml:3:",
      "moat.yaml:4:",
    ]);
  });

  test("the environment's mistakes come with the file's", () => {
    expect([...mistakes("foo: 1\n", { MOAT_PROXY_AUTH_TOKEN: "two words" })]).toEqual([
      "moat.yaml:1: foo: unknown key",
      "MOAT_PROXY_AUTH_TOKEN: a token is 1 to 512 visible ASCII characters without spaces (the value is not shown)",
    ]);
  });

  test("a file that cannot be read", () => {
    const load = (code: string) => () =>
      loadConfig({
        file: "no/moat.yaml",
        flags: {},
        env: {},
        readFile: () => {
          throw Object.assign(new Error("open failed"), { code });
        },
      });
    expect(load("ENOENT")).toThrow("no/moat.yaml: cannot be read: no such file");
    expect(load("EACCES")).toThrow("no/moat.yaml: cannot be read: permission denied");
  });
});

describe("Decision: every Gatekeeper key is known", () => {
  const later: readonly (readonly [string, string])[] = [
    ["proxy.proxy_protocol", "proxy: { proxy_protocol: true }"],
    ["proxy.auth_token_env", "proxy: { auth_token_env: X }"],
    ["tls.passthrough", "tls: { passthrough: [a.example] }"],
    ["tls.system_roots", "tls: { system_roots: true }"],
    ["tls.client_certs", "tls: { client_certs: [] }"],
    ["extra_headers", "extra_headers: []"],
    ["remove_headers", "remove_headers: []"],
    ["token_substitutions", "token_substitutions: []"],
    ["response_transformers", "response_transformers: []"],
    ["relays", "relays: []"],
    ["mcp_servers", "mcp_servers: []"],
    ["aws", "aws: { role_arn: x }"],
    ["postgres", "postgres: { port: 5432 }"],
    ["network.rules", "network: { rules: [] }"],
    ["network.upstream_proxy", "network: { upstream_proxy: x }"],
    ["network.deny_status", "network: { deny_status: 403 }"],
    ["log.output", "log: { output: stderr }"],
    ["log.capture_headers", "log: { capture_headers: [] }"],
    ["log.query", "log: { query: true }"],
  ];
  for (const [key, text] of later) {
    test(`${key} is not supported yet, and not unknown`, () =>
      expect([...mistakes(text)]).toEqual([`moat.yaml:1: ${key}: not supported yet`]));
  }
});

describe("a mistake never shows a secret", () => {
  const secret = "hunter2-s3cret";
  const cases: readonly (readonly [string, string])[] = [
    [
      "beside a bad value",
      `credentials: [{ host: a/b, header: Host, source: { type: static, value: ${secret} } }]`,
    ],
    [
      "in a value of another type's field",
      `credentials: [{ host: a.example, source: { type: env, value: ${secret} } }]`,
    ],
    [
      "with a line break",
      `credentials: [{ host: a.example, source: { type: static, value: "${secret}\\n" } }]`,
    ],
    [
      "as the name of a variable",
      `credentials: [{ host: a.example, source: { type: env, var: ${secret} } }]`,
    ],
    ["as a list", `credentials: [{ host: a.example, source: { type: static, value: [${secret}] } }]`],
    ["as the whole source", `credentials: [{ host: a.example, source: ${secret} }]`],
    ["a token with a space", `proxy: { auth_token: "${secret} x" }`],
    ["read as an alias", `proxy: { auth_token: *${secret} }`],
    ["read as a tag", `proxy: { auth_token: !${secret} x }`],
    ["in a broken quote", `proxy:\n  auth_token: "${secret}\n`],
    ["in a bad escape", `proxy:\n  auth_token: "\\q${secret}"\n`],
    ["behind a tab", `proxy:\n\tauth_token: ${secret}\n`],
    ["in a nested mapping", `proxy:\n  auth_token: a: ${secret}\n`],
    ["in a host pattern's user information", `network: { allow: ["user:${secret}@a.example"] }`],
  ];
  for (const [name, text] of cases) {
    test(name, () => {
      const found = mistakes(text);
      expect(found.length).toBeGreaterThan(0);
      expect(found.join("\n")).not.toContain(secret);
      for (const line of found) expect(line).toMatch(/^moat\.yaml:[0-9]+: [^\n]+$/);
    });
  }

  test("a bad token in the environment", () => {
    expect(mistakes("", { MOAT_PROXY_AUTH_TOKEN: `${secret} x` }).join()).not.toContain(secret);
  });
});

test("aliases that expand without bound are refused", () => {
  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x, x]"];
  for (let i = 0; i < 6; i++) {
    const [name, before] = [String.fromCharCode(98 + i), String.fromCharCode(97 + i)];
    bomb.push(`${name}: &${name} [${`*${before}, `.repeat(9)}*${before}]`);
  }
  expect(mistakes(bomb.join("\n")).length).toBe(1);
});

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
        proxyProtocol: false,
      },
      tls: {
        intercept: true,
        caDir: "/home/op/.moat/proxy/ca",
        caCert: undefined,
        caKey: undefined,
        upstreamCa: undefined,
        plainPorts: [80],
        passthrough: [],
        systemRoots: false,
        clientCerts: [],
      },
      credentials: [],
      extraHeaders: [],
      removeHeaders: [],
      tokenSubstitutions: [],
      responseTransformers: [],
      relays: [],
      mcpServers: [],
      network: {
        policy: "permissive",
        allow: [],
        grants: [],
        allowIps: [],
        rules: [],
        upstreamProxy: undefined,
        denyStatus: 407,
      },
      aws: undefined,
      log: { level: "info", format: "text", output: "stderr", captureHeaders: [], query: false },
      limits: DEFAULT_LIMITS,
      metricsListen: undefined,
      readyFile: undefined,
    });
  });

  test("an empty file, and one of comments, change nothing", () => {
    for (const text of ["", "# nothing\n", "credentials:\ntls:\n"])
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
  proxy_protocol: true
tls:
  ca_cert: /etc/moat/ca.crt
  ca_key: /etc/moat/ca.key
  intercept: false
  upstream_ca: /etc/roots.pem
  plain_ports: [80, 8080]
  system_roots: true
  passthrough: [pinned.example.com, "*.mtls.example.com:8443"]
  client_certs:
    - { host: "*.mtls.example.com", cert: /etc/client.crt, key: /etc/client.key }
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
  - host: c.example
    source: { type: file, path: /run/secrets/c }
  - host: d.example
    source: { type: process, command: "vault read \${PATH}", ttl: 90s }
  - host: e.example
    source: { type: process, command: print-token }
network:
  policy: strict
  allow: [api.example.com, "*.example.com:8443"]
  grants: [github, "openai:chat"]
  allow_ips: [127.0.0.1, 10.0.0.0/8]
  rules:
    - plain.example
    - api.github.com: ["allow GET /repos/**", "deny * /**"]
  upstream_proxy: http://user:p%40ss@Proxy.corp.example:3128
  deny_status: 403
limits:
  response_header_timeout: 1m30s
  drain_timeout: 0
  max_connections: 7
  max_head_bytes: 8192
  max_head_fields: 50
log:
  level: warn
  format: json
  output: /var/log/moat.log
  capture_headers: [X-Trace-Id, x-trace-id, Referer]
  query: true
metrics:
  listen: 9090
`;

test("every key is read", () => {
  const config = load(FULL.replace("drain_timeout: 0", 'drain_timeout: "0"'));
  expect(config.proxy).toMatchObject({
    host: "0.0.0.0",
    port: 8080,
    localHosts: ["proxy.internal"],
    proxyProtocol: true,
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
    passthrough: ["pinned.example.com", "*.mtls.example.com:8443"],
    systemRoots: true,
    clientCerts: [{ host: "*.mtls.example.com", cert: "/etc/client.crt", key: "/etc/client.key" }],
  });
  expect(config.credentials[0]).toEqual({
    host: "api.github.com",
    header: "Authorization",
    prefix: undefined,
    format: "",
    grant: "github",
    allowCleartext: false,
    source: { type: "env", variable: "GITHUB_TOKEN" },
    line: lineIn(FULL, "- host: api.github.com"),
  });
  expect(config.credentials.slice(2).map(({ source }) => source)).toEqual([
    { type: "file", path: "/run/secrets/c" },
    { type: "process", command: `vault read \${PATH}`, ttlMs: 90_000 },
    { type: "process", command: "print-token", ttlMs: 300_000 },
  ]);
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
    rules: [
      { host: "plain.example", rules: [], line: lineIn(FULL, "- plain.example") },
      {
        host: "api.github.com",
        rules: ["allow GET /repos/**", "deny * /**"],
        line: lineIn(FULL, "- api.github.com"),
      },
    ],
    upstreamProxy: { host: "proxy.corp.example", port: 3128, authorization: expect.any(Secret) },
    denyStatus: 403,
  });
  expect(config.network.upstreamProxy?.authorization?.reveal()).toBe(`Basic ${btoa("user:p@ss")}`);
  expect(config.metricsListen).toEqual({ host: "127.0.0.1", port: 9090 });
  expect(config.limits).toEqual({
    ...DEFAULT_LIMITS,
    responseHeaderMs: 90_000,
    drainMs: 0,
    maxConnections: 7,
    head: { maxHeadBytes: 8_192, maxHeadFields: 50 },
  });
  expect(config.log).toEqual({
    level: "warn",
    format: "json",
    output: "/var/log/moat.log",
    captureHeaders: ["x-trace-id", "referer"],
    query: true,
  });
});

const INJECTION = `
extra_headers:
  - { host: api.anthropic.com, header: anthropic-beta, value: oauth-2025-04-20 }
  - { host: "*.Example.com:8443", header: X-Flag, value: "a, b" }
remove_headers:
  - { host: api.anthropic.com, header: X-Api-Key }
token_substitutions:
  - host: api.telegram.org
    placeholder: telegram-token-placeholder
    source: { type: env, var: TELEGRAM }
  - host: a.example
    placeholder: tok-\${NAME}
    source: { type: static, value: hunter2 }
  - host: b.example
    placeholder: "{{TOKEN}}"
    source: { type: process, command: "echo \${NAME}" }
response_transformers:
  - { host: api.anthropic.com, kind: oauth-endpoint-workaround }
  - { host: api.anthropic.com, kind: response-scrub }
relays:
  - { name: langfuse, url: "http://localhost:3000/api/" }
mcp_servers:
  - { name: open, url: https://open.example/mcp }
  - { name: linear, url: https://mcp.linear.app/mcp, auth: { grant: linear } }
  - { name: notes, url: https://notes.example, auth: { grant: "oauth:notion", header: X-Key } }
`;

describe("what is put into requests, changed in answers, and served under paths of the proxy's own", () => {
  const config = load(INJECTION, {}, { NAME: "n" });

  test("every key is read, as written and in order", () => {
    expect(config.extraHeaders).toEqual([
      { host: "api.anthropic.com", header: "anthropic-beta", value: "oauth-2025-04-20" },
      { host: "*.Example.com:8443", header: "X-Flag", value: "a, b" },
    ]);
    expect(config.removeHeaders).toEqual([{ host: "api.anthropic.com", header: "X-Api-Key" }]);
    expect(config.responseTransformers).toEqual([
      { host: "api.anthropic.com", kind: "oauth-endpoint-workaround" },
      { host: "api.anthropic.com", kind: "response-scrub" },
    ]);
    expect(config.relays).toEqual([{ name: "langfuse", url: "http://localhost:3000/api/" }]);
    expect(config.mcpServers).toEqual([
      { name: "open", url: "https://open.example/mcp", auth: undefined },
      {
        name: "linear",
        url: "https://mcp.linear.app/mcp",
        auth: { grant: "linear", header: "Authorization" },
      },
      { name: "notes", url: "https://notes.example", auth: { grant: "oauth:notion", header: "X-Key" } },
    ]);
  });

  test("the sources of substitutions are those of credentials; a command's variables are the shell's", () => {
    expect(config.tokenSubstitutions).toEqual([
      {
        ...{ host: "api.telegram.org", placeholder: "telegram-token-placeholder" },
        source: { type: "env", variable: "TELEGRAM" },
      },
      { host: "a.example", placeholder: "tok-n", source: { type: "static", value: expect.any(Secret) } },
      {
        ...{ host: "b.example", placeholder: "{{TOKEN}}" },
        source: { type: "process", command: `echo \${NAME}`, ttlMs: 300_000 },
      },
    ]);
  });

  test("and prints no secret", () => {
    expect(Bun.inspect(config) + JSON.stringify(config)).not.toContain("hunter2");
  });
});

/** 1-based line of the first occurrence. */
function lineIn(text: string, part: string): number {
  return text.slice(0, text.indexOf(part)).split("\n").length;
}

test("a loaded configuration prints no secret", () => {
  const printed =
    Bun.inspect(load(FULL.replace("drain_timeout: 0", "drain_timeout: 1s"))) +
    JSON.stringify(load("proxy: { auth_token: proxy-token }"));
  expect(printed).not.toContain("hunter2");
  expect(printed).not.toContain("proxy-token");
  expect(printed).not.toContain("p@ss");
});

test("a guard without a value is a mistake: it must not open what the reader takes for shut", () => {
  expect(mistakes("proxy:\nnetwork:\n  # policy: strict\n")).toEqual([
    "moat.yaml:1: proxy: has no value, give it one or remove the key",
    "moat.yaml:2: network: has no value, give it one or remove the key",
  ]);
  expect(mistakes("proxy:\n  auth_token:\nnetwork:\n  policy:\n  allow:\n")).toEqual([
    "moat.yaml:2: proxy.auth_token: has no value, give it one or remove the key",
    "moat.yaml:4: network.policy: has no value, give it one or remove the key",
    "moat.yaml:5: network.allow: has no value, give it one or remove the key",
  ]);
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
    expect(config.network).toMatchObject({
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
    expect(mistakes(file, { MOAT_PROXY_AUTH_TOKEN: "" })).toEqual([
      "MOAT_PROXY_AUTH_TOKEN: is set but empty, unset it or put the token into it",
    ]);
  });

  test("a token file is read, without the line feed at its end", () => {
    const files: Record<string, string> = {
      "moat.yaml": file,
      "token.txt": "from-token-file\n",
      empty: "\n",
    };
    const readFile = (path: string): string => {
      const text = files[path];
      if (text === undefined) throw Object.assign(new Error("open failed"), { code: "ENOENT" });
      return text;
    };
    const token = (authTokenFile: string) =>
      loadConfig({
        file: "moat.yaml",
        flags: { authTokenFile },
        env: { MOAT_PROXY_AUTH_TOKEN: "x" },
        readFile,
      }).proxy.authToken?.reveal();
    expect(token("token.txt")).toBe("from-token-file");
    expect(() => token("gone")).toThrow('--auth-token-file: "gone" cannot be read: no such file');
    expect(() => token("empty")).toThrow('--auth-token-file: "empty" is empty, expected the token in it');
    files["token.txt"] = "two words";
    expect(() => token("token.txt")).toThrow(
      '--auth-token-file: "token.txt": a token is 1 to 512 visible ASCII characters without spaces (the value is not shown)',
    );
  });

  test("proxy.auth_token_env names the variable that must hold the token", () => {
    const text = "proxy:\n  auth_token_env: GK_TOKEN\n";
    expect(load(text, {}, { GK_TOKEN: "from-variable" }).proxy.authToken?.reveal()).toBe("from-variable");
    const missing = ["moat.yaml:2: proxy.auth_token_env: environment variable GK_TOKEN is not set, or empty"];
    expect([...mistakes(text)]).toEqual(missing);
    expect([...mistakes(text, { GK_TOKEN: "" })]).toEqual(missing);
    expect([...mistakes(text, { GK_TOKEN: "two words" })]).toEqual([
      "moat.yaml:2: proxy.auth_token_env: a token is 1 to 512 visible ASCII characters without spaces (the value is not shown)",
    ]);
  });

  test("--log-output and --metrics-listen win; --advertise-host is a name of the proxy itself", () => {
    const text =
      "log: { output: a.log }\nmetrics: { listen: '[::1]:1' }\nproxy: { local_hosts: [a.example] }\n";
    expect(load(text)).toMatchObject({
      log: { output: "a.log" },
      metricsListen: { host: "::1", port: 1 },
      proxy: { localHosts: ["a.example"] },
    });
    const flags = {
      logOutput: "stdout",
      metricsListen: { host: "0.0.0.0", port: 2 },
      advertiseHost: "b.example",
    };
    expect(load(text, flags)).toMatchObject({
      log: { output: "stdout" },
      metricsListen: { host: "0.0.0.0", port: 2 },
      proxy: { localHosts: ["a.example", "b.example"] },
    });
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

  test("a reload is another call: what changed in the file counts, and nothing else", () => {
    let text = "network: { policy: strict }\n";
    const sources = { file: "moat.yaml", flags: { port: 1 }, env: { HOME: "/h" }, readFile: () => text };
    const first = loadConfig(sources);
    text = "network: { policy: loose }\n";
    expect(() => loadConfig(sources)).toThrow(ConfigError);
    text = "network: { policy: permissive }\n";
    expect(loadConfig(sources)).toEqual({ ...first, network: { ...first.network, policy: "permissive" } });
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
  const later: readonly (readonly [string, string])[] = [["postgres", "postgres: { port: 5432 }"]];
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
    ["in the URL of a proxy", `network: { upstream_proxy: "https://user:${secret}@a.example:1" }`],
    [
      "in the URL of a proxy with a path",
      `network: { upstream_proxy: "http://user:${secret}@a.example:1/x" }`,
    ],
    [
      "as the shell's command",
      `credentials: [{ host: a.example, source: { type: process, command: [${secret}] } }]`,
    ],
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

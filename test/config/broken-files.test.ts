// Broken config files, each with the exact lines that an operator reads. The table is the contract of the wording.

import { expect, test } from "bun:test";
import { ConfigError } from "../../src/config/config-error.ts";
import { loadConfig } from "../../src/config/load.ts";

const source = "source: { type: env, var: X }";
const ENV = { HOME: "/h", PORT: "eighty", BAD_POLICY: "s3cret-policy", EMPTY: "", NUMBER: "8080" };

interface Broken {
  readonly name: string;
  readonly file: string;
  /** Without the `moat.yaml:` in front. */
  readonly said: readonly string[];
}

const broken: readonly Broken[] = [
  {
    name: "a mistyped key",
    file: `credentials:\n  - host: a.example\n    ${source}\n  - host: b.example\n    souce: { type: env, var: X }\n`,
    said: [
      "4: credentials[1].source: required",
      '5: credentials[1].souce: unknown key, did you mean "source"?',
    ],
  },
  {
    name: "mistyped sections",
    file: "polcy: 1\nlogs: {}\n",
    said: ["1: polcy: unknown key", '2: logs: unknown key, did you mean "log"?'],
  },
  {
    name: "a key in the wrong section",
    file: "\nallow: []\n",
    said: ["2: allow: unknown key, it belongs under network"],
  },
  { name: "a key that no word can be", file: '"a b\\n": 1', said: ['1: "a b\\n": unknown key'] },
  { name: "the prototype", file: "__proto__: { port: 1 }", said: ["1: __proto__: unknown key"] },
  {
    name: "a duplicate key",
    file: "proxy:\n  port: 1\n  port: 2\n",
    said: ["3: port: duplicate key, an earlier line of this mapping has it too"],
  },
  { name: "a list at the top", file: "- a\n", said: ["1: expected a mapping of keys to values"] },
  {
    name: "two documents",
    file: "proxy:\n---\nlog:\n",
    said: ["2: a second document begins here, expected one"],
  },
  {
    name: "a tab",
    file: "proxy:\n\tport: 1\n",
    said: ["2: tab in the indentation, YAML takes spaces only"],
  },
  {
    name: "an unquoted wildcard",
    file: "network:\n  allow:\n    - *.example.com\n",
    said: ["3: an alias that nothing defines; a value that begins with * must stand in quotes"],
  },
  {
    name: "wrong types",
    file: "proxy: { port: '80', host: 1 }\ntls: []\nlog: x\n",
    said: [
      "1: proxy.host: expected a string: put the value in quotes",
      "1: proxy.port: expected a number",
      "2: tls: expected a mapping of keys to values",
      "3: log: expected a mapping of keys to values",
    ],
  },
  {
    name: "a null in a list",
    file: "network: { allow: [~] }",
    said: ["1: network.allow[0]: expected a string"],
  },
  {
    name: "a port out of range",
    file: "proxy: { port: 65536 }",
    said: ["1: proxy.port: expected a whole number from 0 to 65535"],
  },
  {
    name: "a host that can never match",
    file: `credentials:\n  - host: https://api.example.com/\n    ${source}\n`,
    said: [
      '2: credentials[0].host: host pattern "https://api.example.com/" contains a slash, but takes no scheme and no path: write a host such as api.example.com, *.example.com or api.example.com:8443',
    ],
  },
  {
    name: "an unknown policy",
    file: "network: { policy: paranoid }",
    said: ['1: network.policy: "paranoid" is not accepted, expected strict or permissive'],
  },
  {
    name: "an unknown grant",
    file: "network: { grants: [githb] }",
    said: ['1: network.grants[0]: unknown grant "githb", did you mean "github"?'],
  },
  {
    name: "half a CA",
    file: "tls:\n  intercept: true\n  ca_key: k\n",
    said: ["3: tls.ca_key: needs tls.ca_cert as well"],
  },
  {
    name: "half a CA beside another mistake",
    file: "tls:\n  ca_cert: c\n  ca_kee: k\n",
    said: ["2: tls.ca_cert: needs tls.ca_key as well", '3: tls.ca_kee: unknown key, did you mean "ca_key"?'],
  },
  {
    name: "a roots file that is not there",
    file: "tls:\n  upstream_ca: gone/roots.pem\n",
    said: ['2: tls.upstream_ca: "gone/roots.pem" cannot be read: no such file'],
  },
  {
    name: "a client certificate without its key",
    file: "tls:\n  client_certs:\n    - host: a.example\n      cert: c.pem\n",
    said: ["3: tls.client_certs[0].key: required"],
  },
  {
    name: "a client certificate that is not there",
    file: "tls:\n  client_certs:\n    - host: a.example\n      cert: gone/c.pem\n      key: k.pem\n",
    said: ['4: tls.client_certs[0].cert: "gone/c.pem" cannot be read: no such file'],
  },
  {
    name: "two client certificates for one host",
    file: "tls:\n  client_certs:\n    - { host: a.example, cert: c, key: k }\n    - { host: A.example, cert: c, key: k }\n",
    said: ["4: tls.client_certs[1].host: the same host as client_certs[0], expected each host once"],
  },
  {
    name: "a field of another source type",
    file: "credentials: [{ host: a.example, source: { type: static, value: v, command: date } }]",
    said: [
      '1: credentials[0].source.command: is a field of source type "process", type "static" takes value',
    ],
  },
  {
    name: "a source type to come",
    file: "credentials: [{ host: a.example, source: { type: github-app, app_id: '1' } }]",
    said: [
      '1: credentials[0].source.type: source type "github-app" is not supported yet, expected static, env, file, process or store',
    ],
  },
  {
    name: "a mistyped source type",
    file: "credentials: [{ host: a.example, source: { type: proces, command: date } }]",
    said: ['1: credentials[0].source.type: unknown source type "proces", did you mean "process"?'],
  },
  {
    name: "a command that is empty",
    file: "credentials: [{ host: a.example, source: { type: process, command: ' ' } }]",
    said: ["1: credentials[0].source.command: expected a command for the shell"],
  },
  {
    name: "a secret with a line break",
    file: 'credentials:\n  - host: a.example\n    source:\n      type: static\n      value: "s3cret\\n"\n',
    said: ["5: credentials[0].source.value: holds a line break, which no header field can carry"],
  },
  {
    name: "a header that frames messages",
    file: `credentials:\n  - host: a.example\n    header: Content-Length\n    ${source}\n`,
    said: [
      '3: credentials[0].header: "Content-Length" cannot carry a credential: it governs the connection or the framing',
    ],
  },
  {
    name: "a time without its unit",
    file: "limits: { dial_timeout: '10' }",
    said: [
      '1: limits.dial_timeout: "10" is no duration, expected a number with its unit, such as 500ms, 10s or 15m',
    ],
  },
  {
    name: "a limit of no time",
    file: "limits: { head_timeout: 0s }",
    said: ['1: limits.head_timeout: "0s" is out of range, expected 1ms to 168h'],
  },
  {
    name: "a network with host bits",
    file: "network: { allow_ips: [10.0.0.1/8] }",
    said: ['1: network.allow_ips[0]: address range "10.0.0.1/8" has bits set behind its prefix length'],
  },
  {
    name: "a rule that begins with a method",
    file: 'network:\n  rules:\n    - a.example\n    - api.github.com:\n        - "GET /repos/**"\n',
    said: [
      '5: network.rules[1]."api.github.com"[0]: rule "GET /repos/**" for api.github.com must begin with "allow" or "deny": write it like "allow GET /repos/**" or "deny * /**"',
    ],
  },
  {
    name: "a host without the rules it announces",
    file: "network:\n  rules:\n    - a.example: []\n",
    said: ['3: network.rules[0]."a.example": expected at least one rule, or the host alone'],
  },
  {
    name: "rules that are no list",
    file: 'network:\n  rules:\n    - a.example: "deny * /**"\n    - 7\n',
    said: [
      '3: network.rules[0]."a.example": expected a list',
      "4: network.rules[1]: expected a string or a mapping of keys to values",
    ],
  },
  {
    name: "a proxy over https",
    file: "network:\n  upstream_proxy: https://u:s3cret@proxy.example:3128\n",
    said: [
      "2: network.upstream_proxy: a proxy is reached over http:// only, expected http://host:port or http://user:password@host:port (the value is not shown)",
    ],
  },
  {
    name: "a proxy without a port",
    file: "network:\n  upstream_proxy: http://proxy.example\n",
    said: [
      "2: network.upstream_proxy: is no proxy URL, expected http://host:port or http://user:password@host:port (the value is not shown)",
    ],
  },
  {
    name: "another status for denials",
    file: "network: { deny_status: 418 }",
    said: ["1: network.deny_status: 418 is not accepted, expected 407 or 403"],
  },
  {
    name: "headers that no record may show",
    file: "log:\n  capture_headers: [X-Trace, Cookie, 'a b']\n",
    said: [
      '2: log.capture_headers[1]: "Cookie" holds secrets and is never written to the log',
      '2: log.capture_headers[2]: "a b" is no header name',
    ],
  },
  {
    name: "too many headers to record",
    file: "log: { capture_headers: [a, b, c, d, e, f, g, h, i, j, k] }",
    said: ["1: log.capture_headers: expected at most 10 headers"],
  },
  {
    name: "metrics nowhere",
    file: "metrics: { listen: 'localhost' }",
    said: [
      '1: metrics.listen: "localhost" is no address to listen on, expected a port such as 9090, or 127.0.0.1:9090',
    ],
  },
  {
    name: "two tokens",
    file: "proxy:\n  auth_token: a\n  auth_token_env: NUMBER\n",
    said: ["3: proxy.auth_token_env: excludes proxy.auth_token, expected one of them"],
  },
  {
    name: "a variable that is not set, and one that is empty",
    file: `proxy:\n  auth_token: \${MOAT_TOKEN}\nlog:\n  output: \${EMPTY}/moat.log\n`,
    said: [
      `2: proxy.auth_token: environment variable MOAT_TOKEN is not set, or empty; \${MOAT_TOKEN:-…} gives it a default`,
      `4: log.output: environment variable EMPTY is not set, or empty; \${EMPTY:-…} gives it a default`,
    ],
  },
  {
    name: "a variable without a name",
    file: `log:\n  output: /var/log/\${1}\n`,
    said: [
      `2: log.output: expected \${NAME} or \${NAME:-default} with letters, digits and _ in the name; "$\${" is a plain "\${"`,
    ],
  },
  {
    name: "variables with values that do not fit, which no line shows",
    file: `proxy:\n  port: \${PORT}\nnetwork:\n  policy: \${BAD_POLICY}\n  allow:\n    - \${BAD_POLICY}/x\n`,
    said: [
      `2: proxy.port: with \${PORT} filled in: expected a number`,
      `4: network.policy: with \${BAD_POLICY} filled in: is not accepted, expected strict or permissive`,
      `6: network.allow[0]: with \${BAD_POLICY} filled in: is no host pattern, expected a host such as api.example.com`,
    ],
  },
  {
    name: "mistyped names of the lists",
    file: "extra_header: []\nremoved_headers: []\ntoken_substitution: []\nresponse_transformer: []\nrelay: []\nmcp_server: []\n",
    said: [
      '1: extra_header: unknown key, did you mean "extra_headers"?',
      '2: removed_headers: unknown key, did you mean "remove_headers"?',
      '3: token_substitution: unknown key, did you mean "token_substitutions"?',
      '4: response_transformer: unknown key, did you mean "response_transformers"?',
      '5: relay: unknown key, did you mean "relays"?',
      '6: mcp_server: unknown key, did you mean "mcp_servers"?',
    ],
  },
  {
    name: "an extra header with a mistyped value",
    file: "extra_headers:\n  - host: a.example\n    header: X-Beta\n    vlaue: one\n",
    said: [
      "2: extra_headers[0].value: required",
      '4: extra_headers[0].vlaue: unknown key, did you mean "value"?',
    ],
  },
  {
    name: "extra headers that would change what the request is",
    file: 'extra_headers:\n  - { host: a.example, header: Host, value: b.example }\n  - { host: a.example, header: X-Beta, value: "s3cret\\r\\nHost: b" }\n',
    said: [
      '2: extra_headers[0].header: "Host" cannot be added: it governs the connection or the framing',
      "3: extra_headers[1].value: is no header value, expected printable ASCII without spaces around it",
    ],
  },
  {
    name: "an extra header whose value is a number",
    file: "extra_headers:\n  - { host: a.example, header: X-Version, value: 2 }\n",
    said: ["2: extra_headers[0].value: expected a string: put the value in quotes"],
  },
  {
    name: "an extra header for a host that can never match",
    file: "extra_headers:\n  - { host: u:s3cret@a.example, header: X-Beta, value: one }\n",
    said: ["2: extra_headers[0].host: a host pattern holds no @, expected a host such as api.example.com"],
  },
  {
    name: "a removed header that frames messages, and one without its name",
    file: "remove_headers:\n  - { host: a.example, header: transfer-encoding }\n  - { host: a.example, haeder: x }\n",
    said: [
      '2: remove_headers[0].header: "transfer-encoding" cannot be removed: it governs the connection or the framing',
      "3: remove_headers[1].header: required",
      '3: remove_headers[1].haeder: unknown key, did you mean "header"?',
    ],
  },
  {
    name: "removed headers as names alone",
    file: "remove_headers: [X-Api-Key]\n",
    said: ["1: remove_headers[0]: expected a mapping of keys to values"],
  },
  {
    name: "a substitution without its source, with the token where none belongs",
    file: "token_substitutions:\n  - host: a.example\n    placeholder: tok-placeholder\n    real_token: s3cret\n",
    said: ["2: token_substitutions[0].source: required", "4: token_substitutions[0].real_token: unknown key"],
  },
  {
    name: "placeholders that could stand in a request by accident",
    file: `token_substitutions:\n  - { host: a.example, placeholder: abc, ${source} }\n  - { host: a.example, placeholder: "two words", ${source} }\n`,
    said: [
      '2: token_substitutions[0].placeholder: "abc" is no placeholder, expected 4 to 512 visible ASCII characters without spaces',
      '3: token_substitutions[1].placeholder: "two words" is no placeholder, expected 4 to 512 visible ASCII characters without spaces',
    ],
  },
  {
    name: "a placeholder from a variable, which no line shows",
    file: `token_substitutions:\n  - { host: a.example, placeholder: "\${BAD_POLICY} x", ${source} }\n`,
    said: [
      `2: token_substitutions[0].placeholder: with \${BAD_POLICY} filled in: is no placeholder, expected 4 to 512 visible ASCII characters without spaces`,
    ],
  },
  {
    name: "sources of substitutions that cannot work",
    file: 'token_substitutions:\n  - { host: a.example, placeholder: aaaa, source: { type: static, value: "s3cret\\n" } }\n  - { host: a.example, placeholder: bbbb, source: { type: file, var: X } }\n  - { host: a.example, placeholder: cccc, source: { type: fiel, path: x } }\n  - { host: a.example, placeholder: dddd, source: s3cret }\n',
    said: [
      "2: token_substitutions[0].source.value: holds a line break, which no header field can carry",
      "3: token_substitutions[1].source.path: required",
      '3: token_substitutions[1].source.var: is a field of source type "env", type "file" takes path',
      '4: token_substitutions[2].source.type: unknown source type "fiel", did you mean "file"?',
      "5: token_substitutions[3].source: expected a mapping of keys to values",
    ],
  },
  {
    name: "kinds of transformers that there are not",
    file: "response_transformers:\n  - { host: a.example, kind: response-scrubber }\n  - { host: a.example, kind: 1 }\n  - { host: a.example }\n  - { host: a.example, kidn: response-scrub }\n",
    said: [
      '2: response_transformers[0].kind: "response-scrubber" is not accepted, expected oauth-endpoint-workaround or response-scrub',
      "3: response_transformers[1].kind: 1 is not accepted, expected oauth-endpoint-workaround or response-scrub",
      "4: response_transformers[2].kind: required",
      "5: response_transformers[3].kind: required",
      '5: response_transformers[3].kidn: unknown key, did you mean "kind"?',
    ],
  },
  {
    name: "relays with user information, another scheme, a query and a way out of their path",
    file: 'relays:\n  - { name: a, url: "https://u:s3cret@a.example/" }\n  - { name: b, url: "ftp://a.example/s3cret" }\n  - { name: c, url: "https://a.example/?key=s3cret" }\n  - { name: d, url: "https://a.example/v1/%2e%2e/s3cret" }\n',
    said: [0, 1, 2, 3].map(
      (i) =>
        `${i + 2}: relays[${i}].url: is no URL to go to, expected http(s)://host[:port][/path] without user information, query, fragment and dot segments`,
    ),
  },
  {
    name: "a relay's URL from a variable, which no line shows",
    file: `relays:\n  - { name: a, url: "https://a.example/\${BAD_POLICY}?x" }\n`,
    said: [
      `2: relays[0].url: with \${BAD_POLICY} filled in: is no URL to go to, expected http(s)://host[:port][/path] without user information, query, fragment and dot segments`,
    ],
  },
  {
    name: "relays of the same name",
    file: "relays:\n  - { name: a, url: https://a.example }\n  - { name: A, url: https://a.example }\n  - { name: a, url: https://b.example }\n",
    said: ["4: relays[2].name: the same name as relays[0], expected each name once"],
  },
  {
    name: "relays whose names no path can hold, mistyped keys, and a mapping for a list",
    file: "relays:\n  - { name: a/b, url: https://a.example }\n  - { name: '', ulr: https://a.example }\nmcp_servers: { a: https://a.example }\n",
    said: [
      '2: relays[0].name: "a/b" is no name, expected 1 to 128 characters without slash and white space',
      '3: relays[1].name: "" is no name, expected 1 to 128 characters without slash and white space',
      "3: relays[1].url: required",
      '3: relays[1].ulr: unknown key, did you mean "url"?',
      "4: mcp_servers: expected a list",
    ],
  },
  {
    name: "an MCP server whose credential stands one level too high",
    file: "mcp_servers:\n  - name: linear\n    url: https://mcp.example\n    grant: linear\n    header: X-Key\n",
    said: [
      "4: mcp_servers[0].grant: unknown key, it belongs under mcp_servers[…].auth",
      "5: mcp_servers[0].header: unknown key, it belongs under mcp_servers[…].auth",
    ],
  },
  {
    name: "credentials of MCP servers without a grant, or in a field that cannot carry one",
    file: "mcp_servers:\n  - { name: a, url: https://a.example, auth: { grnat: g } }\n  - { name: b, url: https://a.example, auth: { grant: g, header: Connection } }\n  - { name: c, url: https://a.example, auth: linear }\n",
    said: [
      "2: mcp_servers[0].auth.grant: required",
      '2: mcp_servers[0].auth.grnat: unknown key, did you mean "grant"?',
      '3: mcp_servers[1].auth.header: "Connection" cannot carry a credential: it governs the connection or the framing',
      "4: mcp_servers[2].auth: expected a mapping of keys to values",
    ],
  },
  {
    name: "MCP servers of the same name, beside another mistake",
    file: "mcp_servers:\n  - { name: a, url: https://a.example }\n  - { name: a, url: https://b.example, grnt: x }\n",
    said: [
      "3: mcp_servers[1].grnt: unknown key",
      "3: mcp_servers[1].name: the same name as mcp_servers[0], expected each name once",
    ],
  },
  {
    name: "a key for later",
    file: "postgres: {}\ncredentials:\n  - host: a.example\n    postgres: {}\n    source: { type: env, var: X }\n",
    said: ["1: postgres: not supported yet", "4: credentials[0].postgres: not supported yet"],
  },
];

function mistakesOf(file: string): readonly string[] {
  const readFile = (path: string): string => {
    if (path === "moat.yaml") return file;
    if (path.startsWith("gone/")) throw Object.assign(new Error("open failed"), { code: "ENOENT" });
    return "";
  };
  try {
    loadConfig({ file: "moat.yaml", flags: {}, env: ENV, readFile });
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

for (const { name, file, said } of broken) {
  test(name, () => {
    const found = mistakesOf(file);
    expect([...found]).toEqual(said.map((line) => `moat.yaml:${line}`));
    expect(found.join("\n")).not.toMatch(/s3cret|eighty/);
  });
}

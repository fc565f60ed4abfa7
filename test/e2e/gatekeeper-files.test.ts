// Config files as Gatekeeper's users have them, written from the schema of the contract: each starts unchanged and
// does what it says. Hosts are those of the test's own upstream. wire.md section 2.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { startProxy } from "../support/binary.ts";
import { connectProxy, get, tlsTunnel } from "../support/client.ts";
import { exchange, values } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { SECRET } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

interface Example {
  readonly name: string;
  readonly yaml: (authority: string) => string;
  readonly env?: Readonly<Record<string, string>>;
  /** Field and value that the upstream gets. */
  readonly sent: readonly [field: string, value: string];
}

const EXAMPLES: readonly Example[] = [
  {
    name: "a static credential",
    yaml: (host) => `credentials:
  - host: "${host}"
    source:
      type: static
      value: ${SECRET}
`,
    sent: ["authorization", `Bearer ${SECRET}`],
  },
  {
    name: "a GitHub token from the environment",
    yaml: (host) => `proxy:
  host: 127.0.0.1
credentials:
  - host: "${host}"
    header: Authorization
    grant: github
    source:
      type: env
      var: GITHUB_TOKEN
network:
  policy: strict
  allow:
    - "${host}"
log:
  level: info
  format: json
  output: stderr
`,
    env: { GITHUB_TOKEN: "ghp_0123456789" },
    sent: ["authorization", "token ghp_0123456789"],
  },
  {
    name: "an API key in a field of its own",
    yaml: (host) => `credentials:
  - host: "${host}"
    header: x-api-key
    grant: anthropic
    source: { type: static, value: ${SECRET} }
`,
    sent: ["x-api-key", SECRET],
  },
  {
    name: "git over https: Basic from a prefix and a value",
    yaml: (host) => `credentials:
  - host: "${host}"
    format: basic
    prefix: x-access-token
    source: { type: static, value: ${SECRET} }
`,
    sent: ["authorization", `Basic ${Buffer.from(`x-access-token:${SECRET}`).toString("base64")}`],
  },
  {
    name: "a command's output, and rules for methods and paths",
    yaml: (host) => `credentials:
  - host: "${host}"
    prefix: Token
    source:
      type: process
      command: printf ${SECRET}
      ttl: 5m
network:
  policy: strict
  rules:
    - "${host}":
        - "allow GET /v1/**"
        - "deny * /**"
`,
    sent: ["authorization", `Token ${SECRET}`],
  },
];

async function statusOf(
  proxy: Parameters<typeof tlsTunnel>[0],
  upstream: Upstream,
  path: string,
): Promise<number> {
  const tunnel = await tlsTunnel(proxy, upstream.authority);
  const { status } = await exchange(tunnel, get(path, upstream.authority));
  tunnel.destroy();
  return status;
}

describe("a gatekeeper.yaml of today", () => {
  for (const { name, yaml, env, sent } of EXAMPLES) {
    test(name, async () => {
      await using upstream = startUpstream({ reply: () => ok() });
      await using proxy = await startProxy({ config: yaml(upstream.authority), env: env ?? {} });
      expect(await statusOf(proxy, upstream, "/v1/things")).toBe(200);
      const [field, value] = sent;
      expect(upstream.requests.map((request) => values(request, field))).toEqual([[value]]);
      if (yaml("").includes("deny * /**")) expect(await statusOf(proxy, upstream, "/v2")).toBe(403);
    });
  }

  test("a token for clients, a CA of the operator's, a secret in a file", async () => {
    await using first = await startProxy({ config: {} });
    await using upstream = startUpstream({ reply: () => ok() });
    const secret = join(first.dir, "secret");
    await Bun.write(secret, `${SECRET}\n`);
    const ca = join(first.dir, "ca");
    const yaml = `proxy:
  port: 0
  auth_token: let-me-in
tls:
  ca_cert: ${join(ca, "ca.crt")}
  ca_key: ${join(ca, "ca.key")}
credentials:
  - host: "${upstream.authority}"
    source: { type: file, path: ${secret} }
`;
    const args = ["--log-format", "json", "--allow-ip", "127.0.0.0/8", "--upstream-ca", pki().caPath];
    await using proxy = await startProxy({ config: yaml, args, standardArgs: false, loopback: false });
    const outer = await connectProxy(proxy);
    expect((await exchange(outer, get(`http://${upstream.authority}/`, upstream.authority))).status).toBe(
      407,
    );
    outer.destroy();
    const tunnel = await tlsTunnel(
      { host: proxy.host, port: proxy.port, caPath: first.caPath },
      upstream.authority,
      {
        fields: ["Proxy-Authorization: Bearer let-me-in"],
      },
    );
    expect((await exchange(tunnel, get("/", upstream.authority))).status).toBe(200);
    tunnel.destroy();
    expect(upstream.requests.map((request) => values(request, "authorization"))).toEqual([
      [`Bearer ${SECRET}`],
    ]);
  });
});

// The network policy (wire.md section 7): patterns, grants, the denial. With interception a 200 to CONNECT comes
// before any name is resolved, so that allowed and denied names can be told apart without a network.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { connectProxy, get, openTunnel, tlsTunnel } from "../support/client.ts";
import { exchange, readResponse, text, value, values } from "../support/http-message.ts";
import { credential, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";

async function connectStatus(proxy: RunningProxy, authority: string): Promise<number> {
  const { stream, reply } = await openTunnel(proxy, authority);
  stream.destroy();
  return reply.status;
}

describe("Pattern: optional `*.`, host, optional port. No port means 80 and 443 only. Case-insensitive.", () => {
  const allow = [
    "plain.test",
    "ported.test:8443",
    "*.wild.test",
    "*.wildport.test:9000",
    "UPPER.test",
    "192.0.2.10",
    "[2001:db8::1]:443",
  ];
  const cases: readonly (readonly [authority: string, allowed: boolean])[] = [
    ["plain.test:443", true],
    ["plain.test:80", true],
    ["plain.test:8443", false],
    ["PLAIN.Test:443", true],
    ["plain.test.:443", true],
    ["sub.plain.test:443", false],
    ["xplain.test:443", false],
    ["plain.test.evil.test:443", false],
    ["ported.test:8443", true],
    ["ported.test:443", false],
    ["a.wild.test:443", true],
    ["a.b.wild.test:443", true],
    ["wild.test:443", false],
    ["xwild.test:443", false],
    ["a.wild.test:8080", false],
    ["a.wildport.test:9000", true],
    ["a.wildport.test:443", false],
    ["upper.test:443", true],
    ["192.0.2.10:443", true],
    ["192.0.2.11:443", false],
    ["[2001:db8::1]:443", true],
    ["[2001:DB8:0::1]:443", true],
    ["[2001:db8::2]:443", false],
  ];
  let proxy: RunningProxy;
  beforeAll(async () => {
    proxy = await startProxy({
      args: ["--policy", "strict", ...allow.flatMap((pattern) => ["--allow", pattern])],
    });
  });
  afterAll(() => proxy[Symbol.asyncDispose]());
  for (const [authority, allowed] of cases) {
    test(`${authority} is ${allowed ? "allowed" : "denied"}`, async () => {
      expect(await connectStatus(proxy, authority)).toBe(allowed ? 200 : 407);
    });
  }
});

describe("Grants expand to hosts, with the part after `:` ignored", () => {
  const grants: Readonly<Record<string, readonly [allowed: readonly string[], denied: readonly string[]]>> = {
    github: [
      ["github.com", "api.github.com", "raw.githubusercontent.com", "codeload.github.com"],
      ["githubusercontent.com", "github.com.evil.test", "api.anthropic.com"],
    ],
    "github:owner/repo": [
      ["github.com", "api.github.com", "x.githubusercontent.com", "uploads.github.com"],
      ["gitlab.com"],
    ],
    anthropic: [
      ["api.anthropic.com", "console.anthropic.com"],
      ["anthropic.com", "github.com"],
    ],
    claude: [["api.anthropic.com", "x.anthropic.com"], ["anthropic.com"]],
    openai: [
      ["api.openai.com", "chatgpt.com", "x.openai.com"],
      ["openai.com", "x.chatgpt.com"],
    ],
    aws: [
      ["s3.amazonaws.com", "sts.eu-west-1.amazonaws.com"],
      ["amazonaws.com", "aws.amazon.com"],
    ],
  };
  for (const [grant, [allowed, denied]] of Object.entries(grants)) {
    test(grant, async () => {
      await using proxy = await startProxy({ args: ["--policy", "strict", "--grant", grant] });
      for (const host of allowed)
        expect([host, await connectStatus(proxy, `${host}:443`)]).toEqual([host, 200]);
      for (const host of denied)
        expect([host, await connectStatus(proxy, `${host}:443`)]).toEqual([host, 407]);
    });
  }

  test("from the config file, together with allow", async () => {
    const network = { policy: "strict", allow: ["extra.test"], grants: ["openai"] };
    await using proxy = await startProxy({ config: { network } });
    for (const host of ["extra.test", "api.openai.com"])
      expect(await connectStatus(proxy, `${host}:443`)).toBe(200);
    expect(await connectStatus(proxy, "github.com:443")).toBe(407);
  });
});

describe("Denied", () => {
  const body = (host: string): RegExp => {
    const lines = [
      "Moat: request blocked by network policy\\.",
      `Host "${host.replaceAll(".", "\\.")}(:\\d+)?" is not in the allow list\\.`,
      "Add it to network\\.allow in moat\\.yaml or use policy: permissive\\.",
    ];
    return new RegExp(`^${lines.join("\\n")}\\n?$`);
  };

  for (const [name, head] of [
    ["CONNECT", "CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n\r\n"],
    ["absolute-form", "GET http://denied.test/path HTTP/1.1\r\nHost: denied.test\r\n\r\n"],
    ["absolute-form, https", "GET https://denied.test/path HTTP/1.1\r\nHost: denied.test\r\n\r\n"],
  ] as const) {
    test(`407, Proxy-Authenticate: Moat-Policy, X-Moat-Blocked: network-policy, text/plain, the body: ${name}`, async () => {
      await using proxy = await startProxy({ args: ["--policy", "strict", "--allow", "other.test"] });
      const client = await connectProxy(proxy);
      void client.write(head);
      const answer = await readResponse(client);
      expect(answer.status).toBe(407);
      expect(values(answer, "proxy-authenticate")).toEqual(["Moat-Policy"]);
      expect(values(answer, "x-moat-blocked")).toEqual(["network-policy"]);
      expect(values(answer, "content-type")).toEqual(["text/plain; charset=utf-8"]);
      expect(text(answer)).toMatch(body("denied.test"));
      const records = await proxy.untilRecords(1);
      expect(records).toMatchObject([
        { http_status: 407, denied: true, http_host: expect.stringContaining("denied.test") },
      ]);
      expect(records[0]?.deny_reason).toBeString();
      expect(String(records[0]?.level).toUpperCase()).toBe("WARN");
      client.destroy();
    });
  }

  test("the connection stays open and an allowed request goes through", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok("allowed") });
    await using proxy = await startProxy({ args: ["--policy", "strict", "--allow", upstream.authority] });
    const client = await connectProxy(proxy);
    expect((await exchange(client, get("http://denied.test/", "denied.test"))).status).toBe(407);
    expect(text(await exchange(client, get(`http://${upstream.authority}/`, upstream.authority)))).toBe(
      "allowed",
    );
    client.destroy();
  });

  test("a policy denial is no place for a host's markup or line breaks", async () => {
    await using proxy = await startProxy({ args: ["--policy", "strict"] });
    const client = await connectProxy(proxy);
    await client.write("GET http://<script>/ HTTP/1.1\r\nHost: x\r\n\r\n");
    expect((await readResponse(client)).status).toBe(400);
    client.destroy();
  });
});

test('"Policy is checked before any credential is fetched and before any name is resolved"', async () => {
  await using upstream = startUpstream({ reply: () => ok() });
  await using proxy = await startProxy({
    args: ["--policy", "strict", "--allow", "other.test"],
    config: { credentials: [credential(upstream.authority)] },
  });
  // Neither the loopback rule nor a failing resolution shows: the policy speaks first.
  for (const authority of [
    upstream.authority,
    "no-such-host.invalid:443",
    "127.0.0.1:1",
    "169.254.169.254:80",
  ]) {
    expect(await connectStatus(proxy, authority)).toBe(407);
  }
  expect(upstream.connections).toHaveLength(0);
  expect(proxy.stderr).not.toContain(SECRET);
});

test("permissive is the default: any host passes", async () => {
  await using upstream = startUpstream({ reply: () => ok("open") });
  await using proxy = await startProxy();
  const tls = await tlsTunnel(proxy, upstream.authority);
  expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("open");
  tls.destroy();
});

test("strict with an empty list denies everything but the proxy's own endpoints", async () => {
  await using proxy = await startProxy({ args: ["--policy", "strict"] });
  expect(await connectStatus(proxy, "example.test:443")).toBe(407);
  const client = await connectProxy(proxy);
  expect(text(await exchange(client, get("/healthz", "localhost")))).toBe('{"status":"ok"}');
  client.destroy();
});

test("the policy holds without interception too", async () => {
  await using proxy = await startProxy({
    args: ["--no-intercept", "--policy", "strict", "--allow", "good.test"],
  });
  const { stream, reply } = await openTunnel(proxy, "denied.test:443");
  expect([reply.status, value(reply, "x-moat-blocked")]).toEqual([407, "network-policy"]);
  stream.destroy();
});

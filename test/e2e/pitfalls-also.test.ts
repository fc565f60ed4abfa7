// The pitfalls list, "also seen": the protocol of authentication, endpoints that answered for other hosts, and what got
// lost. Each test is a mishap of a comparable product, on the compiled binary.
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { type Process, startProxy } from "../support/binary.ts";
import type { ByteStream } from "../support/byte-stream.ts";
import { connectProxy, get, openTunnel, tlsTunnel } from "../support/client.ts";
import { hostEnvironment, ROLE, startFakeSts } from "../support/fake-sts.ts";
import { exchange, type Request, text, value } from "../support/http-message.ts";
import { startLibrary, withToken } from "../support/library.ts";
import { expectReasons, expectToExist, type Row } from "../support/pitfalls.ts";
import { credential, OTHER_SECRET, PLACEHOLDER } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

/** Relay, MCP server and credential for one upstream. */
function locals(upstream: Upstream, scheme = "https"): object {
  const host = upstream.authority;
  return {
    credentials: [credential(host, { header: "x-api-key", grant: "g" })],
    extra_headers: [{ host, header: "X-Extra", value: "yes" }],
    token_substitutions: [
      { host, placeholder: PLACEHOLDER, source: { type: "static", value: OTHER_SECRET } },
    ],
    relays: [{ name: "api", url: `${scheme}://${host}` }],
    mcp_servers: [{ name: "tools", url: `${scheme}://${host}`, auth: { grant: "g", header: "x-api-key" } }],
  };
}

describe("Also seen: auth protocol", () => {
  test("a rate limit on wrong tokens hit who had the right one", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    await using proxy = await startProxy({ config: { proxy: { auth_token: "token-0123456789abcdef" } } });
    const client = await connectProxy(proxy);
    const ask = async (token: string): Promise<number> => {
      const request = get(`http://${upstream.authority}/`, upstream.authority, withToken(token));
      return (await exchange(client, request)).status;
    };
    for (let i = 0; i < 300; i++) expect(await ask(`wrong-${i}`)).toBe(407);
    expect(await ask("token-0123456789abcdef")).toBe(200);
    client.destroy();
  });

  test("a refusal without its challenge: 401 of relays and MCP servers, 407 of the proxy, none in a tunnel", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using library = await startLibrary((proxy) => {
      proxy.addRelay("api", `https://${upstream.authority}`);
      let asked = 0;
      proxy.setContextResolver((token) => (token === "once" && asked++ === 0 ? { runID: "one" } : undefined));
    });
    const client = await connectProxy(library);
    for (const path of ["/relay/wrong/api/x", "/mcp/wrong/tools", "/_aws/credentials"]) {
      const answer = await exchange(client, get(path, "moat-proxy"));
      expect([path, answer.status, value(answer, "www-authenticate") !== undefined]).toEqual([
        path,
        401,
        true,
      ]);
    }
    const refused = await exchange(client, get("/relay/api/x", "moat-proxy", withToken("wrong")));
    expect([refused.status, value(refused, "proxy-authenticate")]).toEqual([407, 'Basic realm="moat-proxy"']);
    const tls = await tlsTunnel(library, upstream.authority, { fields: withToken("once") });
    const inside = await exchange(tls, get("/", upstream.authority));
    expect([inside.status, value(inside, "proxy-authenticate")]).toEqual([403, undefined]);
    tls.destroy();
    client.destroy();
  });
});

describe("Also seen: own endpoints hijack proxied paths", () => {
  test("/healthz, /mcp/, /relay/ and /_aws/credentials answered for other hosts", async () => {
    await using sts = startFakeSts();
    await using plain = startUpstream({ tls: false, reply: () => ok("from the upstream") });
    await using secure = startUpstream({ reply: () => ok("from the upstream") });
    await using proxy = await startProxy({
      args: ["--aws-role-arn", ROLE],
      env: hostEnvironment(sts),
      config: { ...locals(plain, "http"), tls: { plain_ports: [plain.port] } },
    });
    const client = await connectProxy(proxy);
    const tls = await tlsTunnel(proxy, secure.authority);
    const { stream: cleartext } = await openTunnel(proxy, plain.authority);
    const own = `127.0.0.1:${proxy.port}`;
    for (const path of [
      "/healthz",
      "/ca.crt",
      "/_aws/credentials",
      "/mcp/tools",
      "/relay/api/x",
      "/mcp/",
      "/relay/",
    ]) {
      const asked: readonly (readonly [ByteStream, string])[] = [
        [client, get(`http://${plain.authority}${path}`, plain.authority)],
        [tls, get(path, secure.authority)],
        [cleartext, get(path, plain.authority)],
      ];
      for (const [stream, request] of asked) {
        expect([path, text(await exchange(stream, request))]).toEqual([path, "from the upstream"]);
      }
      const looped = await exchange(client, get(`http://${own}${path}`, own));
      expect([path, looped.status, value(looped, "x-moat-blocked")]).toEqual([path, 403, "destination"]);
    }
    expect(plain.requests.at(-1)?.target).toBe("/relay/");
    expect(sts.calls).toHaveLength(0);
    for (const stream of [client, tls, cleartext]) stream.destroy();
  });
});

describe("Also seen: other", () => {
  test("an allow list of headers dropped anthropic-version: every field passes, in order and case, over relays too", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy({
      config: { relays: [{ name: "api", url: `https://${upstream.authority}` }] },
    });
    const fields = [
      "anthropic-version: 2023-06-01",
      "Anthropic-Beta: a,b",
      "OpenAI-Organization: org",
      "X-Stainless-Retry-Count: 0",
      "mcp-session-id: 1",
      "X_Odd: 1",
      "Cookie: a=1",
      "Cookie: b=2",
      "traceparent: 00-0-0-00",
      "Accept-Encoding: br",
    ];
    const client = await connectProxy(proxy);
    await exchange(client, get("/relay/api/x", "moat-proxy", fields));
    const sent = (upstream.requests[0] as Request).fields.map(([name, one]) => `${name}: ${one}`);
    expect(sent.filter((line) => !/^(host|x-request-id):/i.test(line))).toEqual(fields);
    client.destroy();
  });

  test("one failure of the audit ended it: a logger that throws is called for the next request", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    const logged: string[] = [];
    await using library = await startLibrary((proxy) =>
      proxy.setLogger((data) => {
        logged.push(new URL(data.url).pathname);
        if (logged.length === 1) throw new Error("the disk is full");
      }),
    );
    const client = await connectProxy(library);
    for (const path of ["/1", "/2", "/3"]) {
      const answer = await exchange(client, get(`http://${upstream.authority}${path}`, upstream.authority));
      expect(answer.status).toBe(200);
    }
    expect(logged).toEqual(["/1", "/2", "/3"]);
    client.destroy();
  });

  /** Children of the process that have ended and that nobody has asked about. */
  function zombies(process: Process): number {
    const states = readdirSync("/proc").flatMap((entry) => {
      if (!/^\d+$/.test(entry)) return [];
      try {
        const [, state, parent] = /\) (\S) (\d+) /.exec(readFileSync(`/proc/${entry}/stat`, "utf8")) ?? [];
        return Number(parent) === process.pid ? [state] : [];
      } catch {
        // Gone meanwhile.
        return [];
      }
    });
    return states.filter((state) => state === "Z").length;
  }

  test.skipIf(!existsSync("/proc/self/stat"))(
    "a proxy that is PID 1 kept zombies: ended commands are reaped",
    async () => {
      await using upstream = startUpstream({ reply: () => ok() });
      const source = (command: string): object => ({ type: "process", command, ttl: "1s" });
      const config = {
        credentials: ["echo one", "echo two | cat", "(sleep 0 &) ; echo three"].map((command, i) => ({
          ...{ host: upstream.authority, header: `x-key-${i}` },
          source: source(command),
        })),
      };
      await using proxy = await startProxy({ config });
      const tls = await tlsTunnel(proxy, upstream.authority);
      for (let i = 0; i < 50; i++)
        expect((await exchange(tls, get("/", upstream.authority))).status).toBe(200);
      for (let i = 0; i < 500 && zombies(proxy) > 0; i++) await exchange(tls, get("/", upstream.authority));
      expect(zombies(proxy)).toBe(0);
      tls.destroy();
      expect(await proxy.stop()).toBe(0);
    },
  );
});

const ELSEWHERE: readonly Row[] = [
  "auth protocol | 407 for a denial was taken for a challenge | e2e/deny-status.test.ts | deny_status: …",
  "auth protocol | 407 without Proxy-Authenticate | e2e/deny-status.test.ts | a missing and a wrong token are 407 with the challenge of authentication",
  "own endpoints hijack proxied paths | /healthz | e2e/local.test.ts | … by absolute-form goes to its host",
  "own endpoints hijack proxied paths | /_aws/credentials | e2e/aws.test.ts | a request through the proxy never reaches it",
  "other | fields were lost or changed | e2e/fidelity.test.ts | header order, case, duplicates and values are kept, and nothing is added but X-Request-Id",
  "other | records were lost under load | e2e/log-output.test.ts | under load, five times: every record is in one of the files, once",
  "other | records were lost after one I/O error | log/line-writer.test.ts | a full disk loses nothing that fits in memory, tells once, and does not hold up the end",
  "other | PID 1 did not hear its signals | e2e/stop.test.ts | exit 0 after a clean stop on …",
];

const NOT_APPLICABLE: readonly Row[] = [
  "other | export failures were fed back into the log exporter | there is no exporter: the log goes to a file or stream, metrics are fetched",
  "other | orphans of orphans when PID 1 | a container's init reaps them (docs/docker.md); the proxy's own children are reaped, as tested here",
];

test("what is proved elsewhere is there", () => expectToExist(ELSEWHERE));
test("what cannot apply has its reason", () => expectReasons(NOT_APPLICABLE));

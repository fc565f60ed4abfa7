// The pitfalls list, lines 1 to 3: credentials that went to the wrong server, followed a redirect, or were matched by
// another host than the one that policy saw. Each test is a mishap of a comparable product, on the compiled binary.
import { describe, expect, test } from "bun:test";
import { startProxy } from "../support/binary.ts";
import { connectProxy, get, openTunnel, post, tlsTunnel } from "../support/client.ts";
import { hostEnvironment, ROLE, startFakeSts } from "../support/fake-sts.ts";
import { exchange, type Request, text, value, values } from "../support/http-message.ts";
import { canNameHosts, seeingNames } from "../support/named-hosts.ts";
import { expectToExist, type Row } from "../support/pitfalls.ts";
import { pki } from "../support/pki.ts";
import { works } from "../support/programs.ts";
import { credential, expectNotPrinted, OTHER_SECRET, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";
import { WEBSOCKET_FIELDS } from "../support/websocket.ts";

const ipv6 = works(["python3", "-c", "import socket; socket.socket(socket.AF_INET6).bind(('::1', 0))"]);
const SOURCE = { type: "static", value: OTHER_SECRET };

/** Every feature that puts a secret into a request for `host`. */
function everything(host: string, scheme = "https"): object {
  return {
    credentials: [credential(host, { header: "x-api-key", grant: "tools" })],
    token_substitutions: [{ host, placeholder: PLACEHOLDER, source: SOURCE }],
    relays: [{ name: "api", url: `${scheme}://${host}` }],
    mcp_servers: [
      { name: "tools", url: `${scheme}://${host}/mcp`, auth: { grant: "tools", header: "x-api-key" } },
    ],
  };
}

describe("Pitfall 1: credential to wrong or unverified upstream", () => {
  const kinds = ["expired", "selfSigned", "wrongName", "otherCa"] as const;
  const locals: readonly (readonly [what: string, request: string])[] = [
    ["a relay", get("/relay/api/x", "moat-proxy")],
    ["an MCP relay", post("/mcp/tools", "moat-proxy", "{}")],
    ["a substitution over a relay", post("/relay/api/x", "moat-proxy", PLACEHOLDER)],
  ];
  for (const kind of kinds) {
    test(`the interception leg of every feature verifies the upstream: ${kind}`, async () => {
      await using upstream = startUpstream({ tls: pki()[kind], reply: () => ok() });
      const host = upstream.authority;
      await using proxy = await startProxy({ config: everything(host) });
      const client = await connectProxy(proxy);
      for (const [what, request] of locals) {
        expect([what, (await exchange(client, request)).status]).toEqual([what, 502]);
      }
      const tls = await tlsTunnel(proxy, host);
      const inner = [
        get(`/${PLACEHOLDER}`, host),
        get("/", host, ["x-api-key: moat-stub-tools"]),
        get("/", host, WEBSOCKET_FIELDS),
      ];
      for (const request of inner) expect((await exchange(tls, request)).status).toBe(502);
      expect(upstream.text).toBe("");
      expectNotPrinted(proxy, [SECRET, OTHER_SECRET]);
      tls.destroy();
      client.destroy();
    });
  }

  test("the Host of the client never picks an MCP server's credential for another server", async () => {
    await using server = startUpstream({ tls: false, reply: () => ok() });
    await using other = startUpstream({ tls: false, reply: () => ok() });
    await using proxy = await startProxy({ config: everything(server.authority, "http") });
    const client = await connectProxy(proxy);
    const stub = ["x-api-key: moat-stub-tools"];
    await exchange(client, get(`http://${other.authority}/`, server.authority, stub));
    expect(values(other.requests[0] as Request, "x-api-key")).toEqual(["moat-stub-tools"]);
    expect(values(other.requests[0] as Request, "host")).toEqual([other.authority]);
    await exchange(client, get(`http://${server.authority}/`, other.authority, stub));
    expect(values(server.requests[0] as Request, "x-api-key")).toEqual([SECRET]);
    client.destroy();
  });

  const public_ = "203.0.113.7";
  const cleartext: readonly (readonly [what: string, request: string])[] = [
    ["by absolute-form", get(`http://${public_}/`, public_)],
    ["over a relay", get("/relay/api/x", "moat-proxy")],
    ["over an MCP relay", post("/mcp/tools", "moat-proxy", "{}")],
    ["as a WebSocket upgrade", get(`http://${public_}/`, public_, WEBSOCKET_FIELDS)],
  ];
  for (const [what, request] of cleartext) {
    test(`nothing secret is injected on http:// to a public address: ${what}`, async () => {
      await using proxy = await startProxy({ config: everything(public_, "http") });
      const client = await connectProxy(proxy);
      const answer = await exchange(client, request);
      expect([answer.status, value(answer, "x-moat-blocked")]).toEqual([403, "cleartext-credential"]);
      client.destroy();
    });
  }

  test("a substitution alone is a credential for the rule of cleartext, and CGNAT is no private network", async () => {
    const host = "100.64.0.1";
    const config = { token_substitutions: [{ host, placeholder: PLACEHOLDER, source: SOURCE }] };
    await using proxy = await startProxy({ config });
    const client = await connectProxy(proxy);
    const answer = await exchange(client, get(`http://${host}/${PLACEHOLDER}`, host));
    expect([answer.status, value(answer, "x-moat-blocked")]).toEqual([403, "cleartext-credential"]);
    client.destroy();
  });
});

describe("Pitfall 2: redirect leak", () => {
  for (const kind of ["relay/api/x", "mcp/tools"] as const) {
    test(`x-api-key does not follow a redirect to another host: /${kind}`, async () => {
      await using elsewhere = startUpstream({ reply: () => ok("followed") });
      const statuses = [301, 302, 303, 307, 308];
      const locations = [`https://${elsewhere.authority}/next`, `//${elsewhere.authority}/next`];
      let asked = 0;
      await using upstream = startUpstream({
        reply: () => {
          const location = locations[asked % 2];
          const status = statuses[asked++ % statuses.length];
          return `HTTP/1.1 ${status} Go\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`;
        },
      });
      await using proxy = await startProxy({ config: everything(upstream.authority) });
      const client = await connectProxy(proxy);
      for (let i = 0; i < 10; i++) {
        const answer = await exchange(client, post(`/${kind}`, "moat-proxy", "{}"));
        expect(answer.status).toBe(statuses[i % statuses.length] as number);
        expect(value(answer, "location")).toBe(locations[i % 2] as string);
      }
      expect(elsewhere.connections).toHaveLength(0);
      expect(values(upstream.requests[0] as Request, "x-api-key")).toEqual([SECRET]);
      client.destroy();
    });
  }

  test("an address that only looks like the relay's own is not mapped to its path", async () => {
    const lookalikes = [
      "https://localhost.evil.test/",
      "https://localhost/x",
      "http://HOST/x",
      "https://HOST@evil.test/",
    ];
    let next = "";
    await using upstream = startUpstream({
      reply: () => `HTTP/1.1 302 Found\r\nLocation: ${next}\r\nContent-Length: 0\r\n\r\n`,
    });
    await using proxy = await startProxy({ config: everything(upstream.authority) });
    const client = await connectProxy(proxy);
    for (const one of lookalikes) {
      next = one.replace("HOST", upstream.authority);
      expect(value(await exchange(client, get("/relay/api/x", "moat-proxy")), "location")).toBe(next);
    }
    client.destroy();
  });

  test("the host's AWS signature does not follow a redirect of STS", async () => {
    await using elsewhere = startUpstream({ tls: false, reply: () => ok() });
    await using sts = startFakeSts();
    await using redirecting = startUpstream({
      tls: false,
      reply: () => `HTTP/1.1 307 Go\r\nLocation: http://${elsewhere.authority}/\r\nContent-Length: 0\r\n\r\n`,
    });
    const env = { ...hostEnvironment(sts), AWS_ENDPOINT_URL_STS: `http://${redirecting.authority}` };
    await using proxy = await startProxy({ args: ["--aws-role-arn", ROLE], env });
    const client = await connectProxy(proxy);
    expect((await exchange(client, get("/_aws/credentials", "moat-proxy"))).status).toBe(500);
    expect(redirecting.requests.length).toBeGreaterThan(0);
    expect(elsewhere.connections).toHaveLength(0);
    client.destroy();
  });
});

describe("Pitfall 3: host-match divergence", () => {
  /** Which of the lists had an effect on a request for `name` on plain http. */
  async function effects(pattern: (port: number) => string, names: readonly string[]): Promise<object> {
    await using upstream = startUpstream({
      tls: false,
      reply: (request) =>
        ok(`token ${OTHER_SECRET}`, [`X-Path: ${request.target}`, "Content-Type: text/plain"]),
    });
    const host = pattern(upstream.port);
    await using proxy = await startProxy({
      wrapper: seeingNames(names),
      config: {
        credentials: [credential(host)],
        extra_headers: [{ host, header: "X-Extra", value: "yes" }],
        remove_headers: [{ host, header: "X-Removed" }],
        token_substitutions: [{ host, placeholder: PLACEHOLDER, source: SOURCE }],
        response_transformers: [{ host, kind: "response-scrub" }],
        network: { rules: [{ [host]: ["deny GET /denied", "allow * /**"] }] },
      },
    });
    const client = await connectProxy(proxy);
    const found: Record<string, string> = {};
    for (const name of names) {
      const before = upstream.requests.length;
      const authority = `${name}:${upstream.port}`;
      const url = `http://${authority}`;
      const answer = await exchange(client, get(`${url}/${PLACEHOLDER}`, authority, ["X-Removed: 1"]));
      const denied = (await exchange(client, get(`${url}/denied`, authority))).status === 403;
      const request = upstream.requests[before] as Request;
      const seen = [
        value(request, "authorization") === `Bearer ${SECRET}`,
        value(request, "x-extra") === "yes",
        value(request, "x-removed") === undefined,
        request.target === `/${OTHER_SECRET}`,
        text(answer) === `token ${PLACEHOLDER}`,
        denied,
      ];
      found[name] = seen.every(Boolean) ? "all" : seen.some(Boolean) ? `some: ${seen}` : "none";
    }
    client.destroy();
    return found;
  }

  test.skipIf(!canNameHosts)(
    "wildcards work in every list, at any depth, and apex of a wildcard gets no credential and nothing else",
    async () => {
      const names = [
        "localhost",
        "a.localhost",
        "a.b.localhost",
        "A.LocalHost",
        "a.localhost.",
        "xa.localhost",
      ];
      expect(await effects((port) => `*.localhost:${port}`, names)).toEqual({
        ...{ localhost: "none", "a.localhost": "all", "a.b.localhost": "all", "A.LocalHost": "all" },
        ...{ "a.localhost.": "all", "xa.localhost": "all" },
      });
    },
  );

  test.skipIf(!canNameHosts)(
    "an exact host is no suffix, no prefix and no regular expression, in every list",
    async () => {
      const names = ["a.localhost", "b.a.localhost", "xa.localhost", "a.x.localhost", "A.LOCALHOST."];
      expect(await effects((port) => `a.localhost:${port}`, names)).toEqual({
        ...{ "a.localhost": "all", "b.a.localhost": "none", "xa.localhost": "none", "a.x.localhost": "none" },
        "A.LOCALHOST.": "all",
      });
    },
  );

  test("the same holds for the policy: a dot is a dot, both ends are anchored, the apex is not below itself", async () => {
    const args = ["--policy", "strict", "--allow", "api.example.test", "--allow", "*.wild.test"];
    await using proxy = await startProxy({ args: [...args, "--no-intercept"] });
    const denied = [
      "apixexample.test",
      "api.example.test.evil.test",
      "xapi.example.test",
      "wild.test",
      "xwild.test",
    ];
    for (const name of denied) {
      const { stream, reply } = await openTunnel(proxy, `${name}:443`);
      expect([name, reply.status]).toEqual([name, 407]);
      stream.destroy();
    }
    for (const name of ["api.example.test", "API.Example.TEST.", "a.wild.test", "a.b.WILD.test."]) {
      const { stream, reply } = await openTunnel(proxy, `${name}:443`);
      // Admitted; the name does not resolve.
      expect([name, reply.status]).toEqual([name, 502]);
      stream.destroy();
    }
  });

  test("trailing dot and upper case are the same host for policy, injection and the Host check", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const { authority, port } = upstream;
    const network = { policy: "strict", allow: [`LOCALHOST.:${port}`] };
    await using proxy = await startProxy({
      config: { credentials: [credential(`LocalHost.:${port}`)], network },
    });
    for (const spelling of [authority, `LOCALHOST:${port}`, `localhost.:${port}`]) {
      const tls = await tlsTunnel(proxy, spelling);
      for (const host of [authority, `LocalHost:${port}`, `localhost.:${port}`]) {
        expect((await exchange(tls, get("/", host))).status).toBe(200);
      }
      tls.destroy();
    }
    expect(upstream.requests.map((request) => value(request, "authorization"))).toEqual(
      Array(9).fill(`Bearer ${SECRET}`),
    );
  });

  test("a relay and an MCP server spelled otherwise are the same host for credentials, stubs and the destination check", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    const { authority, port } = upstream;
    const config = everything(`LOCALHOST.:${port}`, "HTTP");
    await using proxy = await startProxy({ loopback: false, config });
    const client = await connectProxy(proxy);
    for (const request of [
      get("/relay/api/x", "moat-proxy"),
      post("/mcp/tools", "moat-proxy", "{}"),
      get(`http://${authority}/`, authority, ["x-api-key: moat-stub-tools"]),
      get(`HTTP://LocalHost.:${port}/`, authority, ["X-API-Key: moat-stub-tools"]),
    ]) {
      expect((await exchange(client, request)).status).toBe(200);
      const received = upstream.requests.at(-1) as Request;
      expect([value(received, "x-api-key"), value(received, "host")]).toEqual([SECRET, authority]);
    }
    client.destroy();
  });

  test.skipIf(!ipv6)("brackets and spellings of an IPv6 address are the same host everywhere", async () => {
    await using upstream = startUpstream({ host: "::1", reply: () => ok() });
    const { port } = upstream;
    const network = { policy: "strict", allow: [`[::1]:${port}`] };
    await using proxy = await startProxy({
      config: { credentials: [credential("0:0:0:0:0:0:0:1")], network },
    });
    for (const spelling of [`[::1]:${port}`, `[0:0:0:0:0:0:0:1]:${port}`, `[0::0001]:${port}`]) {
      const { stream, reply } = await openTunnel(proxy, spelling);
      expect([spelling, reply.status]).toEqual([spelling, 200]);
      stream.destroy();
    }
    const tls = await tlsTunnel(proxy, `[::1]:${port}`);
    for (const host of [`[::1]:${port}`, `[0::1]:${port}`]) await exchange(tls, get("/", host));
    expect(upstream.requests.map((request) => value(request, "authorization"))).toEqual([
      `Bearer ${SECRET}`,
      `Bearer ${SECRET}`,
    ]);
    tls.destroy();
  });

  test.skipIf(!canNameHosts)(
    "one placeholder at two hosts is each host's own token, and another host's is left alone",
    async () => {
      await using upstream = startUpstream({ tls: false, reply: (request) => ok(request.target) });
      const names = ["a.localhost", "b.localhost", "c.localhost"];
      const token = (name: string): string => `token-of-${name}`;
      const substitutions = names.slice(0, 2).map((host) => ({
        ...{ host, placeholder: PLACEHOLDER },
        source: { type: "static", value: token(host) },
      }));
      await using proxy = await startProxy({
        wrapper: seeingNames(names),
        config: { token_substitutions: substitutions },
      });
      const client = await connectProxy(proxy);
      // Twice over: what was remembered of one host must not serve the next.
      for (const name of [...names, ...names]) {
        const authority = `${name}:${upstream.port}`;
        await exchange(client, get(`http://${authority}/${PLACEHOLDER}`, authority));
        const expected = name === "c.localhost" ? PLACEHOLDER : token(name);
        expect(upstream.requests.at(-1)?.target).toBe(`/${expected}`);
      }
      client.destroy();
    },
  );
});

const ELSEWHERE: readonly Row[] = [
  "1 | a bad certificate got the request | e2e/upstream-verification.test.ts | … (…): 502 in the tunnel, and the upstream received not one byte of HTTP",
  "1 | the inner Host chose the server of a CONNECT's credential | e2e/tunnel-requests.test.ts | Decision: the effective authority of an inner request must equal the CONNECT authority: else 421 (domain fronting, credential theft)",
  '1 | injected on http:// | e2e/injection.test.ts | "Otherwise 403, X-Moat-Blocked: cleartext-credential": …',
  "1 | written before checkServerIdentity | net/dial.test.ts | with a certificate that is … is refused, and hears nothing: …",
  "1 | NODE_TLS_REJECT_UNAUTHORIZED=0 switched verification off | net/dial.test.ts | is verified whatever NODE_TLS_REJECT_UNAUTHORIZED says",
  "2 | the proxy followed | e2e/tunnel-requests.test.ts | Redirects are never followed",
  "2 | the client of a credential source followed | net/credential-client.test.ts | a redirect is an answer, and the token goes nowhere else",
  "3 | which wildcard wins depended on order | e2e/injection.test.ts | Lookup: exact host:port, exact host, then wildcard; independent of order",
  '3 | the wrong one of several credentials | e2e/injection.test.ts | "If the client sent any of their header names, only those are injected": x-api-key',
  "3 | no host name in the key of the injection cache | e2e/http.test.ts | requests to several hosts share one client connection, each with its own credential only",
];

test("what is proved elsewhere is there", () => expectToExist(ELSEWHERE));

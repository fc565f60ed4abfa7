// Relays (wire.md section 10): names, tokens, paths, exact error texts, and where the credential goes. The proxy is
// started without any exemption for loopback: what works here works because the operator has named the target.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { askRaw as ask } from "../support/ask.ts";
import { type RunningProxy, run, type StartOptions, startProxy } from "../support/binary.ts";
import { connectProxy, get, message, openTunnel, post } from "../support/client.ts";
import { exchange, type Request, text, value, values } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { credential, expectNotPrinted, NO_ERRNO, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { closedPort, ok, startUpstream, type Upstream } from "../support/upstream.ts";

const TOKEN = "relay-run-token-7f3a";
const BEARER = `Proxy-Authorization: Bearer ${TOKEN}`;

/** A proxy to which loopback is a refused destination, save what its config names. */
function start(config: object, more: StartOptions = {}): Promise<RunningProxy> {
  return startProxy({
    ...more,
    loopback: false,
    args: ["--upstream-ca", pki().caPath, ...(more.args ?? [])],
    config,
  });
}

const echo = (request: Request): string => ok(`${request.method} ${request.target}`);

describe("without proxy authentication", () => {
  let upstream: Upstream;
  let plain: Upstream;
  let proxy: RunningProxy;
  beforeAll(async () => {
    upstream = startUpstream({ reply: echo });
    plain = startUpstream({ tls: false, reply: echo });
    proxy = await start({
      relays: [
        { name: "api", url: `https://${upstream.authority}/base` },
        { name: "root", url: `https://${upstream.authority}` },
        { name: "slash", url: `https://${upstream.authority}/base/` },
        { name: "plain", url: `http://${plain.authority}/v1` },
        { name: "down", url: `https://localhost:${closedPort()}/` },
      ],
      credentials: [credential(upstream.authority), credential(plain.authority, { header: "X-Api-Key" })],
      extra_headers: [{ host: upstream.authority, header: "anthropic-beta", value: "b" }],
      remove_headers: [{ host: upstream.authority, header: "X-Drop" }],
      token_substitutions: [
        { host: plain.authority, placeholder: PLACEHOLDER, source: { type: "static", value: SECRET } },
      ],
    });
  });
  afterAll(async () => {
    await proxy.stop();
    expectNotPrinted(proxy, [SECRET]);
    await proxy[Symbol.asyncDispose]();
    upstream.close();
    plain.close();
  });

  for (const [path, target] of [
    ["/relay/api/x/y?q=1&r=%2F", "/base/x/y?q=1&r=%2F"],
    ["/relay/api/", "/base/"],
    ["/relay/api?q", "/base?q"],
    ["/relay/api", "/base"],
    ["/relay/root/x", "/x"],
    ["/relay/root", "/"],
    ["/relay/slash/x", "/base/x"],
    ["/relay/api/a%20b;c=d/@:", "/base/a%20b;c=d/@:"],
    ["/relay/plain/x?y", "/v1/x?y"],
  ] as const) {
    test(`${path} goes to ${target}`, async () => {
      expect(text(await ask(proxy, get(path, "localhost")))).toBe(`GET ${target}`);
    });
  }

  test("credential, extra and removed headers of the target; Host is the target's; Proxy-* is dropped", async () => {
    const before = upstream.requests.length;
    const fields = [
      "X-Drop: 1",
      `Authorization: Bearer ${PLACEHOLDER}`,
      "X-Kept: 1",
      "Proxy-Authorization: Bearer x",
      "Proxy-Connection: keep-alive",
    ];
    await ask(proxy, post("/relay/api/x", "localhost", "body", fields));
    const request = upstream.requests[before] as Request;
    expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
    expect(values(request, "anthropic-beta")).toEqual(["b"]);
    expect(values(request, "host")).toEqual([upstream.authority]);
    expect(values(request, "x-kept")).toEqual(["1"]);
    expect(request.rawHead).not.toMatch(/x-drop|proxy-/i);
    expect(text(request)).toBe("body");
  });

  test("a plain target gets its credential and its substitution", async () => {
    const before = plain.requests.length;
    await ask(proxy, get(`/relay/plain/${PLACEHOLDER}`, "localhost"));
    const request = plain.requests[before] as Request;
    expect(request.target).toBe(`/v1/${SECRET}`);
    expect(values(request, "x-api-key")).toEqual([SECRET]);
  });

  test("404 of an unknown one, word for word", async () => {
    const answer = await ask(proxy, get("/relay/nothing/x", "localhost"));
    expect([answer.status, text(answer).trim()]).toEqual([404, "MOAT: Unknown relay endpoint 'nothing'"]);
  });

  test("502 of an unreachable one, word for word, without errno", async () => {
    const answer = await ask(proxy, get("/relay/down/x", "localhost"));
    expect([answer.status, text(answer).trim()]).toEqual([502, "MOAT: Relay 'down' connection failed"]);
    expect(answer.rawHead + text(answer)).not.toMatch(NO_ERRNO);
  });

  for (const name of ["", "<script>", "%0d%0aX-Injected:1", "API", "api%2Fx"]) {
    test(`an odd name is unknown, and the answer is plain text: ${JSON.stringify(name)}`, async () => {
      const answer = await ask(proxy, get(`/relay/${name}/x`, "localhost"));
      expect([400, 404]).toContain(answer.status);
      expect(values(answer, "x-injected")).toEqual([]);
      expect(value(answer, "content-type")).toStartWith("text/plain");
    });
  }

  for (const detour of [
    "..",
    ".",
    "../x",
    "a/../b",
    "%2e%2e",
    "%2E",
    ".%2e/x",
    "a%2fb",
    "a%2Fb",
    "a%5cb",
    "a%5Cb",
    "a\\..\\b",
    "%2e%2e%2f",
    "..;/x",
  ]) {
    test(`"would leave the base path with a credential in hand" is 400: ${detour}`, async () => {
      const before = upstream.requests.length;
      const answer = await ask(proxy, get(`/relay/api/${detour}`, "localhost"));
      if (detour === "..;/x" && answer.status === 200) return;
      expect(answer.status).toBe(400);
      expect(upstream.requests.length).toBe(before);
    });
  }

  test("dots in names and in the query are no detour", async () => {
    expect(text(await ask(proxy, get("/relay/api/a..b/.c/...?p=../%2f", "localhost")))).toBe(
      "GET /base/a..b/.c/...?p=../%2f",
    );
  });

  test("web pages and foreign Host names are refused as everywhere on the proxy itself", async () => {
    const before = upstream.requests.length;
    expect((await ask(proxy, get("/relay/api/x", "evil.example"))).status).toBe(421);
    expect(
      (await ask(proxy, get("/relay/api/x", "localhost", ["Origin: https://evil.example"]))).status,
    ).toBe(403);
    expect(upstream.requests.length).toBe(before);
  });

  test('"absolute-form requests and requests inside a tunnel never reach these"', async () => {
    const answer = await ask(proxy, get(`http://example.invalid/relay/api/x`, "example.invalid"));
    expect(answer.status).not.toBe(200);
  });

  test("the record: proxy_type relay, the target's host, the credential by name", async () => {
    await ask(proxy, get("/relay/api/recorded?q=1", "localhost"));
    const [record] = await proxy.untilRecords(1, (line) => String(line.http_path).endsWith("/recorded"));
    expect(record).toMatchObject({ proxy_type: "relay", http_status: 200, credential_injected: true });
  });

  test("keep-alive: relayed and other requests share a connection", async () => {
    const client = await connectProxy(proxy);
    for (const path of ["/relay/api/1", "/relay/nothing", "/relay/plain/2", "/healthz", "/relay/api/3"])
      expect((await exchange(client, get(path, "localhost"))).status).toBe(
        path === "/relay/nothing" ? 404 : 200,
      );
    client.destroy();
  });
});

describe('"An operator\'s exemption covers exactly that scheme, host and port"', () => {
  test("the target is reached, its neighbours are 403 destination", async () => {
    await using target = startUpstream({ tls: false, reply: echo });
    await using other = startUpstream({ tls: false, reply: echo });
    await using proxy = await start({ relays: [{ name: "r", url: `http://localhost:${target.port}/` }] });
    expect((await ask(proxy, get("/relay/r/x", "localhost"))).status).toBe(200);
    expect(
      (await ask(proxy, get(`http://localhost:${target.port}/`, `localhost:${target.port}`))).status,
    ).toBe(200);
    for (const authority of [
      `localhost:${other.port}`,
      `127.0.0.1:${other.port}`,
      `127.0.0.1:${target.port}`,
      `[::1]:${target.port}`,
    ]) {
      const answer = await ask(proxy, get(`http://${authority}/`, authority));
      expect({ authority, status: answer.status }).toEqual({ authority, status: 403 });
      expect(values(answer, "x-moat-blocked")).toEqual(["destination"]);
    }
    expect(other.connections).toHaveLength(0);
    const seen = target.connections.length;
    // Another scheme is another target: CONNECT there is TLS.
    const { stream, reply } = await openTunnel(proxy, `127.0.0.1:${target.port}`);
    expect(reply.status).toBe(403);
    expect(target.connections).toHaveLength(seen);
    stream.destroy();
  });
});

describe("with proxy authentication", () => {
  let upstream: Upstream;
  let proxy: RunningProxy;
  beforeAll(async () => {
    upstream = startUpstream({ reply: echo });
    proxy = await start({
      proxy: { auth_token: TOKEN },
      log: { level: "debug" },
      relays: [{ name: "api", url: `https://${upstream.authority}/base` }],
      credentials: [credential(upstream.authority)],
    });
  });
  afterAll(async () => {
    await proxy.stop();
    expectNotPrinted(proxy, [SECRET]);
    expect(proxy.stderr).not.toContain(TOKEN);
    expect(upstream.text).not.toContain(TOKEN);
    await proxy[Symbol.asyncDispose]();
    upstream.close();
  });

  test("the first segment is the token", async () => {
    const answer = await ask(proxy, get(`/relay/${TOKEN}/api/x?q=1`, "localhost"));
    expect([answer.status, text(answer)]).toEqual([200, "GET /base/x?q=1"]);
    await proxy.untilRecords(1, (line) => String(line.http_path).startsWith("/relay/[token]/api"));
  });

  test("Proxy-Authorization, and then the path holds no token", async () => {
    expect(text(await ask(proxy, get("/relay/api/x", "localhost", [BEARER])))).toBe("GET /base/x");
    const basic = Buffer.from(`me:${TOKEN}`).toString("base64");
    expect(
      text(await ask(proxy, get("/relay/api/x", "localhost", [`Proxy-Authorization: Basic ${basic}`]))),
    ).toBe("GET /base/x");
  });

  for (const [name, path, fields] of [
    ["no token", "/relay/api/x", []],
    ["a wrong token", "/relay/wrong-token/api/x", []],
    ["a wrong token with a query that holds the right one", `/relay/wrong/api/x?${TOKEN}`, []],
    ["a wrong Proxy-Authorization", "/relay/api/x", ["Proxy-Authorization: Bearer wrong"]],
    ["a prefix of the token", `/relay/${TOKEN.slice(0, -1)}/api/x`, []],
    ["an empty token", "/relay//api/x", []],
    ["the token in Authorization only", "/relay/api/x", [`Authorization: Bearer ${TOKEN}`]],
  ] as const) {
    test(`${name}: refused, and nothing reaches the upstream`, async () => {
      const before = upstream.requests.length;
      const answer = await ask(proxy, get(path, "localhost", fields));
      expect([400, 401, 404, 407]).toContain(answer.status);
      expect(answer.rawHead + text(answer)).not.toContain(TOKEN);
      expect(upstream.requests.length).toBe(before);
    });
  }

  test("an unknown relay does not show the token", async () => {
    const answer = await ask(proxy, get(`/relay/${TOKEN}/nothing/x`, "localhost"));
    expect([answer.status, text(answer).trim()]).toEqual([404, "MOAT: Unknown relay endpoint 'nothing'"]);
  });

  test("a token in the path with a detour is 400 and still not logged", async () => {
    expect((await ask(proxy, get(`/relay/${TOKEN}/api/../x`, "localhost"))).status).toBe(400);
  });
});

for (const name of ["", "a/b", "a b", "a\tb"]) {
  test(`a name is non-empty, without slash or white space: ${JSON.stringify(name)}`, async () => {
    await using child = run({ config: { relays: [{ name, url: "https://example.test" }] } });
    expect(await child.exited).toBe(1);
    expect(child.stderr).toContain("relays[0].name");
  });
}

for (const url of ["ftp://example.test", "example.test", "", "https://", "https://user:pass@example.test"]) {
  test(`a URL that no request can be sent to is refused at the start: ${JSON.stringify(url)}`, async () => {
    await using child = run({ config: { relays: [{ name: "a", url }] } });
    expect(await child.exited).toBe(1);
    expect(child.stderr).toContain("relays[0].url");
    expect(child.stderr).not.toContain("user:pass");
  });
}

test("two of one name are refused", async () => {
  const relay = { name: "a", url: "https://example.test" };
  await using child = run({ config: { relays: [relay, relay] } });
  expect(await child.exited).toBe(1);
});

test("strict policy: the operator has named the target, but rules for its host count", async () => {
  await using upstream = startUpstream({ reply: echo });
  await using proxy = await start({
    relays: [{ name: "api", url: `https://${upstream.authority}/` }],
    network: { policy: "strict", rules: [{ [upstream.authority]: ["allow GET /**"] }] },
  });
  expect((await ask(proxy, get("/relay/api/x", "localhost"))).status).toBe(200);
  const denied = await ask(proxy, message("DELETE /relay/api/x HTTP/1.1", ["Host: localhost"]));
  expect([denied.status, value(denied, "x-moat-blocked")]).toEqual([403, "request-rule"]);
  expect(upstream.requests).toHaveLength(1);
});

test("a certificate that is not right: 502, and no byte of the request leaves", async () => {
  await using upstream = startUpstream({ tls: pki().wrongName, reply: echo });
  await using proxy = await start({
    relays: [{ name: "api", url: `https://${upstream.authority}/` }],
    credentials: [credential(upstream.authority)],
  });
  const answer = await ask(proxy, get("/relay/api/x", "localhost"));
  expect([answer.status, text(answer).trim()]).toEqual([502, "MOAT: Relay 'api' connection failed"]);
  expect(upstream.text).toBe("");
});

test("a relay to the proxy's own port does not loop", async () => {
  const port = closedPort();
  await using proxy = await start(
    { relays: [{ name: "self", url: `http://127.0.0.1:${port}/relay/self` }] },
    { args: ["--port", String(port)] },
  );
  const answer = await ask(proxy, get("/relay/self/x", "localhost"));
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(proxy.records().length).toBeLessThan(20);
});

// The pitfalls list, lines 9 and 10: certificates that strict clients refuse, and failures that opened the door: a secret
// in an answer of another status, a request without its credential, a run that could not be looked up.
import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { CA, type RunContextData } from "../../src/index.ts";
import { startProxy } from "../support/binary.ts";
import { connectHead, connectProxy, get, openTunnel, post, tlsTunnel } from "../support/client.ts";
import { hostEnvironment, ROLE, startFakeSts } from "../support/fake-sts.ts";
import { exchange, readResponse, text, value } from "../support/http-message.ts";
import { startLibrary, withToken } from "../support/library.ts";
import { expectReasons, expectToExist, type Row } from "../support/pitfalls.ts";
import { openssl } from "../support/pki.ts";
import { scratchDir } from "../support/scratch.ts";
import { expectNotPrinted, OTHER_SECRET, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";

describe("Pitfall 9: certificate details", () => {
  test("the library's leaves, too, have an AKI, a minimal serial, one name, and the CA in their chain", () => {
    const dir = scratchDir("moat-leaf-");
    const ca = CA.open(join(dir, "ca"));
    for (const host of ["localhost", "127.0.0.1", "::1", `${"a".repeat(60)}.example.test`]) {
      const { cert } = ca.generateCert(host);
      const leaf = new X509Certificate(cert);
      expect(cert.endsWith(ca.certPem.trim()) || cert.endsWith(ca.certPem)).toBe(true);
      expect(leaf.checkIssued(new X509Certificate(ca.certPem))).toBe(true);
      // One further zero byte in front would not be DER; OpenSSL shows what the bytes are.
      expect(leaf.serialNumber).toMatch(/^(?!00)[0-9A-F]{2,40}$/);
      const file = join(dir, "leaf.pem");
      writeFileSync(file, cert);
      const shown = openssl(["x509", "-in", file, "-noout", "-ext", "authorityKeyIdentifier,subjectAltName"]);
      expect(shown).toContain("Authority Key Identifier");
      expect(shown.match(/DNS:|IP Address:/g)).toHaveLength(1);
      openssl(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca.certPath, file]);
    }
  });
});

describe("Pitfall 10: fail-open and privilege", () => {
  const substitution = (host: string, source: object): object => ({
    ...{ host, placeholder: PLACEHOLDER },
    source,
  });

  for (const status of [200, 201, 202, 299, 302, 400, 404, 500, 599]) {
    test(`only 200 was looked at: an answer ${status} shows no token, in a tunnel and over a relay`, async () => {
      await using upstream = startUpstream({
        reply: () =>
          `HTTP/1.1 103 Early Hints\r\nLink: </${SECRET}>; rel=preload\r\n\r\n` +
          `HTTP/1.1 ${status} Any\r\nX-Echo: ${SECRET}\r\nLocation: https://x.test/${SECRET}\r\n` +
          "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
          `${(SECRET.length + 2).toString(16)}\r\n"${SECRET}"\r\n0\r\nX-Trailer: ${SECRET}\r\n\r\n`,
      });
      const host = upstream.authority;
      await using proxy = await startProxy({
        config: {
          token_substitutions: [substitution(host, { type: "static", value: SECRET })],
          response_transformers: [{ host, kind: "response-scrub" }],
          relays: [{ name: "api", url: `https://${host}` }],
        },
      });
      const tls = await tlsTunnel(proxy, host);
      const client = await connectProxy(proxy);
      for (const [stream, request] of [
        [tls, get(`/${PLACEHOLDER}`, host)],
        [client, get(`/relay/api/${PLACEHOLDER}`, "moat-proxy")],
      ] as const) {
        const hints = await exchange(stream, request);
        expect([hints.status, value(hints, "link")]).toEqual([103, `</${PLACEHOLDER}>; rel=preload`]);
        const answer = await readResponse(stream);
        expect([answer.status, value(answer, "x-echo")]).toEqual([status, PLACEHOLDER]);
        expect(text(answer)).toBe(`"${PLACEHOLDER}"`);
        expect(answer.trailers).toEqual([["X-Trailer", PLACEHOLDER]]);
        expect(stream.text).not.toContain(SECRET);
      }
      expectNotPrinted(proxy, [SECRET]);
      tls.destroy();
      client.destroy();
    });
  }

  test("only documents were looked at: event streams of an MCP server, and trailers, show no token either", async () => {
    await using upstream = startUpstream({
      reply: (request) =>
        request.target === "/sse"
          ? ok(`event: endpoint\ndata: /${SECRET}/post\n\ndata: ${SECRET}\n\n`, [
              "Content-Type: text/event-stream",
            ])
          : `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ${SECRET}\r\n\r\n`,
    });
    const host = upstream.authority;
    const config = (transformers: readonly object[]): object => ({
      token_substitutions: [substitution(host, { type: "static", value: SECRET })],
      response_transformers: transformers,
      mcp_servers: [{ name: "tools", url: `https://${host}` }],
    });
    await using scrubbing = await startProxy({ config: config([{ host, kind: "response-scrub" }]) });
    await using plain = await startProxy({ config: config([]) });
    const client = await connectProxy(scrubbing);
    const accept = ["Accept: text/event-stream"];
    const events = await exchange(client, get("/mcp/tools/sse", "moat-proxy", accept));
    expect(text(events)).toBe(
      `event: endpoint\ndata: /mcp/tools/${PLACEHOLDER}/post\n\ndata: ${PLACEHOLDER}\n\n`,
    );
    const tls = await tlsTunnel(plain, host);
    expect((await exchange(tls, get("/", host))).trailers).toEqual([["X-Trailer", PLACEHOLDER]]);
    tls.destroy();
    client.destroy();
  });

  test("parts of a secret could be tried: a prefix, more than the token, or another case opens nothing, at any endpoint", async () => {
    await using sts = startFakeSts();
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    const url = `http://${upstream.authority}`;
    await using proxy = await startProxy({
      args: ["--aws-role-arn", ROLE],
      env: { ...hostEnvironment(sts), MOAT_PROXY_AUTH_TOKEN: TOKEN },
      config: { relays: [{ name: "api", url }], mcp_servers: [{ name: "tools", url }] },
    });
    const client = await connectProxy(proxy);
    const guesses = [
      TOKEN.slice(0, -1),
      `${TOKEN}0`,
      TOKEN.toUpperCase(),
      `${TOKEN}%00`,
      TOKEN[0] ?? "",
      "%20",
    ];
    for (const guess of guesses) {
      for (const path of [`/relay/${guess}/api/x`, `/mcp/${guess}/tools`]) {
        const answer = await exchange(client, get(path, "moat-proxy"));
        expect([path, answer.status]).toEqual([path, 401]);
      }
      const field = [`Authorization: Bearer ${guess}`];
      expect((await exchange(client, get("/_aws/credentials", "moat-proxy", field))).status).toBe(401);
    }
    for (const path of ["/relay//api/x", "/mcp//tools", "/relay/api/x", "/mcp/tools", "/_aws/credentials"]) {
      const { status } = await exchange(client, get(path, "moat-proxy"));
      expect([path, status >= 400 && status < 500]).toEqual([path, true]);
    }
    expect((await exchange(client, get(`/relay/${TOKEN}/api/x`, "moat-proxy"))).status).toBe(200);
    expect(upstream.requests).toHaveLength(1);
    expect(sts.calls).toHaveLength(0);
    client.destroy();
  });

  test("a token that could not be had was left out: the request is refused, and its placeholder goes nowhere", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const host = upstream.authority;
    const path = join(scratchDir("moat-token-"), "token");
    writeFileSync(path, SECRET, { mode: 0o600 });
    await using proxy = await startProxy({
      config: {
        token_substitutions: [substitution(host, { type: "process", command: `cat ${path}`, ttl: "1s" })],
        relays: [{ name: "api", url: `https://${host}` }],
      },
    });
    const tls = await tlsTunnel(proxy, host);
    const client = await connectProxy(proxy);
    const requests = [get(`/${PLACEHOLDER}`, host), post("/", host, PLACEHOLDER)];
    for (const request of requests) expect((await exchange(tls, request)).status).toBe(200);
    writeFileSync(path, "");
    let status = 200;
    // It is good for a second yet.
    while (status === 200) status = (await exchange(tls, get(`/${PLACEHOLDER}`, host))).status;
    const before = upstream.requests.length;
    for (const request of requests) expect((await exchange(tls, request)).status).toBe(502);
    const relayed = await exchange(client, get(`/relay/api/${PLACEHOLDER}`, "moat-proxy"));
    expect(relayed.status).toBe(502);
    expect(upstream.requests).toHaveLength(before);
    expect(upstream.text).not.toContain(PLACEHOLDER);
    tls.destroy();
    client.destroy();
  });

  test("an MCP server without its credential was asked all the same: 500, and nothing goes out", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const server = { name: "tools", url: `https://${upstream.authority}`, auth: { grant: "mcp-tools" } };
    await using proxy = await startProxy({ config: { mcp_servers: [server] } });
    const client = await connectProxy(proxy);
    const answer = await exchange(
      client,
      post("/mcp/tools", "moat-proxy", "{}", ["Authorization: Bearer mine"]),
    );
    expect(answer.status).toBe(500);
    expect(text(answer)).toContain("MOAT: Failed to load credential for 'tools'.");
    expect(upstream.connections).toHaveLength(0);
    client.destroy();
  });

  const broken: readonly (readonly [what: string, resolve: () => unknown])[] = [
    [
      "throws",
      () => {
        throw new Error(`no ${SECRET}`);
      },
    ],
    ["rejects", () => Promise.reject(new Error(`no ${SECRET}`))],
    ["answers nothing", () => undefined],
    ["answers null", () => null],
    ["answers later with nothing", () => Promise.resolve(undefined)],
    ["answers with a policy of another spelling", () => ({ runID: "one", policy: "Strict" })],
    ["answers with an object that is no run", () => ({})],
    ["answers with a key that nobody knows", () => ({ runID: "one", networkPolicy: "strict" })],
    ["answers strict without a list", () => ({ runID: "one", policy: "strict" })],
    ["answers with an unknown grant", () => ({ runID: "one", policy: "strict", grants: ["githbu"] })],
    ["answers with a pattern that is none", () => ({ runID: "one", allowedHosts: ["a/b"] })],
    [
      "answers with a credential that splits the head",
      () => ({
        runID: "one",
        credentials: { localhost: { name: "X-Key", value: "a\r\nHost: evil" } },
      }),
    ],
    [
      "answers with a transformer that is none",
      () => ({
        runID: "one",
        responseTransformers: { localhost: ["response-scrubb"] },
      }),
    ],
  ];
  for (const [what, resolve] of broken) {
    test(`a run that cannot be had was replaced by the default: a resolver that ${what} opens nothing`, async () => {
      await using upstream = startUpstream({ tls: false, reply: () => ok() });
      const host = upstream.authority;
      await using library = await startLibrary((proxy) => {
        proxy.setCredential(host, OTHER_SECRET);
        proxy.addRelay("api", `http://${host}`);
        // What a program without types can answer.
        proxy.setContextResolver(resolve as () => RunContextData | undefined);
      });
      const client = await connectProxy(library);
      for (const request of [
        get(`http://${host}/`, host, withToken("t")),
        get(`http://${host}/`, host),
        connectHead(host, withToken("t")),
      ]) {
        const answer = await exchange(client, request, "GET");
        expect(answer.status).toBeGreaterThanOrEqual(400);
        expect(answer.rawHead + text(answer)).not.toContain(SECRET);
      }
      expect(upstream.connections).toHaveLength(0);
      client.destroy();
    });
  }

  test("a door that was closed was opened while running: without a token nobody serves others than loopback", async () => {
    const { Server } = await import("../../src/index.ts");
    await using library = await startLibrary((proxy) => proxy.setAuthToken(TOKEN));
    const open = new Server(library.proxy);
    open.setBindAddr("0.0.0.0");
    await using _closing = open;
    await open.start();
    expect(() => library.proxy.setAuthToken(undefined)).toThrow("set an auth token");
    const target = { host: "127.0.0.1", port: open.port, caPath: library.caPath };
    const { stream, reply } = await openTunnel(target, "localhost:1");
    expect(reply.status).toBe(407);
    stream.destroy();
  });
});

const ELSEWHERE: readonly Row[] = [
  "9 | no AKI: strict Python refused the leaf | x509/leaf.test.ts | has exactly the extensions of the contract",
  "9 | strict verifiers refuse the chain | x509/verifiers.test.ts | by OpenSSL with -x509_strict",
  "9 | one serial in 512 was no minimal DER | e2e/certificates.test.ts | serials are minimal DER and positive over many leaves",
  "9 | the chain lacked the CA | x509/verifiers.test.ts | the chain on the wire is the leaf and the CA",
  "9 | a leaf was never minted again | x509/leaf-cache.test.ts | a leaf is minted again",
  "9 | a key for every leaf, made while a client waits | x509/leaf-cache.test.ts | all leaves share one key, made when none is given",
  "9 | a cache of leaves without bound | x509/leaf-cache.test.ts | the least recently used goes when the cache is full",
  "9 | a CA with another DN broke the chain | x509/ca.test.ts | is byte for byte the subject of the CA: %s",
  "9 | a CA of the operator's, end to end | e2e/authority-files.test.ts | tls.ca_cert and tls.ca_key in the config file name another CA",
  "10 | a prefix of the proxy's token was enough | e2e/auth.test.ts | rejected with 407: … > a prefix of the token",
  "10 | a credential that could not be had was left out | e2e/injection.test.ts | env: a variable that is not set never lets a request through without its credential",
  "10 | a source that died let requests through | e2e/sources.test.ts | 502 once its value has expired, nothing to the upstream, then it recovers",
  "10 | a transformer that failed passed the answer on | proxy/custom-transform.test.ts | fails before any byte, the reason for the log only: %s",
  "10 | a status other than 403 got the empty answer of the OAuth workaround | transform/oauth-endpoint.test.ts | %s with %d is left alone, its head untouched",
  "10 | the rate limit was open once its memory was full | x509/mint-limiter.test.ts | a used-up allowance is never forgotten early, so a flood of addresses wins nothing",
  "10 | hosts without a match passed a strict policy | e2e/policy.test.ts | strict with an empty list denies everything but the proxy's own endpoints",
  "10 | an endpoint of the operator's within reach of the sandbox | e2e/metrics.test.ts | not on the proxy's own port",
];

const NOT_APPLICABLE: readonly Row[] = [
  "10 | a format of the client's choice cut the secret short | how a value is shaped is the operator's alone (credentials[].format)",
  "10 | the agent approved its own proposal | nothing here is proposed or approved: what a run may do comes from the configuration or the resolver",
  "10 | unmatched hosts pass by default | permissive is the default of the contract, section 7; no credential goes to a host that no entry names",
];

test("what is proved elsewhere is there", () => expectToExist(ELSEWHERE));
test("what cannot apply has its reason", () => expectReasons(NOT_APPLICABLE));

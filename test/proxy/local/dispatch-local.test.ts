// Relays and MCP servers over the outer connection: who may use them, what their upstream gets and what the client hears,
// byte for byte. wire.md sections 5, 9, 10 and 12.
import { afterEach, describe, expect, test } from "bun:test";
import { parseRelayTarget } from "../../../src/run/relay-target.ts";
import { responseScrub } from "../../../src/transform/scrub.ts";
import { ProxyError } from "../../../src/values/errors.ts";
import type { FakeWire } from "../../support/fake-wire.ts";
import {
  credential,
  dialFailed,
  finishRigs,
  head,
  makeRun,
  plainReply,
  type RigOptions,
  ScriptedRuns,
  ScriptedSlot,
  SessionRig,
  settled,
} from "../../support/session-rig.ts";

afterEach(finishRigs);

const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;
const HOST = "Host: localhost:8080";
const BEARER = 'WWW-Authenticate: Bearer realm="moat-proxy"';
const BASIC = 'Proxy-Authenticate: Basic realm="moat-proxy"';
const TOKEN = "t0ken-of-the-proxy";

const SERVERS = [
  { name: "ctx", url: "https://mcp.test/v1", auth: { grant: "mcp-ctx", header: "X-Api-Key" } },
  { name: "open", url: "https://open.test" },
] as const;

/** A rig with the relays `api` and `plain` and the servers `ctx` and `open`. */
function relaying(options: RigOptions = {}): SessionRig {
  const relays = new Map(
    [
      parseRelayTarget("relay", "api", "https://api.test/base"),
      parseRelayTarget("relay", "plain", "http://plain.test:8080"),
    ].map((target) => [target.name, target]),
  );
  return new SessionRig({
    credentials: [
      credential("api.test", "api-secret"),
      credential("elsewhere.test", "ctx-secret", { header: "X-Api-Key", grant: "mcp-ctx" }),
    ],
    ...options,
    local: { relays, ...options.local },
    more: { mcpServers: SERVERS, ...options.more },
  });
}

function ask(target: string, ...fields: readonly string[]): string {
  return head(`GET ${target} HTTP/1.1`, HOST, ...fields);
}

describe("a relay", () => {
  test("goes to its URL and the path behind its name, query kept, with the host's credential", () => {
    const rig = relaying();
    rig.client.says(ask("/relay/api/a/b?c=%2F..&d", "Accept: */*"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      head(
        "GET /base/a/b?c=%2F..&d HTTP/1.1",
        "Host: api.test",
        "Accept: */*",
        "X-Request-Id: req-1",
        "Authorization: Bearer api-secret",
      ),
    );
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.upstreams.released).toHaveLength(1);
    expect(rig.log()).toEqual(["relay GET api.test/relay/api/a/b 200"]);
    expect(rig.records[0]).toMatchObject({ injectedHeaders: ["Authorization"], local: true });
  });

  const paths: readonly (readonly [sent: string, received: string])[] = [
    ["/relay/api", "/base"],
    ["/relay/api?q", "/base?q"],
    ["/relay/api/", "/base/"],
    ["/relay/api//x", "/base//x"],
    ["/relay/%61pi/x", "/base/x"],
    ["/relay/api/%7e?%2e%2e/", "/base/%7e?%2e%2e/"],
    ["/relay/plain", "/"],
    ["/relay/plain/x/", "/x/"],
  ];
  for (const [sent, received] of paths) {
    test(`${sent} is ${received} there`, () => {
      const rig = relaying();
      rig.client.says(ask(sent));
      const upstream = rig.dialled({ privatePeer: true });
      expect(upstream.heard()).toStartWith(`GET ${received} HTTP/1.1\r\n`);
      upstream.says(OK);
    });
  }

  test("gets removed and extra headers, and nothing of the proxy's", () => {
    const rig = relaying({
      more: {
        removeHeaders: [{ host: "api.test", header: "X-Gone" }],
        extraHeaders: [{ host: "api.test", header: "X-Beta", value: "on" }],
      },
    });
    rig.client.says(
      ask(
        "/relay/api/a",
        "X-Gone: 1",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Bearer whatever",
        "Proxy-Odd: 1",
        "Connection: X-Hop",
        "X-Hop: 1",
      ),
    );
    expect(rig.dialled().heard()).toBe(
      head(
        "GET /base/a HTTP/1.1",
        "Host: api.test",
        "X-Request-Id: req-1",
        "Authorization: Bearer api-secret",
        "X-Beta: on",
      ),
    );
  });

  test("streams both ways, and the connection goes on", () => {
    const rig = relaying();
    rig.client.says(
      head("POST /relay/api/up HTTP/1.1", HOST, "Transfer-Encoding: chunked"),
      "5\r\nhello\r\n",
    );
    const upstream = rig.dialled();
    expect(upstream.heard()).toEndWith("\r\n\r\n5\r\nhello\r\n");
    upstream.says(head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"));
    expect(rig.client.heard()).toBe(head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"));
    upstream.says("1\r\nx\r\n");
    expect(rig.client.heard()).toBe("1\r\nx\r\n");
    rig.client.says("0\r\n\r\n");
    expect(upstream.heard()).toBe("0\r\n\r\n");
    upstream.says("0\r\n\r\n");
    rig.client.says(ask("/healthz") + ask("/relay/api/2"));
    upstream.says(OK);
    expect(rig.client.heard()).toEndWith(`{"status":"ok"}${OK}`);
    expect(rig.log()).toEqual([
      "relay POST api.test/relay/api/up 200",
      "http GET moat-proxy/healthz 200",
      "relay GET api.test/relay/api/2 200",
    ]);
  });

  test("is not there for absolute-form requests and inside tunnels", () => {
    const rig = relaying();
    rig.client.says(head("GET http://localhost:8080/relay/api/x HTTP/1.1", HOST));
    expect(rig.dial().target.key).toBe("http://localhost:8080");
    rig.client.reset();
    const other = relaying();
    const inner = other.tunnel("localhost:8080");
    inner.says(ask("/relay/api/x"));
    expect(other.dial().target.key).toBe("https://localhost:8080");
  });

  test("becomes a WebSocket", () => {
    const rig = relaying();
    rig.client.says(ask("/relay/api/ws", "Connection: Upgrade", "Upgrade: websocket"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      head(
        "GET /base/ws HTTP/1.1",
        "Host: api.test",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "X-Request-Id: req-1",
        "Authorization: Bearer api-secret",
      ),
    );
    const switched = head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket");
    upstream.says(switched, "frame");
    expect(rig.client.heard()).toBe(`${switched}frame`);
    rig.client.says("back");
    expect(upstream.heard()).toBe("back");
    rig.client.reset();
    expect(rig.log()).toEqual(["relay GET api.test/relay/api/ws 101"]);
  });

  test("of an HTTP/1.0 client without Host", () => {
    const rig = relaying();
    rig.client.says(head("GET /relay/api/a HTTP/1.0"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toContain("\r\nHost: api.test\r\n");
    upstream.says(OK);
    expect(rig.client.heard()).toBe(`${head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close")}ok`);
  });

  test("a stream of it ends with its run, but not because the policy would not allow its host", () => {
    const runs = new ScriptedRuns(makeRun(), true);
    const rig = relaying({ runs });
    rig.client.says(ask("/relay/t1/api/a"));
    rig.dialled().says(head("HTTP/1.1 200 OK", "Content-Length: 100"), "begun");
    runs.answer = makeRun({ network: { policy: "strict" } });
    rig.sweepRuns();
    expect(rig.client.state).toBe("open");
    runs.answer = undefined;
    rig.sweepRuns();
    expect(rig.client.state).toBe("destroyed");
    expect(runs.asked).toEqual(["t1", "t1", "t1"]);
  });
});

describe("an MCP server", () => {
  test("gets its credential in its field, whatever the client sent there", () => {
    for (const sent of [[], ["X-API-KEY: mine"], ["x-api-key: a", "x-api-key: b"]]) {
      const rig = relaying();
      rig.client.says(ask("/mcp/ctx/sub?q", ...sent));
      const upstream = rig.dialled();
      const heard = upstream.heard();
      expect(heard).toStartWith("GET /v1/sub?q HTTP/1.1\r\nHost: mcp.test\r\n");
      expect(heard.match(/x-api-key: .*/gi)).toEqual(["X-Api-Key: ctx-secret"]);
      upstream.says(OK);
      expect(rig.log()).toEqual(["mcp GET mcp.test/mcp/ctx/sub 200"]);
      expect(rig.records[0]).toMatchObject({ injectedHeaders: ["X-Api-Key"], grants: ["mcp-ctx"] });
    }
  });

  test("without auth gets none", () => {
    const rig = relaying();
    rig.client.says(ask("/mcp/open"));
    expect(rig.dialled().heard()).toBe(head("GET / HTTP/1.1", "Host: open.test", "X-Request-Id: req-1"));
  });

  test("an extra header is not appended to its credential", () => {
    const rig = relaying({
      more: { extraHeaders: [{ host: "mcp.test", header: "X-Api-Key", value: "more" }] },
    });
    rig.client.says(ask("/mcp/ctx"));
    expect(rig.dialled().heard()).toContain("\r\nX-Api-Key: ctx-secret\r\n");
  });

  test("whose grant nothing provides is 500 with the fix, before anything is dialled", () => {
    const rig = relaying({ credentials: [] });
    rig.client.says(ask("/mcp/ctx/sub"));
    const text = "MOAT: Failed to load credential for 'ctx'. Grant: mcp-ctx. Run: moat grant mcp ctx";
    expect(rig.client.heard()).toBe(plainReply("500 Internal Server Error", `${text}\n`));
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.client.state).toBe("open");
    expect(rig.log()).toEqual([`mcp GET moat-proxy/mcp/ctx/sub 500 error=${text}`]);
  });

  test("whose credential cannot be fetched is 500 with the fix, the reason in the record only", async () => {
    const slot = new ScriptedSlot();
    const rig = relaying({ credentials: [], more: { mcpServers: SERVERS, storeSlot: () => slot } });
    rig.client.says(ask("/mcp/ctx"));
    slot.reject(new ProxyError("credential-failed", "credential resolution failed", new Error("locked")));
    await settled();
    const text = "MOAT: Failed to load credential for 'ctx'. Grant: mcp-ctx. Run: moat grant mcp ctx";
    expect(rig.client.heard()).toBe(plainReply("500 Internal Server Error", `${text}\n`));
    expect(rig.log()).toEqual([`mcp GET mcp.test/mcp/ctx 500 error=${text}: locked`]);
  });

  test("whose credential comes later waits for it", async () => {
    const slot = new ScriptedSlot();
    const rig = relaying({ credentials: [], more: { mcpServers: SERVERS, storeSlot: () => slot } });
    rig.client.says(ask("/mcp/ctx"));
    expect(rig.upstreams.dials).toEqual([]);
    slot.resolve("late-secret");
    await settled();
    expect(rig.dialled().heard()).toContain("\r\nX-Api-Key: late-secret\r\n");
  });
});

describe("a name", () => {
  const refused: readonly (readonly [target: string, reply: string])[] = [
    ["/relay/nope/x", plainReply("404 Not Found", "MOAT: Unknown relay endpoint 'nope'\n")],
    ["/relay/ctx", plainReply("404 Not Found", "MOAT: Unknown relay endpoint 'ctx'\n")],
    ["/relay/API", plainReply("404 Not Found", "MOAT: Unknown relay endpoint 'API'\n")],
    ["/relay/api%2Fx", plainReply("404 Not Found", "MOAT: Unknown relay endpoint 'api/x'\n")],
    ["/relay/../healthz", plainReply("404 Not Found", "MOAT: Unknown relay endpoint '..'\n")],
    ["/relay/__proto__", plainReply("404 Not Found", "MOAT: Unknown relay endpoint '__proto__'\n")],
    [
      "/mcp/nope/x",
      plainReply(
        "404 Not Found",
        "MOAT: MCP server 'nope' not configured. Available servers: ctx, open. Check moat.yaml.\n",
      ),
    ],
    [
      "/mcp/api",
      plainReply(
        "404 Not Found",
        "MOAT: MCP server 'api' not configured. Available servers: ctx, open. Check moat.yaml.\n",
      ),
    ],
    ["/relay/", plainReply("400 Bad Request", "invalid relay URL\n")],
    ["/mcp/", plainReply("400 Bad Request", "invalid MCP relay URL\n")],
    ["/mcp//ctx", plainReply("400 Bad Request", "invalid MCP relay URL\n")],
    ["/relay", plainReply("404 Not Found", "not found\n")],
    ["/mcp?x", plainReply("404 Not Found", "not found\n")],
    ["/RELAY/api", plainReply("404 Not Found", "not found\n")],
    ["//relay/api", plainReply("404 Not Found", "not found\n")],
  ];
  for (const [target, reply] of refused) {
    test(`${target}: ${reply.slice(9, 12)}, and the connection stays open`, () => {
      const rig = relaying();
      rig.client.says(ask(target));
      expect(rig.client.heard()).toBe(reply);
      expect(rig.client.state).toBe("open");
      expect(rig.upstreams.dials).toEqual([]);
      expect(rig.records).toMatchObject([{ denied: true }]);
    });
  }

  test("none is available", () => {
    const rig = relaying({ more: { mcpServers: [] } });
    rig.client.says(ask("/mcp/ctx"));
    expect(rig.client.heard()).toContain("Available servers: none. Check moat.yaml.\n");
  });
});

describe("the token", () => {
  const auth = `Proxy-Authorization: Bearer ${TOKEN}`;

  test("stands in the path, and goes no further: not upstream, not into the record", () => {
    const rig = relaying({ token: TOKEN });
    for (const [target, path] of [
      [`/relay/${TOKEN}/api/x?q`, "/base/x?q"],
      [`/mcp/${TOKEN}/ctx/x`, "/v1/x"],
    ] as const) {
      rig.client.says(ask(target));
      const upstream = rig.dialled();
      const heard = upstream.heard();
      expect(heard).toStartWith(`GET ${path} HTTP/1.1\r\n`);
      expect(heard).not.toContain(TOKEN);
      upstream.says(OK);
      expect(rig.client.heard()).toBe(OK);
    }
    expect(rig.log()).toEqual([
      "relay GET api.test/relay/[token]/api/x 200",
      "mcp GET mcp.test/mcp/[token]/ctx/x 200",
    ]);
    expect(JSON.stringify(rig.records)).not.toContain(TOKEN);
  });

  test("or in Proxy-Authorization, and then the path holds none", () => {
    const rig = relaying({ token: TOKEN });
    rig.client.says(ask("/relay/api/x", `Proxy-Authorization: Basic ${btoa(`alice:${TOKEN}`)}`));
    const upstream = rig.dialled();
    expect(upstream.heard()).not.toContain("Proxy-");
    upstream.says(OK);
    expect(rig.log()).toEqual(["relay GET api.test/relay/api/x 200"]);
    expect(rig.records[0]?.userId).toBe("alice");
  });

  test("in both places is an unknown name, and is not logged as one", () => {
    const rig = relaying({ token: TOKEN });
    for (const kind of ["relay", "mcp"]) {
      rig.client.says(ask(`/${kind}/${TOKEN}/api/x`, auth));
      expect(rig.client.heard()).toStartWith("HTTP/1.1 404 ");
    }
    expect(rig.records).toHaveLength(2);
    expect(JSON.stringify(rig.records)).not.toContain(TOKEN);
  });

  const refused: readonly (readonly [
    what: string,
    target: string,
    fields: readonly string[],
    reply: string,
  ])[] = [
    [
      "a wrong one in the path",
      "/relay/wrong/api/x",
      [],
      plainReply("401 Unauthorized", "Invalid token\n", BEARER),
    ],
    [
      "a wrong one in the path of a server",
      "/mcp/wrong/ctx",
      [],
      plainReply("401 Unauthorized", "Invalid token\n", BEARER),
    ],
    ["an empty one in the path", "/mcp//ctx", [], plainReply("401 Unauthorized", "Invalid token\n", BEARER)],
    [
      "one with a bad encoding",
      "/mcp/%zz/ctx",
      [],
      plainReply("401 Unauthorized", "Invalid token\n", BEARER),
    ],
    ["none, but a name", "/relay/api", [], plainReply("400 Bad Request", "invalid relay URL\n")],
    ["none, but a server's name", "/mcp/ctx", [], plainReply("400 Bad Request", "invalid MCP relay URL\n")],
    [
      "a wrong one in Proxy-Authorization",
      "/relay/api/x",
      ["Proxy-Authorization: Bearer wrong"],
      plainReply("407 Proxy Authentication Required", "Invalid proxy token\n", BASIC),
    ],
    [
      "a right one in the path beside a wrong Proxy-Authorization",
      `/relay/${TOKEN}/api/x`,
      ["Proxy-Authorization: Bearer wrong"],
      plainReply("407 Proxy Authentication Required", "Invalid proxy token\n", BASIC),
    ],
    [
      "one in Authorization",
      "/relay/api/x",
      [`Authorization: Bearer ${TOKEN}`],
      plainReply("401 Unauthorized", "Invalid token\n", BEARER),
    ],
  ];
  for (const [what, target, fields, reply] of refused) {
    test(`${what} is refused, and the connection stays open`, () => {
      const rig = relaying({ token: TOKEN });
      rig.client.says(ask(target, ...fields));
      expect(rig.client.heard()).toBe(reply);
      expect(rig.client.state).toBe("open");
      expect(rig.upstreams.dials).toEqual([]);
      expect(JSON.stringify(rig.records)).not.toContain(TOKEN);
      expect(JSON.stringify(rig.records)).not.toContain("wrong");
    });
  }

  test("twice in Proxy-Authorization is refused: two readers may take different ones", () => {
    const rig = relaying({ token: TOKEN });
    rig.client.says(ask("/relay/api/x", auth, auth));
    expect(rig.client.heard()).toStartWith("HTTP/1.1 400 ");
    expect(rig.upstreams.dials).toEqual([]);
  });

  test("of one request is not the token of the next", () => {
    const rig = relaying({ token: TOKEN });
    rig.client.says(ask(`/relay/${TOKEN}/api/x`));
    rig.dialled().says(OK);
    rig.client.says(head("GET http://api.test/ HTTP/1.1", "Host: api.test"));
    expect(rig.client.heard()).toStartWith(`${OK}HTTP/1.1 407 `);
  });

  test("selects the run: its servers, and its credentials for a relay", async () => {
    const runs = new ScriptedRuns(undefined, true);
    const rig = relaying({ runs });
    const found = Promise.withResolvers<ReturnType<typeof makeRun>>();
    runs.answer = found.promise;
    rig.client.says(ask("/relay/t1/api/x"));
    expect(rig.upstreams.dials).toEqual([]);
    found.resolve(makeRun({ runId: "one", credentials: [credential("api.test", "of-run-one")] }));
    await settled();
    const upstream = rig.dialled();
    expect(upstream.heard()).toContain("\r\nAuthorization: Bearer of-run-one\r\n");
    upstream.says(OK);
    expect(rig.records[0]).toMatchObject({ runId: "one", path: "/relay/[token]/api/x" });
    rig.client.says(ask("/mcp/t1/ctx"));
    await settled();
    expect(rig.client.heard()).toContain("Available servers: none.");
  });

  test("whose run cannot be looked up is 503", async () => {
    const runs = new ScriptedRuns(undefined, true);
    runs.answer = Promise.reject(new ProxyError("run-unresolved", "the run could not be looked up"));
    const rig = relaying({ runs });
    rig.client.says(ask("/relay/t1/api/x"));
    await settled();
    expect(rig.client.heard()).toBe(
      plainReply("503 Service Unavailable", "the run could not be looked up\n"),
    );
  });

  test("in a mapped address is not shown to a logger", () => {
    const rig = relaying({ token: TOKEN });
    rig.deps.detail = { captureHeaders: [], query: false, messages: true };
    rig.client.says(ask(`/relay/${TOKEN}/api/x`));
    rig.dialled().says(head("HTTP/1.1 302 Found", "Location: /base/y", "Content-Length: 0"));
    expect(rig.client.heard()).toContain(`\r\nLocation: /relay/${TOKEN}/api/y\r\n`);
    const message = rig.records[0]?.message;
    expect(message?.shownValue(message.responseHeaders?.get("location") ?? "")).toBe("/relay/[token]/api/y");
  });
});

describe("an upstream that cannot be reached", () => {
  const failures: readonly (readonly [what: string, fail: (rig: SessionRig) => void])[] = [
    ["dial", (rig) => rig.dial().fail(dialFailed())],
    [
      "certificate",
      (rig) => rig.dial().fail(new ProxyError("certificate-rejected", "the certificate is no good")),
    ],
    ["answer", (rig) => void rig.dialled().fin()],
  ];
  for (const [what, fail] of failures) {
    test(`(${what}) is 502 in the relay's words, without errno and address`, () => {
      const rig = relaying();
      rig.client.says(ask("/relay/api/x"));
      fail(rig);
      expect(rig.client.heard()).toBe(plainReply("502 Bad Gateway", "MOAT: Relay 'api' connection failed\n"));
      rig.client.says(ask("/mcp/ctx"));
      fail(rig);
      expect(rig.client.heard()).toBe(
        plainReply("502 Bad Gateway", "MOAT: Failed to connect to MCP server 'ctx'\n"),
      );
      expect(rig.client.state).toBe("open");
      expect(rig.records).toHaveLength(2);
    });
  }

  test("its reason is in the record", () => {
    const rig = relaying();
    rig.client.says(ask("/relay/api/x"));
    rig.dial().fail(dialFailed());
    expect(rig.log()).toEqual([
      "relay GET api.test/relay/api/x 502 error=MOAT: Relay 'api' connection failed: ECONNREFUSED 192.0.2.1",
    ]);
  });

  test("an answer that breaks off is a cut", () => {
    const rig = relaying();
    rig.client.says(ask("/relay/api/x"));
    rig.dialled().says(head("HTTP/1.1 200 OK", "Content-Length: 5"), "he").fin();
    expect(rig.client.heard()).toBe(`${head("HTTP/1.1 200 OK", "Content-Length: 5")}he`);
    expect(rig.client.state).toBe("destroyed");
  });
});

describe("a path that could leave the base path", () => {
  for (const sub of ["/../x", "/./x", "/a/..", "/%2e%2e/x", "/a%2fb", "/a%5Cb", "/..;/x", "/%252e./x"]) {
    test(`${sub} is 400, and nothing is dialled`, () => {
      for (const target of [`/relay/api${sub}`, `/mcp/ctx${sub}`]) {
        const rig = relaying();
        rig.client.says(ask(target));
        expect(rig.client.heard()).toStartWith("HTTP/1.1 400 Bad Request\r\n");
        expect(rig.upstreams.dials).toEqual([]);
        expect(rig.records).toMatchObject([{ status: 400, denied: true }]);
      }
    });
  }

  test("in the query is no path", () => {
    const rig = relaying();
    rig.client.says(ask("/relay/api/a?x=/../%2f"));
    expect(rig.dialled().heard()).toStartWith("GET /base/a?x=/../%2f HTTP/1.1\r\n");
  });
});

describe("a redirect", () => {
  function redirected(location: string, token?: string): { rig: SessionRig; heard: string } {
    const rig = relaying(token === undefined ? {} : { token });
    rig.client.says(ask(`/relay/${token === undefined ? "" : `${token}/`}api/a/b`));
    const upstream = rig.dialled();
    upstream.says(
      head(
        "HTTP/1.1 302 Found",
        `Location: ${location}`,
        `Content-Location: ${location}`,
        "Content-Length: 0",
      ),
    );
    return { rig, heard: rig.client.heard() };
  }

  function moved(location: string): string {
    return head(
      "HTTP/1.1 302 Found",
      `Location: ${location}`,
      `Content-Location: ${location}`,
      "Content-Length: 0",
    );
  }

  test("is passed on, mapped, never followed", () => {
    const { rig, heard } = redirected("https://api.test/base/c?d#e");
    expect(heard).toBe(moved("/relay/api/c?d#e"));
    expect(rig.upstreams.dials).toHaveLength(1);
    expect(rig.log()).toEqual(["relay GET api.test/relay/api/a/b 302"]);
  });

  test("to another origin is left alone", () => {
    const { rig, heard } = redirected("https://other.test/base/c");
    expect(heard).toBe(moved("https://other.test/base/c"));
    expect(rig.upstreams.dials).toHaveLength(1);
  });

  test("keeps the token that the client wrote", () => {
    expect(redirected("/base/c", TOKEN).heard).toBe(moved(`/relay/${TOKEN}/api/c`));
  });

  test("beyond the base path is sealed, and with the seal the client may go there", () => {
    const { rig, heard } = redirected("/login?next=1");
    const location = /^Location: (.*)\r$/m.exec(heard)?.[1] ?? "";
    expect(location).toMatch(/^\/relay\/api\/~[A-Za-z0-9_-]{43}\/login\?next=1$/);
    rig.client.says(ask(location));
    const [upstream] = rig.upstreams.connections;
    expect(upstream?.wire.heard()).toContain("GET /login?next=1 HTTP/1.1\r\n");
    expect(upstream?.wire.unread).toBe(0);
    upstream?.wire.says(head("HTTP/1.1 302 Found", "Location: step2", "Content-Length: 0"));
    expect(rig.client.heard()).toMatch(/Location: \/relay\/api\/~[A-Za-z0-9_-]{43}\/step2\r\n/);
  });

  test("a seal that is forged stays below the base path", () => {
    const rig = relaying();
    const forged = `/~${"A".repeat(43)}/login`;
    rig.client.says(ask(`/relay/api${forged}`));
    const upstream = rig.dialled();
    expect(upstream.heard()).toStartWith(`GET /base${forged} HTTP/1.1\r\n`);
    upstream.says(OK);
  });

  test("a seal of another relay, server or token is no seal here", () => {
    const rig = relaying({ token: TOKEN });
    const { seal } = rig.deps.local;
    for (const scope of [
      "/relay/api",
      "/relay/other-token/api",
      `/relay/${TOKEN}/plain`,
      `/mcp/${TOKEN}/api`,
    ]) {
      const sealed = seal.seal(scope, "/login");
      rig.client.says(ask(`/relay/${TOKEN}/api${sealed}`));
      const upstream = rig.upstreams.pending.length > 0 ? rig.dialled() : rig.upstreams.connections[0]?.wire;
      expect(upstream?.heard()).toStartWith(`GET /base${sealed} HTTP/1.1\r\n`);
      upstream?.says(OK);
    }
  });

  test("a forged seal in front of a detour is 400", () => {
    const rig = relaying();
    rig.client.says(ask(`/relay/api/~${"A".repeat(43)}/../login`));
    expect(rig.client.heard()).toStartWith("HTTP/1.1 400 ");
  });

  test("a sealed path is judged by the rules as what it is", () => {
    const rig = relaying({
      network: { rules: [{ host: "api.test", rules: ["allow GET /base/**", "deny * /**"] }] },
    });
    const sealed = rig.deps.local.seal.seal("/relay/api", "/admin");
    rig.client.says(ask(`/relay/api${sealed}`));
    expect(rig.client.heard()).toContain("X-Moat-Blocked: request-rule");
    expect(rig.upstreams.dials).toEqual([]);
  });
});

describe("a stream of events of an MCP server", () => {
  const ACCEPT = "Accept: text/event-stream";

  async function stream(rig: SessionRig, target = "/mcp/ctx/sse"): Promise<FakeWire> {
    rig.client.says(ask(target, ACCEPT, "Accept-Encoding: gzip"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toContain("\r\nAccept-Encoding: identity\r\n");
    upstream.says(head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"));
    await settled();
    return upstream;
  }

  function chunk(text: string): string {
    return `${text.length.toString(16)}\r\n${text}\r\n`;
  }

  /** What the client has heard, chunks put together. */
  function events(heard: string): string {
    return heard.slice(heard.indexOf("\r\n\r\n") + 4).replace(/[0-9a-f]+\r\n((?:.|\n)*?)\r\n/g, "$1");
  }

  test("has its endpoint mapped; other events pass as they come", async () => {
    const rig = relaying();
    const upstream = await stream(rig);
    expect(rig.client.heard()).toBe(
      head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"),
    );
    upstream.says(chunk("event: endpoint\ndata: /v1/messages?session=1\n\n"));
    expect(events(`\r\n\r\n${rig.client.heard()}`)).toBe(
      "event: endpoint\ndata: /mcp/ctx/messages?session=1\n\n",
    );
    upstream.says(chunk("data: {}\n\n"));
    expect(events(`\r\n\r\n${rig.client.heard()}`)).toBe("data: {}\n\n");
  });

  test("has an endpoint beyond the base path sealed, and the client may post there", async () => {
    const rig = relaying();
    const upstream = await stream(rig);
    rig.client.heard();
    upstream.says(chunk("event: endpoint\ndata: /messages?s=1\n\n"));
    const endpoint = /data: (.*)\n/.exec(rig.client.heard())?.[1] ?? "";
    expect(endpoint).toMatch(/^\/mcp\/ctx\/~[A-Za-z0-9_-]{43}\/messages\?s=1$/);
    const second = rig.connectClient();
    second.says(`${head(`POST ${endpoint} HTTP/1.1`, HOST, "Content-Length: 2")}{}`);
    const posted = rig.dialled();
    expect(posted.heard()).toStartWith("POST /messages?s=1 HTTP/1.1\r\nHost: mcp.test\r\n");
    posted.says(OK);
  });

  test("of a host that is scrubbed is scrubbed, and has its endpoint mapped", async () => {
    const rig = relaying({ more: { transformers: [{ host: "mcp.test", transformer: responseScrub }] } });
    const upstream = await stream(rig);
    rig.client.heard();
    upstream.says(chunk("event: endpoint\ndata: /v1/m?key=ctx-secret\n\n"), chunk("data: ctx-secret\n\n"));
    await settled();
    const heard = events(`\r\n\r\n${rig.client.heard()}`);
    expect(heard).not.toContain("ctx-secret");
    expect(heard).toContain("event: endpoint\ndata: /mcp/ctx/m?key=");
    expect(heard).toEndWith("data: [REDACTED]\n\n");
  });

  test("that a function answers has its endpoint mapped too", async () => {
    const rig = relaying({
      more: {
        transformers: [
          {
            host: "mcp.test",
            transformer: (_request, response) =>
              new Response(response.body, { headers: { "Content-Type": "text/event-stream" } }),
          },
        ],
      },
    });
    const upstream = await stream(rig);
    upstream.says(chunk("event: endpoint\ndata: /v1/m\n\n"), "0\r\n\r\n");
    let heard = "";
    for (const end = performance.now() + 4_000; !heard.endsWith("0\r\n\r\n") && performance.now() < end; ) {
      await settled();
      heard += rig.client.heard();
    }
    expect(events(heard)).toContain("data: /mcp/ctx/m\n\n");
  });
});

describe("policy", () => {
  test("strict does not keep a relay from its upstream: the operator named it", () => {
    const rig = relaying({ network: { policy: "strict" } });
    for (const target of ["/relay/api/x", "/mcp/open"]) {
      rig.client.says(ask(target));
      rig.dialled().says(OK);
      expect(rig.client.heard()).toBe(OK);
    }
  });

  test("rules do, judged on the upstream's path", () => {
    const rig = relaying({
      network: { rules: [{ host: "api.test", rules: ["allow GET /base/ok/**", "deny * /**"] }] },
    });
    rig.client.says(ask("/relay/api/no"));
    expect(rig.client.heard()).toBe(
      plainReply(
        "403 Forbidden",
        "Moat: request blocked by a method or path rule.\n",
        "X-Moat-Blocked: request-rule",
      ),
    );
    rig.client.says(ask("/relay/api/ok/x"));
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.log()).toEqual([
      "relay GET api.test/relay/api/no 403 denied=request-rule",
      "relay GET api.test/relay/api/ok/x 200",
    ]);
  });

  test("keeps a credential off the clear internet here too", () => {
    const rig = relaying({ credentials: [credential("plain.test", "s3cret")] });
    rig.client.says(ask("/relay/plain/x"));
    expect(rig.dial().privateOnly).toBe(true);
  });

  test("a literal destination that is refused is refused before anything is fetched", () => {
    const slot = new ScriptedSlot();
    const rig = relaying({ credentials: [credential("api.test", slot)] });
    rig.upstreams.denied.add("api.test");
    rig.client.says(ask("/relay/api/x"));
    expect(rig.client.heard()).toContain("X-Moat-Blocked: destination");
    expect(slot.refreshes).toBe(0);
  });
});

describe("web pages and rebound names", () => {
  const refused: readonly (readonly [what: string, status: number, fields: readonly string[]])[] = [
    ["a rebound name", 421, ["Host: evil.test"]],
    ["an Origin", 403, [HOST, "Origin: https://evil.test"]],
    ["a cross-site fetch", 403, [HOST, "Sec-Fetch-Site: cross-site"]],
    ["two Host fields", 400, [HOST, HOST]],
    ["no Host", 400, []],
  ];
  for (const [what, status, fields] of refused) {
    test(`${what} reaches no relay and no server, even with the token: ${status}`, () => {
      for (const target of [`/relay/${TOKEN}/api/x`, `/mcp/${TOKEN}/ctx`]) {
        const rig = relaying({ token: TOKEN });
        rig.client.says(head(`GET ${target} HTTP/1.1`, ...fields));
        expect(rig.client.heard()).toStartWith(`HTTP/1.1 ${status} `);
        expect(rig.upstreams.dials).toEqual([]);
        expect(JSON.stringify(rig.records)).not.toContain(TOKEN);
      }
    });
  }

  test("an origin that is allowed does", () => {
    const rig = relaying();
    rig.client.says(ask("/relay/api/x", "Origin: https://app.test", "Sec-Fetch-Site: cross-site"));
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK);
  });

  test("TRACE is 405 here too", () => {
    const rig = relaying();
    rig.client.says(head("TRACE /relay/api/x HTTP/1.1", HOST));
    expect(rig.client.heard()).toStartWith("HTTP/1.1 405 ");
  });
});

describe("the record of a relay", () => {
  test("has a path of at most 2048 characters", () => {
    const rig = relaying();
    rig.client.says(ask(`/relay/api/${"x".repeat(5_000)}`));
    rig.dialled().says(OK);
    expect(rig.records[0]?.path.length).toBe(2048);
  });

  test("of a refused request shows nothing that may be a token", () => {
    const rig = relaying({ token: TOKEN });
    rig.client.says(ask(`/relay/${TOKEN}`) + ask(`/relay/${TOKEN}x/api/x?y=${TOKEN}`));
    rig.client.says(head(`POST /mcp/${TOKEN}/ctx HTTP/1.1`, HOST, "Connection: Content-Length"));
    expect(rig.log()).toEqual([
      "relay GET moat-proxy/relay/[token] 400 denied=invalid-path",
      "relay GET moat-proxy/relay/[token] 401 denied=unauthorized",
      "mcp POST /mcp/[token] 400 denied=malformed-request",
    ]);
    expect(JSON.stringify(rig.records)).not.toContain(TOKEN);
  });
});

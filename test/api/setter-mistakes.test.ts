// What a setter does not accept: one clear line at the call, without the value, and nothing has changed; not in the
// proxy, and not in any server that runs.

import { describe, expect, test } from "bun:test";
import { MoatProxy, Server } from "../../src/index.ts";
import { get } from "../support/client.ts";
import { embed, TEST_OPTIONS, thrownBy, tunnelTo } from "../support/embedded.ts";
import { exchange, value, values } from "../support/http-message.ts";
import { OTHER_SECRET, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";

/** As a program without types calls it. */
type Untyped = Record<string, (...args: unknown[]) => unknown>;

const HOST = "api.example.com";
const CONTROL = `${SECRET}\r\nX-Smuggled: 1`;

/** [operation, arguments, what the line says] */
const MISTAKES: readonly (readonly [string, readonly unknown[], string])[] = [
  ["setCredential", ["https://api.example.com/", SECRET], "contains a slash"],
  ["setCredential", ["", SECRET], "is empty"],
  ["setCredential", ["*", SECRET], "matches everything"],
  ["setCredential", ["api.example.com:0", SECRET], "needs a port"],
  ["setCredential", [undefined, SECRET], "host: expected a text"],
  ["setCredential", [HOST, ""], "credential for api.example.com: credential value is empty"],
  ["setCredential", [HOST, CONTROL], "control character (0x0d)"],
  ["setCredential", [HOST, ` ${SECRET}`], "begins or ends with a space"],
  ["setCredential", [HOST, `${SECRET}\u{1f511}`], "outside latin1"],
  ["setCredential", [HOST, undefined], "value: expected a text"],
  ["setCredentialHeader", [HOST, "X Api Key", SECRET], '"X Api Key" is no header name'],
  ["setCredentialHeader", [HOST, "Host", SECRET], "governs the connection or the framing"],
  ["setCredentialHeader", [HOST, "Proxy-Authorization", SECRET], "governs the connection"],
  ["setCredentialHeader", [HOST, undefined, SECRET], "name: expected a text"],
  ["setCredentialWithGrant", ["a b", "X-Key", SECRET, "g"], "contains white space"],
  ["setCredentialWithGrant", [HOST, "X-Key", SECRET, 7], "grant: expected a text"],
  ["addExtraHeader", [HOST, "X-Version", `1\n${SECRET}`], "the value of X-Version cannot stand in a header"],
  ["addExtraHeader", [HOST, "X-Version", undefined], "value: expected a text"],
  ["addExtraHeader", [HOST, "Transfer-Encoding", "chunked"], "cannot be added"],
  ["addExtraHeader", ["api.example.com/v1", "X-Version", "1"], "contains a slash"],
  ["removeRequestHeader", [HOST, "Content-Length"], "cannot be removed"],
  ["removeRequestHeader", [HOST, ""], "is no header name"],
  ["removeRequestHeader", [HOST, null], "expected a text"],
  ["setTokenSubstitution", [HOST, "abc", SECRET], "a placeholder is 4 to 512 visible ASCII characters"],
  ["setTokenSubstitution", [HOST, PLACEHOLDER, ""], "credential value is empty"],
  ["setTokenSubstitution", [HOST, PLACEHOLDER, CONTROL], "control character"],
  ["setTokenSubstitution", [HOST, PLACEHOLDER, undefined], "realToken: expected a text"],
  [
    "addResponseTransformer",
    [HOST, "scrub"],
    "expected a function, oauth-endpoint-workaround or response-scrub",
  ],
  ["addResponseTransformer", [HOST, undefined], "expected a function"],
  ["addRelay", ["a/b", "https://api.example.com"], "without slash and white space"],
  ["addRelay", ["", "https://api.example.com"], "1 to 128 characters"],
  ["addRelay", ["api", `https://user:${SECRET}@api.example.com`], "without user information"],
  ["addRelay", ["api", "ftp://api.example.com"], "expected http(s)://"],
  ["addRelay", ["api", "https://api.example.com/?a=1"], "expected http(s)://"],
  ["addRelay", ["api", "https://api.example.com/a/../b"], "dot segments"],
  ["addRelay", ["taken", "https://api.example.com"], "the name is taken"],
  ["addRelay", ["api", undefined], "URL: expected a text"],
  ["setMCPServers", [[{ name: "a", url: "nowhere" }]], "expected http(s)://"],
  [
    "setMCPServers",
    [
      [
        { name: "a", url: "https://a.test" },
        { name: "a", url: "https://b.test" },
      ],
    ],
    "given twice",
  ],
  [
    "setMCPServers",
    [[{ name: "a", url: "https://a.test", auth: { grant: "", header: "X-Key" } }]],
    "auth has an empty grant",
  ],
  [
    "setMCPServers",
    [[{ name: "a", url: "https://a.test", auth: { grant: "g", header: "Host" } }]],
    "governs the connection",
  ],
  [
    "setMCPServers",
    [[{ name: "a", url: "https://a.test", auth: { grant: "g" } }]],
    "header: expected a text",
  ],
  ["setMCPServers", [[{ Name: "a", URL: "https://a.test" }]], "name: expected a text"],
  ["setMCPServers", [undefined], "MCP servers: expected a list"],
  ["setMCPServers", [{}], "expected a list"],
  ["setNetworkPolicy", ["Strict"], 'network policy "Strict": expected strict or permissive'],
  ["setNetworkPolicy", [undefined], "expected strict or permissive"],
  ["setNetworkPolicy", ["strict", ["a b"]], '"a b" contains white space'],
  ["setNetworkPolicy", ["strict", "api.example.com"], "allowedHosts: expected a list"],
  ["setNetworkPolicy", ["strict", [], ["nope"]], 'unknown grant "nope"'],
  ["setNetworkPolicy", ["permissive", [], ["nope"]], "known grants are"],
  ["setNetworkPolicy", ["strict", [], "github"], "grants: expected a list"],
  ["setAuthToken", [""], "auth token: expected 1 to 512 visible ASCII characters"],
  ["setAuthToken", [`${SECRET} x`], "without spaces"],
  ["setAuthToken", ["x".repeat(513)], "1 to 512"],
  ["setAuthToken", [null], "auth token: expected"],
  ["setContextResolver", [{}], "context resolver: expected a function"],
  ["setLogger", ["console"], "request logger: expected a function"],
  ["setAWSHandler", [{ ServeHTTP: 1 }], "AWS handler: expected a function"],
  ["setCredentialStore", [new Map([["a", SECRET]]).size], "expected an object with a method get(provider)"],
  ["setCA", [{ certPem: "x" }], "CA: expected one that CA.open() gave"],
];

describe("a setter that is given a mistake throws one line, shows no secret and changes nothing:", () => {
  test.each(MISTAKES)("%s%j: %s", async (operation, args, says) => {
    const proxy = new MoatProxy();
    proxy.addRelay("taken", "http://a.test");
    const before = proxy.snapshot();
    const line = thrownBy(() => (proxy as unknown as Untyped)[operation]?.(...args));
    expect(line).toContain(says);
    expect(line).not.toContain(SECRET);
    expect(proxy.snapshot()).toBe(before);
    expect([proxy.ca, proxy.logger]).toEqual([undefined, undefined]);
  });

  test("each of them that takes something has its row", () => {
    const setters = Object.getOwnPropertyNames(MoatProxy.prototype).filter((name) =>
      /^(set|add|remove)/.test(name),
    );
    const rows = new Set(MISTAKES.map(([operation]) => operation));
    expect(setters.filter((name) => !rows.has(name))).toEqual([]);
  });
});

describe("a running proxy", () => {
  test("goes on as before after each mistake", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using embedded = await embed((proxy) => {
      proxy.addRelay("taken", "http://a.test");
      proxy.setCredential(upstream.authority, `Bearer ${SECRET}`);
    });
    const tunnel = await tunnelTo(embedded, upstream);
    for (const [operation, args] of MISTAKES) {
      thrownBy(() => (embedded.proxy as unknown as Untyped)[operation]?.(...args));
    }
    const answer = await exchange(tunnel, get("/", upstream.authority));
    expect([answer.status, values(upstream.requests[0] ?? { fields: [] }, "authorization")]).toEqual([
      200,
      [`Bearer ${SECRET}`],
    ]);
    tunnel.destroy();
  });

  test("refuses to be opened to everybody: no server gets the change, and later ones still arrive", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using embedded = await embed((proxy) => proxy.setAuthToken("token-1"));
    await using open = new Server(embedded.proxy, TEST_OPTIONS);
    open.setBindAddr("0.0.0.0");
    await open.start();
    expect(thrownBy(() => embedded.proxy.setAuthToken(undefined))).toContain(
      "bind address 0.0.0.0 can be reached by others: set an auth token or a context resolver first",
    );
    for (const port of [embedded.port, open.port]) {
      const at = { ...embedded, port };
      await expect(tunnelTo(at, upstream)).rejects.toThrow("407");
    }
    embedded.proxy.setCredential(upstream.authority, `Bearer ${OTHER_SECRET}`);
    const tunnel = await tunnelTo({ ...embedded, port: open.port }, upstream, "token-1");
    await exchange(tunnel, get("/", upstream.authority));
    expect(value(upstream.requests[0] ?? { fields: [] }, "authorization")).toBe(`Bearer ${OTHER_SECRET}`);
    tunnel.destroy();
  });
});

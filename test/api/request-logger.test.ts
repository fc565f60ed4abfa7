// What a logger is told, on every way that a request can take; and that a logger cannot do harm.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { maxBodySize, type RequestLogData } from "../../src/index.ts";
import { within } from "../support/byte-stream.ts";
import { connectHead, connectProxy, get, openTunnel, post } from "../support/client.ts";
import { type Embedded, embed, showing, tunnelTo } from "../support/embedded.ts";
import { exchange } from "../support/http-message.ts";
import { runProgram } from "../support/programs.ts";
import { SECRET } from "../support/secrets.ts";
import { closedPort, ok, startUpstream, type Upstream } from "../support/upstream.ts";

const TOKEN = "token-5e4d3c2b1a";

/** One run, that may use everything in these tests. */
function withRun(embedded: Embedded, upstream: Upstream, cleartext: Upstream): void {
  const run = {
    runID: "run-1",
    credentials: {
      [upstream.authority]: { name: "X-Api-Key", value: SECRET },
      [cleartext.authority]: { name: "X-Api-Key", value: SECRET },
      "mcp.invalid": { name: "Authorization", value: `Bearer ${SECRET}`, grant: "mcp" },
    },
    mcpServers: [
      {
        name: "tools",
        url: `http://${cleartext.authority}/mcp`,
        auth: { grant: "mcp", header: "Authorization" },
      },
    ],
  };
  embedded.proxy.addRelay("api", `http://${cleartext.authority}/v1`);
  embedded.proxy.setContextResolver((token) => (token === TOKEN ? run : undefined));
}

interface Case {
  readonly name: string;
  /** Sends one request that is logged. */
  readonly act: (embedded: Embedded, upstream: Upstream, cleartext: Upstream) => Promise<void>;
  readonly logged: (upstream: Upstream, cleartext: Upstream) => Partial<RequestLogData>;
  /** Text of `err`; undefined: there is none. */
  readonly err?: string;
}

/** On the outer connection. */
async function outer(embedded: Embedded, raw: string): Promise<void> {
  const client = await connectProxy(embedded);
  await exchange(client, raw);
  client.destroy();
}

const DEAD = closedPort();

const CASES: readonly Case[] = [
  {
    name: "plain http",
    act: (embedded, _, cleartext) =>
      outer(embedded, get(`http://${cleartext.authority}/a?b=c`, cleartext.authority, showing(TOKEN))),
    logged: (_, { authority }) => ({
      ...{ method: "GET", url: `http://${authority}/a?b=c`, statusCode: 200, runID: "run-1", denied: false },
      ...{ authInjected: true, injectedHeaderName: "X-Api-Key" },
    }),
  },
  {
    name: "an intercepted request",
    act: async (embedded, upstream) => {
      const tunnel = await tunnelTo(embedded, upstream, TOKEN);
      await exchange(tunnel, get("/a?b=c", upstream.authority));
      tunnel.destroy();
    },
    logged: ({ authority }) => ({
      ...{ method: "GET", url: `https://${authority}/a?b=c`, statusCode: 200, runID: "run-1", denied: false },
      ...{ authInjected: true, injectedHeaderName: "X-Api-Key" },
    }),
  },
  {
    name: "a CONNECT that is refused",
    act: (embedded) => outer(embedded, connectHead("169.254.169.254:443", showing(TOKEN))),
    logged: () => ({
      ...{ method: "CONNECT", url: "169.254.169.254", statusCode: 403, runID: "run-1", denied: true },
      ...{ authInjected: false, injectedHeaderName: "" },
    }),
    err: "destination",
  },
  {
    name: "a missing token",
    act: (embedded) => outer(embedded, get("http://a.test/", "a.test")),
    logged: () => ({ method: "GET", url: "http://a.test/", statusCode: 407, runID: "", denied: true }),
    err: "Proxy authentication required",
  },
  {
    name: "a wrong token",
    act: (embedded) => outer(embedded, get("http://a.test/", "a.test", showing("wrong-token"))),
    logged: () => ({ method: "GET", url: "http://a.test/", statusCode: 407, runID: "", denied: true }),
    err: "Invalid proxy token",
  },
  {
    name: "a dead upstream",
    act: (embedded) => outer(embedded, get(`http://localhost:${DEAD}/`, `localhost:${DEAD}`, showing(TOKEN))),
    logged: () => ({
      ...{ method: "GET", url: `http://localhost:${DEAD}/`, statusCode: 502, runID: "run-1", denied: false },
    }),
    err: "",
  },
  {
    name: "a relay",
    act: (embedded) => outer(embedded, get(`/relay/${TOKEN}/api/x?y=z`, "localhost")),
    logged: () => ({
      ...{ method: "GET", url: "http://moat-proxy/relay/[token]/api/x?y=z", statusCode: 200, runID: "run-1" },
      ...{ authInjected: true, injectedHeaderName: "X-Api-Key", denied: false },
    }),
  },
  {
    name: "an MCP server",
    act: (embedded) =>
      outer(embedded, post(`/mcp/${TOKEN}/tools`, "localhost", "{}", ["Content-Type: application/json"])),
    logged: () => ({
      ...{ method: "POST", url: "http://moat-proxy/mcp/[token]/tools", statusCode: 200, runID: "run-1" },
      ...{ authInjected: true, denied: false },
    }),
  },
  {
    name: "a relay that a web page asks for",
    act: (embedded) =>
      outer(embedded, get(`/relay/${TOKEN}/api/x`, "localhost", ["Origin: https://evil.test"])),
    logged: () => ({ url: "http://moat-proxy/relay/[token]", statusCode: 403, runID: "", denied: true }),
    err: "local-origin",
  },
  {
    name: "an MCP request whose framing is refused",
    act: (embedded) =>
      outer(embedded, get(`/mcp/${TOKEN}/tools`, "localhost", ["Transfer-Encoding: gzip, chunked"])),
    logged: () => ({ url: "http://moat-proxy/mcp/[token]", runID: "", denied: true }),
    err: "",
  },
  {
    name: "an endpoint of the proxy itself",
    act: (embedded) => outer(embedded, get("/healthz", "localhost")),
    logged: () => ({
      method: "GET",
      url: "http://moat-proxy/healthz",
      statusCode: 200,
      runID: "",
      denied: false,
    }),
  },
];

describe("RequestLogData", () => {
  test.each(CASES.map((each) => [each.name, each] as const))(
    "of %s is complete",
    async (_name, { act, logged, err }) => {
      const fields = ["Content-Type: text/plain", "X-From: upstream"];
      await using upstream = startUpstream({ reply: () => ok("answer", fields) });
      await using cleartext = startUpstream({ tls: false, reply: () => ok("answer", fields) });
      await using embedded = await embed();
      withRun(embedded, upstream, cleartext);
      await act(embedded, upstream, cleartext);
      await embedded.untilLogged(1);
      const [data] = embedded.logged;
      if (data === undefined) throw new Error("nothing was logged");
      expect(data).toMatchObject(logged(upstream, cleartext));
      expect(data.duration).toBeGreaterThanOrEqual(0);
      expect(data.requestID).not.toBe("");
      if (err === undefined) expect(data.err).toBeUndefined();
      else expect(data.err?.message).toContain(err);
      expect(data.requestHeaders.has("host")).toBe(true);
      expect(data.requestHeaders.has("proxy-authorization")).toBe(false);
      if (data.injectedHeaderName === "X-Api-Key") {
        expect(data.responseHeaders.get("x-from")).toBe("upstream");
        expect(Buffer.from(data.responseBody ?? []).toString()).toBe("answer");
      }
      const shown = Bun.inspect(
        { ...data, body: Buffer.from(data.responseBody ?? []).toString() },
        { depth: 9 },
      );
      expect(shown).not.toContain(SECRET);
      expect(shown).not.toContain(TOKEN);
    },
  );

  test("hides an injected field that the client sent too, and shows its others as they came", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using embedded = await embed((proxy) =>
      proxy.setCredentialHeader("localhost", "X-Api-Key", SECRET),
    );
    const tunnel = await tunnelTo(embedded, upstream);
    await exchange(tunnel, get("/", upstream.authority, ["X-Api-Key: mine", "X-Own: 1", "X-Own: 2"]));
    await embedded.untilLogged(1);
    const headers = embedded.logged[0]?.requestHeaders;
    expect([headers?.get("x-api-key"), headers?.get("x-own")]).toEqual(["[REDACTED]", "1, 2"]);
    tunnel.destroy();
  });

  test("of http in a tunnel says http", async () => {
    await using embedded = await embed();
    const { stream } = await openTunnel(embedded, "localhost:80");
    await exchange(stream, get("/x", "localhost"));
    await embedded.untilLogged(1);
    expect(embedded.logged.at(-1)?.url).toBe("http://localhost/x");
    stream.destroy();
  });

  test("shows no user information of a target", async () => {
    await using embedded = await embed();
    await outer(embedded, get(`http://user:${SECRET}@a.test/x`, "a.test"));
    await embedded.untilLogged(1);
    expect(Bun.inspect(embedded.logged, { depth: 9 })).not.toContain(SECRET);
  });
});

describe("MaxBodySize", () => {
  test("is what is kept of each text body; all of it is forwarded", async () => {
    const large = "x".repeat(3 * maxBodySize);
    await using upstream = startUpstream({ reply: () => ok(large, ["Content-Type: text/plain"]) });
    await using embedded = await embed();
    const tunnel = await tunnelTo(embedded, upstream);
    const answer = await exchange(
      tunnel,
      post("/", upstream.authority, large, ["Content-Type: application/json"]),
    );
    expect([answer.body.length, upstream.requests[0]?.body.length]).toEqual([large.length, large.length]);
    await embedded.untilLogged(1);
    const [data] = embedded.logged;
    expect([maxBodySize, data?.requestBody?.length, data?.responseBody?.length]).toEqual([8192, 8192, 8192]);
    tunnel.destroy();
  });

  test("a body that is no text is not kept", async () => {
    await using upstream = startUpstream({ reply: () => ok("\0\x01", ["Content-Type: image/png"]) });
    await using embedded = await embed();
    const tunnel = await tunnelTo(embedded, upstream);
    await exchange(tunnel, get("/", upstream.authority));
    await embedded.untilLogged(1);
    expect(embedded.logged[0]?.responseBody).toBeUndefined();
    tunnel.destroy();
  });
});

describe("RequestLogger", () => {
  test.each([["throws"], ["rejects"]])("one that %s harms nothing, and stderr hears of it", async (how) => {
    await using upstream = startUpstream({ tls: false, reply: () => ok("through") });
    const logger =
      how === "throws"
        ? '() => { throw new Error("logger broke"); }'
        : 'async () => { throw new Error("logger broke"); }';
    const program = `
      import { MoatProxy, Server } from ${JSON.stringify(join(import.meta.dir, "../../src/index.ts"))};
      const proxy = new MoatProxy();
      proxy.setLogger(${logger});
      await using server = new Server(proxy, { allowIPs: ["127.0.0.0/8", "::1"] });
      await server.start();
      for (let i = 0; i < 2; i++) {
        const answer = await fetch("http://${upstream.authority}/", { proxy: "http://" + server.addr });
        console.log(await answer.text());
      }
    `;
    const run = runProgram([process.execPath, "-e", program]);
    const { code, stdout, stderr } = await within(run, "end of the program", 10_000);
    expect([code, stdout]).toEqual([0, "through\nthrough\n"]);
    expect(stderr.match(/the request logger failed.*logger broke/g)).toHaveLength(2);
  });
});

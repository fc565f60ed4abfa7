// A real MCP client and a real MCP server (the official TypeScript SDK) on the two sides of the compiled binary: over
// /mcp/<token>/<name>, with Streamable HTTP and with the older SSE transport (wire.md section 9).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { within } from "../support/byte-stream.ts";
import { type McpUpstream, startMcpUpstream } from "../support/mcp-upstream.ts";
import { credential, expectNotPrinted, SECRET } from "../support/secrets.ts";

const TOKEN = "mcp-sdk-token-4c77";
const AUTHORIZATION = `Bearer ${SECRET}`;

let upstream: McpUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startMcpUpstream(AUTHORIZATION);
  const base = `http://127.0.0.1:${upstream.port}`;
  const auth = { grant: "oauth:tools" };
  proxy = await startProxy({
    loopback: false,
    config: {
      proxy: { auth_token: TOKEN },
      log: { level: "debug" },
      credentials: [credential("elsewhere.test", { header: "X-Key", grant: "oauth:tools" })],
      mcp_servers: [
        { name: "tools", url: `${base}/mcp`, auth },
        { name: "older", url: `${base}/sse`, auth },
        { name: "bare", url: `${base}/mcp` },
      ],
    },
  });
});
afterAll(async () => {
  await proxy.stop();
  expectNotPrinted(proxy, [SECRET]);
  expect(proxy.stderr).not.toContain(TOKEN);
  const sent = upstream.requests.map((request) => [request.url, ...request.rawHeaders].join("\n")).join("\n");
  expect(sent).not.toContain(TOKEN);
  await proxy[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

function address(path: string): URL {
  return new URL(`http://127.0.0.1:${proxy.port}${path}`);
}

interface Session extends AsyncDisposable {
  readonly client: Client;
  /** The next log message that the server sends. */
  nextMessage(): Promise<string>;
}

async function connect(transport: unknown): Promise<Session> {
  const client = new Client({ name: "test", version: "1" });
  const waiting: ((text: string) => void)[] = [];
  const came: string[] = [];
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
    const waiter = waiting.shift();
    if (waiter === undefined) came.push(String(params.data));
    else waiter(String(params.data));
  });
  // The SDK's own classes do not satisfy its interface under exactOptionalPropertyTypes.
  await within(client.connect(transport as Transport), "MCP session");
  return {
    client,
    nextMessage() {
      const text = came.shift();
      if (text !== undefined) return Promise.resolve(text);
      return within(new Promise<string>((resolve) => waiting.push(resolve)), "message of the server");
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

async function useTools(client: Client): Promise<void> {
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["echo", "count"]);
  for (let turn = 0; turn < 3; turn++) {
    const { content } = await client.callTool({ name: "echo", arguments: { text: `${turn} ä €` } });
    expect(content).toEqual([{ type: "text", text: `echo ${turn} ä €` }]);
  }
  const large = "x".repeat(300_000);
  const { content } = await client.callTool({ name: "echo", arguments: { text: large } });
  expect(content).toEqual([{ type: "text", text: `echo ${large}` }]);
}

async function seeProgress(client: Client): Promise<void> {
  const seen: number[] = [];
  const { content } = await client.callTool({ name: "count", arguments: { to: 5 } }, undefined, {
    onprogress: ({ progress }) => void seen.push(progress),
  });
  expect(content).toEqual([{ type: "text", text: "counted to 5" }]);
  expect(seen).toEqual([1, 2, 3, 4, 5]);
}

async function seeNotification(session: Session): Promise<void> {
  const message = session.nextMessage();
  await upstream.notifyAll("from the server");
  expect(await message).toBe("from the server");
}

/** A transport that tells when its GET stream is open: before that, the server has nowhere to send to. */
function streamable(path: string, headers: Record<string, string> = {}) {
  const opened = Promise.withResolvers<void>();
  const transport = new StreamableHTTPClientTransport(address(path), {
    requestInit: { headers },
    fetch: async (url, init) => {
      const answer = await fetch(url, init);
      if (init?.method === "GET" && answer.ok) opened.resolve();
      return answer;
    },
  });
  return { transport, opened: opened.promise };
}

describe("Streamable HTTP", () => {
  for (const [name, path, headers] of [
    ["with the token in the path", `/mcp/${TOKEN}/tools`, {}],
    ["with Proxy-Authorization", "/mcp/tools", { "Proxy-Authorization": `Bearer ${TOKEN}` }],
  ] as const) {
    test(`${name}: tools, progress, notifications over the GET stream, session, DELETE`, async () => {
      const { transport, opened } = streamable(path, headers);
      await using session = await connect(transport);
      const id = transport.sessionId ?? "";
      expect([...upstream.sessions.keys()]).toContain(id);
      await useTools(session.client);
      await seeProgress(session.client);
      await within(opened, "GET stream");
      await seeNotification(session);
      await transport.terminateSession();
      expect([...upstream.sessions.keys()]).not.toContain(id);
      const mine = upstream.requests.filter((request) => request.headers["mcp-session-id"] === id);
      expect(mine.map(({ method }) => method)).toContain("DELETE");
      expect(mine.filter(({ method }) => method === "GET")).toHaveLength(1);
      expect(new Set(mine.map((request) => request.headers.authorization))).toEqual(new Set([AUTHORIZATION]));
    });
  }

  test("ten clients at once, each with its own session", async () => {
    const sessions = await Promise.all(
      Array.from({ length: 10 }, () =>
        connect(new StreamableHTTPClientTransport(address(`/mcp/${TOKEN}/tools`))),
      ),
    );
    const answers = await Promise.all(
      sessions.map(({ client }, at) => client.callTool({ name: "echo", arguments: { text: String(at) } })),
    );
    expect(answers.map(({ content }) => content)).toEqual(
      sessions.map((_, at) => [{ type: "text", text: `echo ${at}` }]),
    );
    for (const session of sessions) await session[Symbol.asyncDispose]();
  });

  test("a wrong token opens no session; a server without its credential answers 401 itself", async () => {
    const before = upstream.requests.length;
    await expect(connect(new StreamableHTTPClientTransport(address("/mcp/wrong/tools")))).rejects.toThrow();
    expect(upstream.requests.length).toBe(before);
    await expect(connect(new StreamableHTTPClientTransport(address(`/mcp/${TOKEN}/bare`)))).rejects.toThrow();
    expect(upstream.requests.length).toBeGreaterThan(before);
  });
});

describe("the older SSE transport, its /sse and /messages outside each other", () => {
  test("the endpoint event leads through the relay", async () => {
    const transport = new SSEClientTransport(address(`/mcp/${TOKEN}/older`));
    const before = upstream.requests.length;
    await using session = await connect(transport);
    await useTools(session.client);
    await seeProgress(session.client);
    await seeNotification(session);
    const mine = upstream.requests.slice(before);
    expect(
      mine.filter(({ method, url }) => method === "POST" && url?.startsWith("/messages?sessionId=") === true)
        .length,
    ).toBeGreaterThan(5);
    expect(new Set(mine.map((request) => request.headers.authorization))).toEqual(new Set([AUTHORIZATION]));
  });

  test("with Proxy-Authorization the endpoint holds no token and works", async () => {
    const headers = { "Proxy-Authorization": `Bearer ${TOKEN}` };
    const transport = new SSEClientTransport(address("/mcp/older"), {
      requestInit: { headers },
      eventSourceInit: {
        fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }),
      },
    });
    await using session = await connect(transport);
    await useTools(session.client);
  });
});

// A real MCP server (the official TypeScript SDK) behind node:http on loopback, which serves only those that show its
// credential. It speaks Streamable HTTP at /mcp, and the older SSE transport with /sse and /messages.
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { EmptyResultSchema } from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";

export interface McpUpstream extends AsyncDisposable {
  readonly port: number;
  /** Method, path and headers of every request. */
  readonly requests: readonly IncomingMessage[];
  /** Sessions of Streamable HTTP that are open. */
  readonly sessions: ReadonlyMap<string, StreamableHTTPServerTransport>;
  /** Sends a log message to every client over its open GET stream. */
  notifyAll(text: string): Promise<void>;
}

function toolServer(): McpServer {
  const server = new McpServer({ name: "upstream", version: "1" }, { capabilities: { logging: {} } });
  server.registerTool("echo", { inputSchema: { text: z.string() } }, ({ text }) => ({
    content: [{ type: "text", text: `echo ${text}` }],
  }));
  server.registerTool("count", { inputSchema: { to: z.number() } }, async ({ to }, extra) => {
    const progressToken = extra._meta?.progressToken;
    for (let progress = 1; progress <= to && progressToken !== undefined; progress++)
      await extra.sendNotification({
        method: "notifications/progress",
        params: { progressToken, progress, total: to },
      });
    // A request of the server's own: the client has seen all progress before it sees the result.
    await extra.sendRequest({ method: "ping" }, EmptyResultSchema);
    return { content: [{ type: "text", text: `counted to ${to}` }] };
  });
  return server;
}

/** Starts the server; requests without `authorization` as their Authorization get 401. */
export async function startMcpUpstream(authorization: string): Promise<McpUpstream> {
  const requests: IncomingMessage[] = [];
  const servers: McpServer[] = [];
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const older = new Map<string, SSEServerTransport>();

  const connect = async (transport: unknown): Promise<void> => {
    const server = toolServer();
    servers.push(server);
    // The SDK's own classes do not satisfy its interface under exactOptionalPropertyTypes.
    await server.connect(transport as Transport);
  };
  const streamable = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const id = request.headers["mcp-session-id"];
    let transport = sessions.get(String(id));
    if (transport === undefined) {
      const fresh = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (session) => void sessions.set(session, fresh),
        onsessionclosed: (session) => void sessions.delete(session),
      });
      transport = fresh;
      await connect(transport);
    }
    await transport.handleRequest(request, response);
  };
  const http = createServer(async (request, response) => {
    requests.push(request);
    const url = new URL(request.url ?? "", "http://upstream.invalid");
    if (request.headers.authorization !== authorization) response.writeHead(401).end("no");
    else if (url.pathname === "/mcp") await streamable(request, response);
    else if (url.pathname === "/sse") {
      const transport = new SSEServerTransport("/messages", response);
      older.set(transport.sessionId, transport);
      await connect(transport);
    } else if (url.pathname === "/messages")
      await older.get(url.searchParams.get("sessionId") ?? "")?.handlePostMessage(request, response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((done) => http.listen(0, "127.0.0.1", done));
  return {
    port: (http.address() as AddressInfo).port,
    requests,
    sessions,
    async notifyAll(text) {
      for (const server of servers.filter((candidate) => candidate.isConnected()))
        await server.server.sendLoggingMessage({ level: "info", data: text });
    },
    async [Symbol.asyncDispose]() {
      for (const server of servers) await server.close();
      http.closeAllConnections();
      http.close();
    },
  };
}

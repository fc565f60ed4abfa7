// "Streaming: a byte is passed on when it arrives, in both directions. Nothing waits for a full body, a full
// capture or a timer" (wire.md section 4). The upstream holds back each next byte until the test saw the last.
import { describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import type { ByteStream } from "../support/byte-stream.ts";
import { connectHead, connectProxy, get, message, tlsTunnel } from "../support/client.ts";
import { exchange, readHead, readResponse, text, values } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { credential, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import {
  binaryFrame,
  readMessage,
  startEcho,
  WEBSOCKET_ACCEPT,
  WEBSOCKET_FIELDS,
} from "../support/websocket.ts";

interface Path {
  readonly name: string;
  readonly tls: boolean;
  /** Opens a stream on which requests for the upstream can be written. */
  readonly open: (proxy: RunningProxy, upstream: Upstream) => Promise<ByteStream>;
  /** The request target to use there. */
  readonly target: (upstream: Upstream, path: string) => string;
}

const PATHS: readonly Path[] = [
  {
    name: "https",
    tls: true,
    open: (proxy, upstream) => tlsTunnel(proxy, upstream.authority),
    target: (_, path) => path,
  },
  {
    name: "plain http",
    tls: false,
    open: (proxy) => connectProxy(proxy),
    target: (upstream, path) => `http://${upstream.authority}${path}`,
  },
];

for (const path of PATHS) {
  describe(`over ${path.name}`, () => {
    const upstreamFor = (): Upstream => startUpstream(path.tls ? {} : { tls: false });

    test("the first SSE event arrives before the upstream is allowed to send the second", async () => {
      await using upstream = upstreamFor();
      await using proxy = await startProxy();
      const client = await path.open(proxy, upstream);
      void client.write(
        get(path.target(upstream, "/events"), upstream.authority, ["Accept: text/event-stream"]),
      );
      const server = await upstream.next();
      await readHead(server);
      await server.write(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
      );
      expect((await readHead(client)).startLine).toBe("HTTP/1.1 200 OK");
      for (const event of ["data: one\n\n", "data: two\n\n", "data: three\n\n"]) {
        await server.write(`${event.length.toString(16)}\r\n${event}\r\n`);
        await client.readUntil(event);
      }
      await server.write("0\r\n\r\n");
      await client.readUntil("0\r\n\r\n");
      client.destroy();
    });

    test("the same when the stream is delimited by the close", async () => {
      await using upstream = upstreamFor();
      await using proxy = await startProxy();
      const client = await path.open(proxy, upstream);
      void client.write(get(path.target(upstream, "/events"), upstream.authority));
      const server = await upstream.next();
      await readHead(server);
      await server.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n");
      const head = await readHead(client);
      await client.readUntil("data: one\n\n");
      await server.write("data: two\n\n");
      await client.readUntil("data: two\n\n");
      server.end();
      // The end is seen as well: as the close, or as the last chunk where the proxy put it on chunks.
      if (values(head, "transfer-encoding").length > 0) await client.readUntil("\r\n0\r\n\r\n");
      else await client.readToEnd();
      client.destroy();
    });

    test("the head of a response arrives before any of its body", async () => {
      await using upstream = upstreamFor();
      await using proxy = await startProxy();
      const client = await path.open(proxy, upstream);
      void client.write(get(path.target(upstream, "/slow"), upstream.authority));
      const server = await upstream.next();
      await readHead(server);
      await server.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
      await readHead(client);
      await server.write("a");
      expect((await client.readBytes(1)).toString()).toBe("a");
      await server.write("b");
      expect((await client.readBytes(1)).toString()).toBe("b");
      client.destroy();
    });

    for (const framing of ["Content-Length: 6", "Transfer-Encoding: chunked"]) {
      test(`a request body streams before its end (${framing})`, async () => {
        const chunked = framing.startsWith("Transfer");
        const wrap = (piece: string): string => (chunked ? `${piece.length}\r\n${piece}\r\n` : piece);
        await using upstream = upstreamFor();
        await using proxy = await startProxy();
        const client = await path.open(proxy, upstream);
        const fields = [`Host: ${upstream.authority}`, framing];
        void client.write(message(`POST ${path.target(upstream, "/up")} HTTP/1.1`, fields));
        const server = await upstream.next();
        await readHead(server);
        await client.write(wrap("abc"));
        await server.readUntil("abc");
        await client.write(wrap("def") + (chunked ? "0\r\n\r\n" : ""));
        await server.readUntil("def");
        if (chunked) await server.readUntil("0\r\n\r\n");
        await server.write("HTTP/1.1 204 No Content\r\n\r\n");
        expect((await readResponse(client)).status).toBe(204);
        client.destroy();
      });
    }

    test("request and response bodies run at the same time", async () => {
      await using upstream = upstreamFor();
      await using proxy = await startProxy();
      const client = await path.open(proxy, upstream);
      const fields = [`Host: ${upstream.authority}`, "Content-Length: 4"];
      void client.write(message(`POST ${path.target(upstream, "/both")} HTTP/1.1`, fields));
      const server = await upstream.next();
      await readHead(server);
      await server.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
      await readHead(client);
      for (const letter of "wxyz") {
        await client.write(letter);
        expect((await server.readBytes(1)).toString()).toBe(letter);
        await server.write(letter.toUpperCase());
        expect((await client.readBytes(1)).toString()).toBe(letter.toUpperCase());
      }
      client.destroy();
    });
  });
}

describe("WebSocket", () => {
  const payload = Buffer.from(Array.from({ length: 1 << 20 }, (_, at) => (at * 31 + (at >> 8)) & 0xff));

  async function echo(stream: ByteStream, target: string, authority: string): Promise<void> {
    const fields = [...WEBSOCKET_FIELDS, `Authorization: Bearer ${PLACEHOLDER}`];
    const answer = await exchange(stream, get(target, authority, fields));
    expect(answer.startLine).toStartWith("HTTP/1.1 101");
    expect(answer.rawHead.toLowerCase()).toContain(`sec-websocket-accept: ${WEBSOCKET_ACCEPT.toLowerCase()}`);
    expect(answer.rawHead.toLowerCase()).toContain("upgrade: websocket");
    void stream.write(binaryFrame(payload));
    const back = await readMessage(stream);
    expect(Bun.hash(back)).toBe(Bun.hash(payload));
    // And it goes on: small messages one by one.
    for (const word of ["a", "bc", "def"]) {
      void stream.write(binaryFrame(Buffer.from(word)));
      expect((await readMessage(stream)).toString()).toBe(word);
    }
    stream.destroy();
  }

  test("a WebSocket echo of 1 MiB is intact over https, and the upgrade request carried the real credential", async () => {
    const server = startEcho(pki().valid);
    try {
      const authority = `localhost:${server.port}`;
      await using proxy = await startProxy({ config: { credentials: [credential(authority)] } });
      await echo(await tlsTunnel(proxy, authority), "/ws", authority);
      expect(server.headers.map((headers) => headers.get("authorization"))).toEqual([`Bearer ${SECRET}`]);
      expect(server.headers[0]?.get("connection")?.toLowerCase()).toBe("upgrade");
      const [record] = await proxy.untilRecords(1, (candidate) => candidate.http_method === "GET");
      expect(record?.http_status).toBe(101);
    } finally {
      server.stop();
    }
  });

  test("a WebSocket echo of 1 MiB is intact over plain http", async () => {
    const server = startEcho(undefined);
    try {
      const authority = `localhost:${server.port}`;
      await using proxy = await startProxy();
      await echo(await connectProxy(proxy), `http://${authority}/ws`, authority);
    } finally {
      server.stop();
    }
  });

  test("a WebSocket echo of 1 MiB is intact through CONNECT to a plain port", async () => {
    const server = startEcho(undefined);
    try {
      const authority = `localhost:${server.port}`;
      await using proxy = await startProxy({ config: { tls: { plain_ports: [server.port] } } });
      const stream = await connectProxy(proxy);
      await stream.write(connectHead(authority));
      await stream.readUntil("\r\n\r\n");
      await echo(stream, "/ws", authority);
    } finally {
      server.stop();
    }
  });

  test("half-close and bytes behind the 101 travel through", async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy();
    const client = await tlsTunnel(proxy, upstream.authority);
    void client.write(get("/ws", upstream.authority, WEBSOCKET_FIELDS));
    const server = await upstream.next();
    await readHead(server);
    const head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    await server.write(`${head}first frame`);
    expect((await readHead(client)).startLine).toBe("HTTP/1.1 101 Switching Protocols");
    await client.readUntil("first frame");
    await client.write("from the client");
    await server.readUntil("from the client");
    server.end();
    expect((await client.readToEnd()).length).toBe(0);
    client.destroy();
  });

  test("a refused upgrade is an ordinary answer, and the connection goes on", async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy();
    const client = await tlsTunnel(proxy, upstream.authority);
    void client.write(get("/ws", upstream.authority, WEBSOCKET_FIELDS));
    const server = await upstream.next();
    await readHead(server);
    await server.write("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno");
    expect(text(await readResponse(client))).toBe("no");
    void client.write(get("/next", upstream.authority));
    await server.readUntil("GET /next HTTP/1.1\r\n");
    await server.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes");
    expect(text(await readResponse(client))).toBe("yes");
    client.destroy();
  });
});

// "100-continue, trailers, HEAD, 204, 304, 1xx, duplicate Set-Cookie, chunked and close-delimited bodies are carried
// faithfully. Header order and case are kept." (wire.md section 4), in a tunnel and over plain HTTP alike.
import { describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import type { ByteStream } from "../support/byte-stream.ts";
import { connectProxy, get, message, post, tlsTunnel } from "../support/client.ts";
import {
  exchange,
  readHead,
  readRequest,
  readResponse,
  text,
  value,
  values,
} from "../support/http-message.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

interface Setting extends AsyncDisposable {
  readonly proxy: RunningProxy;
  readonly upstream: Upstream;
  readonly client: ByteStream;
  readonly host: string;
  /** The request target for a path. */
  at(path: string): string;
}

const WAYS = ["in a tunnel", "over plain http"] as const;

async function setting(way: (typeof WAYS)[number]): Promise<Setting> {
  const inside = way === "in a tunnel";
  const upstream = startUpstream(inside ? {} : { tls: false });
  const proxy = await startProxy();
  const client = inside ? await tlsTunnel(proxy, upstream.authority) : await connectProxy(proxy);
  return {
    proxy,
    upstream,
    client,
    host: upstream.authority,
    at: (path) => (inside ? path : `http://${upstream.authority}${path}`),
    async [Symbol.asyncDispose]() {
      client.destroy();
      upstream.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

/** The head with X-Request-Id taken out: the one field that the proxy adds. */
function withoutRequestId(rawHead: string): string {
  return rawHead.replace(/X-Request-Id: [^\r]*\r\n/i, "");
}

for (const way of WAYS) {
  describe(way, () => {
    test("header order, case, duplicates and values are kept, and nothing is added but X-Request-Id", async () => {
      await using s = await setting(way);
      const fields = [
        "accept: */*",
        "X-WEIRD-Case: Yes",
        "x-dup: 1",
        "Accept-Encoding: br;q=1.0, gzip;q=0.8",
        "x-dup: 2",
        "anthropic-version: 2023-06-01",
        'Cookie: a=1; b="two"; c=%20',
        "X-Empty:",
        "X-Latin: caf\xe9",
        'If-None-Match: W/"x"',
      ];
      void s.client.write(get(s.at("/a%2Fb/../c//d;p?q=1&q=%20+&r=a:b@c"), s.host, fields));
      const head = await readHead(await s.upstream.next());
      const sent = message("GET /a%2Fb/../c//d;p?q=1&q=%20+&r=a:b@c HTTP/1.1", [
        `Host: ${s.host}`,
        ...fields,
      ]);
      const tidy = (raw: string): string => raw.replace(/:[ \t]*([^\r]*?)[ \t]*\r\n/g, ": $1\r\n");
      expect(tidy(withoutRequestId(head.rawHead))).toBe(tidy(sent));
      expect(values(head, "x-request-id")).toHaveLength(1);
    });

    test("the response's status line, fields, order, case and duplicate Set-Cookie are kept", async () => {
      await using s = await setting(way);
      void s.client.write(get(s.at("/"), s.host));
      const server = await s.upstream.next();
      await readHead(server);
      const raw =
        "HTTP/1.1 299 Very  Own Reason\r\nset-cookie: a=1; Path=/\r\nX-A: 1\r\nSet-Cookie: b=2\r\nDATE: never\r\nContent-Length: 2\r\nSet-Cookie: c=3, d=4\r\nServer: x\r\nVia: 1.1 other\r\n\r\nhi";
      await server.write(raw);
      await s.client.readUntil("hi");
      const start = s.client.text.indexOf("HTTP/1.1 299");
      expect(s.client.text.slice(start)).toBe(raw);
    });

    for (const count of [31, 32, 33, 64, 65, 150]) {
      test(`${count} fields are kept, in a request and in a response`, async () => {
        await using s = await setting(way);
        const fields = Array.from({ length: count }, (_, at) => `X-Field-${at}: value ${at}`);
        void s.client.write(get(s.at("/many?q=1"), s.host, fields));
        const server = await s.upstream.next();
        const head = await readHead(server);
        expect(withoutRequestId(head.rawHead)).toBe(get("/many?q=1", s.host, fields));
        const raw = ["HTTP/1.1 200 OK", ...fields, "Content-Length: 0", "", ""].join("\r\n");
        await server.write(raw);
        expect((await readResponse(s.client)).rawHead).toBe(raw);
      });
    }

    test("100-continue: the upstream's own 100 comes through, and none comes before it", async () => {
      await using s = await setting(way);
      const fields = [`Host: ${s.host}`, "Expect: 100-continue", "Content-Length: 4"];
      void s.client.write(message(`POST ${s.at("/up")} HTTP/1.1`, fields));
      const server = await s.upstream.next();
      const head = await readHead(server);
      expect(value(head, "expect")).toBe("100-continue");
      const before = s.client.unread.length;
      expect(before).toBe(0);
      await server.write("HTTP/1.1 100 Continue\r\n\r\n");
      expect((await readHead(s.client)).startLine).toBe("HTTP/1.1 100 Continue");
      await s.client.write("body");
      expect((await server.readBytes(4)).toString()).toBe("body");
      await server.write("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
      expect((await readResponse(s.client)).status).toBe(201);
      await s.proxy.untilRecords(1, (record) => record.http_method === "POST");
      expect(s.proxy.records().filter((record) => record.http_method === "POST")).toMatchObject([
        { http_status: 201 },
      ]);
    });

    test("100-continue: a final answer instead of the 100 comes through", async () => {
      await using s = await setting(way);
      const fields = [`Host: ${s.host}`, "Expect: 100-continue", "Content-Length: 400000"];
      void s.client.write(message(`POST ${s.at("/up")} HTTP/1.1`, fields));
      const server = await s.upstream.next();
      await readHead(server);
      await server.write("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno");
      expect(text(await readResponse(s.client))).toBe("no");
    });

    test("1xx: 102 and 103 come through, each when it is sent", async () => {
      await using s = await setting(way);
      void s.client.write(get(s.at("/"), s.host));
      const server = await s.upstream.next();
      await readHead(server);
      await server.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
      expect((await readHead(s.client)).rawHead).toBe(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
      );
      await server.write("HTTP/1.1 102 Processing\r\n\r\n");
      expect((await readHead(s.client)).startLine).toBe("HTTP/1.1 102 Processing");
      await server.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
      expect(text(await readResponse(s.client))).toBe("done");
    });

    test("trailers of a response are carried", async () => {
      await using s = await setting(way);
      void s.client.write(get(s.at("/"), s.host, ["TE: trailers", "Connection: TE"]));
      const server = await s.upstream.next();
      await readHead(server);
      await server.write(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n",
      );
      const answer = await readResponse(s.client);
      expect(text(answer)).toBe("abc");
      expect(answer.trailers).toEqual([["X-Sum", "42"]]);
      expect(value(answer, "trailer")).toBe("X-Sum");
    });

    test("trailers of a request are carried", async () => {
      await using s = await setting(way);
      const fields = [`Host: ${s.host}`, "Trailer: X-Sum", "Transfer-Encoding: chunked"];
      void s.client.write(
        message(`POST ${s.at("/")} HTTP/1.1`, fields, "3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n"),
      );
      const request = await readRequest(await s.upstream.next());
      expect(text(request)).toBe("abc");
      expect(value(request, "trailer")).toBe("X-Sum");
      expect(request.trailers).toEqual([["X-Sum", "42"]]);
    });

    test("chunk extensions are harmless", async () => {
      await using s = await setting(way);
      const fields = [`Host: ${s.host}`, "Transfer-Encoding: chunked"];
      void s.client.write(message(`POST ${s.at("/")} HTTP/1.1`, fields, "3;name=value\r\nabc\r\n0\r\n\r\n"));
      expect(text(await readRequest(await s.upstream.next()))).toBe("abc");
    });

    const bodiless = [
      ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: x\r\n\r\n"],
      ["HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
      ["GET", "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"],
      ["GET", "HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 99\r\n\r\n"],
      ["GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
      ["DELETE", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ] as const;
    for (const [method, raw] of bodiless) {
      test(`${method} with ${raw.split("\r\n", 2).join(", ")}: no body, and both connections go on`, async () => {
        await using s = await setting(way);
        void s.client.write(message(`${method} ${s.at("/1")} HTTP/1.1`, [`Host: ${s.host}`]));
        const server = await s.upstream.next();
        await readHead(server);
        await server.write(raw);
        const answer = await readResponse(s.client, method);
        const fields = (rawHead: string): string[] =>
          rawHead.split("\r\n").filter((line) => !/^transfer-encoding/i.test(line));
        expect(fields(answer.rawHead)).toEqual(fields(raw));
        void s.client.write(get(s.at("/2"), s.host));
        expect((await readHead(server)).startLine).toBe("GET /2 HTTP/1.1");
        await server.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        expect(text(await readResponse(s.client))).toBe("ok");
        expect(s.upstream.connections).toHaveLength(1);
      });
    }

    test("a close-delimited response arrives whole, and its end is seen", async () => {
      await using s = await setting(way);
      void s.client.write(get(s.at("/"), s.host));
      const server = await s.upstream.next();
      await readHead(server);
      await server.write("HTTP/1.1 200 OK\r\n\r\npart one, ");
      await server.write("part two");
      server.end();
      const answer = await readResponse(s.client);
      expect(text(answer)).toBe("part one, part two");
      expect(answer.complete).toBe(true);
    });

    test("an HTTP/1.0 upstream is understood", async () => {
      await using s = await setting(way);
      void s.client.write(get(s.at("/"), s.host));
      const server = await s.upstream.next();
      await readHead(server);
      await server.write("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold");
      server.end();
      expect(text(await readResponse(s.client))).toBe("old");
    });

    test("a close-delimited response that ends with a reset is never given a clean last chunk", async () => {
      await using s = await setting(way);
      void s.client.write(get(s.at("/"), s.host));
      const server = await s.upstream.next();
      await readHead(server);
      await server.write("HTTP/1.1 200 OK\r\n\r\nhalf of");
      await s.client.readUntil("half of");
      server.destroy();
      await s.client.whenClosed();
      expect(s.client.unread.toString()).not.toContain("0\r\n\r\n");
    });

    const cut = [
      ["Content-Length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"],
      ["chunked, between chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
      ["chunked, within a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"],
    ] as const;
    for (const [name, raw] of cut) {
      test(`a response that the upstream cuts short never looks whole (${name})`, async () => {
        await using s = await setting(way);
        void s.client.write(get(s.at("/"), s.host));
        const server = await s.upstream.next();
        await readHead(server);
        await server.write(raw);
        server.end();
        const answer = await readResponse(s.client);
        expect(text(answer)).toBe("half");
        expect(answer.complete).toBe(false);
        await s.client.whenClosed();
        const records = await s.proxy.untilRecords(1, (record) => record.http_method === "GET");
        expect(records).toHaveLength(1);
        expect(records[0]?.error).toBeString();
      });
    }

    test("a request that the client cuts short never looks whole to the upstream", async () => {
      await using s = await setting(way);
      const fields = [`Host: ${s.host}`, "Transfer-Encoding: chunked"];
      await s.client.write(message(`POST ${s.at("/")} HTTP/1.1`, fields, "4\r\nhalf\r\n"));
      const server = await s.upstream.next();
      await server.readUntil("half\r\n");
      s.client.destroy();
      await server.whenClosed();
      expect(server.text).not.toContain("\r\n0\r\n\r\n");
    });

    test("any number of requests per connection, pipelined ones in order", async () => {
      await using s = await setting(way);
      const count = 50;
      let all = "";
      for (let at = 0; at < count; at++) {
        all += at % 2 === 0 ? get(s.at(`/${at}`), s.host) : post(s.at(`/${at}`), s.host, `b${at}`);
      }
      void s.client.write(all);
      const server = await s.upstream.next();
      for (let at = 0; at < count; at++) {
        const request = await readRequest(server);
        expect(request.target).toBe(`/${at}`);
        expect(text(request)).toBe(at % 2 === 0 ? "" : `b${at}`);
        void server.write(`HTTP/1.1 200 OK\r\nContent-Length: ${String(at).length}\r\n\r\n${at}`);
        expect(text(await readResponse(s.client))).toBe(String(at));
      }
      expect(s.upstream.connections).toHaveLength(1);
    });

    test("Connection: close from the client ends its connection after the answer", async () => {
      await using s = await setting(way);
      void s.client.write(get(s.at("/"), s.host, ["Connection: close"]));
      const server = await s.upstream.next();
      await readHead(server);
      await server.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      const answer = await readResponse(s.client);
      expect(text(answer)).toBe("ok");
      expect(value(answer, "connection")?.toLowerCase()).toBe("close");
      await s.client.whenClosed();
    });
  });

  describe(`${way}: HTTP/1.0 clients work`, () => {
    async function old(s: Setting, fields: readonly string[], reply: string): Promise<void> {
      void s.client.write(message(`GET ${s.at("/")} HTTP/1.0`, [`Host: ${s.host}`, ...fields]));
      const server = await s.upstream.next();
      expect((await readHead(server)).startLine).toBe("GET / HTTP/1.1");
      await server.write(reply);
    }

    test("a chunked response is unchunked and delimited by the close", async () => {
      await using s = await setting(way);
      await old(
        s,
        [],
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
      );
      const head = await readHead(s.client);
      expect(values(head, "transfer-encoding")).toEqual([]);
      expect((await s.client.readToEnd()).toString()).toBe("abc");
      await s.client.whenClosed();
    });

    test('"No 1xx to HTTP/1.0"', async () => {
      await using s = await setting(way);
      await old(
        s,
        [],
        "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
      );
      const answer = await readResponse(s.client);
      expect(answer.status).toBe(200);
      expect(text(answer)).toBe("ok");
      await s.client.whenClosed();
    });

    test("keep-alive is honoured when the client asks for it", async () => {
      await using s = await setting(way);
      await old(s, ["Connection: keep-alive"], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      const answer = await readResponse(s.client);
      expect(text(answer)).toBe("ok");
      expect(value(answer, "connection")?.toLowerCase()).toBe("keep-alive");
      void s.client.write(message(`GET ${s.at("/2")} HTTP/1.0`, [`Host: ${s.host}`]));
      await s.upstream.connections[0]?.readUntil("GET /2 HTTP/1.1");
    });
  });
}

test('"only HTTP/1.0 may lack Host"', async () => {
  await using upstream = startUpstream({
    tls: false,
    reply: () => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
  });
  await using proxy = await startProxy();
  const old = await connectProxy(proxy);
  const answer = await exchange(old, message(`GET http://${upstream.authority}/ HTTP/1.0`));
  expect(answer.status).toBe(200);
  expect(values(upstream.requests[0] as never, "host")).toEqual([upstream.authority]);
  old.destroy();
  const modern = await connectProxy(proxy);
  expect((await exchange(modern, message(`GET http://${upstream.authority}/ HTTP/1.1`))).status).toBe(400);
  expect(upstream.requests).toHaveLength(1);
  modern.destroy();
});

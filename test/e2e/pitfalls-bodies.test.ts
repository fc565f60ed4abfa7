// The pitfalls list, lines 4 and 5: streams that were buffered, and bodies that were cut or changed. Each test is a mishap of a comparable product, on the compiled binary.
import { describe, expect, test } from "bun:test";
import { constants, createGzip, gzipSync } from "node:zlib";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import type { ByteStream } from "../support/byte-stream.ts";
import { connectProxy, get, message, post, tlsTunnel } from "../support/client.ts";
import { exchange, type Request, readHead, text, value } from "../support/http-message.ts";
import { expectToExist, type Row } from "../support/pitfalls.ts";
import { credential, OTHER_SECRET, PLACEHOLDER } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

const SOURCE = { type: "static", value: OTHER_SECRET };

/** Every feature that looks at requests or answers, for one host. */
function everything(host: string): object {
  return {
    credentials: [credential(host, { grant: "tools" })],
    extra_headers: [{ host, header: "X-Extra", value: "yes" }],
    token_substitutions: [{ host, placeholder: PLACEHOLDER, source: SOURCE }],
    response_transformers: [
      { host, kind: "oauth-endpoint-workaround" },
      { host, kind: "response-scrub" },
    ],
    relays: [{ name: "api", url: `https://${host}` }],
    mcp_servers: [
      { name: "tools", url: `https://${host}/mcp`, auth: { grant: "tools", header: "Authorization" } },
    ],
    network: { rules: [{ [host]: ["deny GET /denied", "allow * /**"] }] },
  };
}

interface Way {
  readonly name: string;
  open(proxy: RunningProxy, upstream: Upstream): Promise<ByteStream>;
  /** Target and Host of a request for `path`. */
  at(path: string, upstream: Upstream): readonly [target: string, host: string];
}

const WAYS: readonly Way[] = [
  {
    name: "a tunnel with every feature",
    open: (proxy, upstream) => tlsTunnel(proxy, upstream.authority),
    at: (path, upstream) => [path, upstream.authority],
  },
  {
    name: "a relay",
    open: (proxy) => connectProxy(proxy),
    at: (path) => [`/relay/api${path}`, "moat-proxy"],
  },
  {
    name: "an MCP relay",
    open: (proxy) => connectProxy(proxy),
    at: (path) => [`/mcp/tools${path}`, "moat-proxy"],
  },
];

/** A stream of gzip: what `write` has been given can be read from what has come out. */
function gzipStream(onBytes: (bytes: Buffer) => void): (part: string) => Promise<void> {
  const gzip = createGzip();
  gzip.on("data", onBytes);
  return (part) =>
    new Promise((resolve) => {
      gzip.write(part);
      gzip.flush(constants.Z_SYNC_FLUSH, () => resolve());
    });
}

describe("Pitfall 4: streaming silently buffered", () => {
  const types = ["text/event-stream", "application/json", "application/x-ndjson", "application/octet-stream"];
  for (const way of WAYS) {
    test(`only event streams were flushed: every type passes at once over ${way.name}`, async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy({ config: everything(upstream.authority) });
      const client = await way.open(proxy, upstream);
      let server: ByteStream | undefined;
      for (const type of types) {
        void client.write(get(...way.at("/stream", upstream), ["Accept: text/event-stream, */*"]));
        server ??= await upstream.next();
        await readHead(server);
        await server.write(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`);
        expect(value(await readHead(client), "content-type")).toBe(type);
        for (const part of ["data: one\n\n", "data: two\n\n"]) {
          await server.write(`${part.length.toString(16)}\r\n${part}\r\n`);
          expect(await client.readUntil(part)).toContain(part);
        }
        await server.write("0\r\n\r\n");
        await client.readUntil("0\r\n\r\n");
      }
      client.destroy();
    });
  }

  test("a scrubbed gzip stream was held until the end of its coding", async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy({ config: everything(upstream.authority) });
    const tls = await tlsTunnel(proxy, upstream.authority);
    void tls.write(get("/stream", upstream.authority, ["Accept-Encoding: gzip"]));
    const server = await upstream.next();
    await readHead(server);
    const head = ["HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Content-Encoding: gzip"];
    await server.write(`${head.join("\r\n")}\r\nTransfer-Encoding: chunked\r\n\r\n`);
    const send = gzipStream((bytes) => {
      void server.write(
        Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]),
      );
    });
    expect(value(await readHead(tls), "content-encoding")).toBeUndefined();
    await send(`data: a ${OTHER_SECRET}\n\n`);
    expect(await tls.readUntil("\n\n")).toContain(`data: a ${PLACEHOLDER}\n\n`);
    await send("data: second\n\n");
    expect(await tls.readUntil("second\n\n")).not.toContain(OTHER_SECRET);
    tls.destroy();
  });

  for (const way of WAYS) {
    test(`uploads to a host with substitutions were held: a body without a length passes at once over ${way.name}`, async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy({ config: everything(upstream.authority) });
      const client = await way.open(proxy, upstream);
      const [target, host] = way.at("/up", upstream);
      void client.write(message(`POST ${target} HTTP/1.1`, [`Host: ${host}`, "Transfer-Encoding: chunked"]));
      const server = await upstream.next();
      await readHead(server);
      for (const part of ["first", "second"]) {
        void client.write(`${part.length.toString(16)}\r\n${part}\r\n`);
        expect(await server.readUntil(part)).toContain(part);
      }
      client.destroy();
    });
  }
});

describe("Pitfall 5: bodies cut or corrupted", () => {
  const MIB = 1 << 20;
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  const binary = Buffer.concat(Array(4_096).fill(bytes));
  /** Of no interest to the scrubber. */
  const BINARY = "Content-Type: application/octet-stream";
  const raw = (fields: readonly string[], body: Buffer): Buffer =>
    Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${fields.join("\r\n")}\r\n\r\n`), body]);
  const posted = (target: string, host: string, body: Buffer, fields: readonly string[] = []): Buffer =>
    Buffer.concat([
      Buffer.from(
        message(`POST ${target} HTTP/1.1`, [`Host: ${host}`, ...fields, `Content-Length: ${body.length}`]),
      ),
      body,
    ]);

  for (const way of WAYS) {
    test(`a body over 1 MiB was truncated, and binary was re-encoded as UTF-8: whole and byte for byte over ${way.name}`, async () => {
      await using upstream = startUpstream({
        reply: () => raw([BINARY, `Content-Length: ${binary.length}`], binary),
      });
      await using proxy = await startProxy({ config: everything(upstream.authority) });
      const client = await way.open(proxy, upstream);
      const [target, host] = way.at("/up", upstream);
      // A small one is looked into for placeholders, a large one is not: neither may change.
      for (const body of [bytes, Buffer.concat([binary, binary])]) {
        const answer = await exchange(client, posted(target, host, body), "POST");
        expect(answer.body.equals(binary)).toBe(true);
        expect(value(answer, "content-length")).toBe(String(binary.length));
        const received = upstream.requests.at(-1) as Request;
        expect(received.body.equals(body)).toBe(true);
        expect(value(received, "content-length")).toBe(String(body.length));
      }
      client.destroy();
    });
  }

  test("a body too large to look into was cut: it goes on whole, and the record says substitution_skipped", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy({ config: everything(upstream.authority) });
    const tls = await tlsTunnel(proxy, upstream.authority);
    const body = `${PLACEHOLDER}${"x".repeat(MIB)}${PLACEHOLDER}`;
    await exchange(tls, post("/up", upstream.authority, body));
    expect(text(upstream.requests[0] as Request)).toBe(body);
    expect(await proxy.untilRecords(1)).toMatchObject([{ substitution_skipped: "body over 64 KiB" }]);
    tls.destroy();
  });

  const shapes: readonly (readonly [
    name: string,
    fields: readonly string[],
    wrap: (body: Buffer) => Buffer,
  ])[] = [
    ["with a length", [], (body) => body],
    ["in gzip", ["Content-Encoding: gzip"], (body) => gzipSync(body)],
  ];
  for (const [name, fields, wrap] of shapes) {
    for (const framing of ["Content-Length", "chunked", "close"]) {
      test(`the scrubber cut at 512 KiB and left a stale Content-Length: ${name}, ${framing}`, async () => {
        const plain = `${"a ".repeat(400_000)}${OTHER_SECRET}${" b".repeat(400_000)}`;
        const coded = wrap(Buffer.from(plain));
        const type = "Content-Type: application/json";
        await using upstream = startUpstream({
          reply: (_request, stream) => {
            if (framing === "Content-Length")
              return raw([...fields, type, `Content-Length: ${coded.length}`], coded);
            if (framing === "chunked") {
              const chunk = Buffer.concat([Buffer.from(`${coded.length.toString(16)}\r\n`), coded]);
              const end = Buffer.from("\r\n0\r\n\r\n");
              return raw([...fields, type, "Transfer-Encoding: chunked"], Buffer.concat([chunk, end]));
            }
            void stream.write(raw([...fields, type, "Connection: close"], coded)).then(() => stream.end());
            return "";
          },
        });
        await using proxy = await startProxy({ config: everything(upstream.authority) });
        const tls = await tlsTunnel(proxy, upstream.authority);
        const answer = await exchange(tls, get("/", upstream.authority, ["Accept-Encoding: gzip"]));
        expect(answer.complete).toBe(true);
        expect(value(answer, "content-length")).toBeUndefined();
        expect(text(answer) === plain.replace(OTHER_SECRET, PLACEHOLDER)).toBe(true);
        tls.destroy();
      });
    }
  }

  for (const way of WAYS) {
    test(`Content-Length was lost: zero, of HEAD, and none at all stay what they were over ${way.name}`, async () => {
      await using upstream = startUpstream({
        reply: (request) =>
          request.method === "HEAD"
            ? `HTTP/1.1 200 OK\r\n${BINARY}\r\nContent-Length: 7\r\n\r\n`
            : ok("", [BINARY]),
      });
      await using proxy = await startProxy({ config: everything(upstream.authority) });
      const client = await way.open(proxy, upstream);
      const [target, host] = way.at("/x", upstream);
      const cases: readonly (readonly [
        method: string,
        fields: readonly string[],
        length: string | undefined,
      ])[] = [
        ["POST", ["Content-Length: 0"], "0"],
        ["DELETE", [], undefined],
        ["POST", [], undefined],
        ["HEAD", [], undefined],
      ];
      for (const [method, fields, length] of cases) {
        const request = message(`${method} ${target} HTTP/1.1`, [`Host: ${host}`, ...fields]);
        const answer = await exchange(client, request, method);
        const received = upstream.requests.at(-1) as Request;
        expect([method, value(received, "content-length")]).toEqual([method, length]);
        expect(value(received, "transfer-encoding")).toBeUndefined();
        expect(value(answer, "content-length")).toBe(method === "HEAD" ? "7" : "0");
      }
      client.destroy();
    });
  }

  test("%2F and its like were decoded where a feature reads the path", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    // Rules refuse what can be read in several ways; without them it goes on as it came.
    await using proxy = await startProxy({ config: { ...everything(upstream.authority), network: {} } });
    const tls = await tlsTunnel(proxy, upstream.authority);
    const path = `/a/%7Eb/%E4%C3%BC/${PLACEHOLDER}?q=%2F%2e%2e&r=+%20`;
    await exchange(tls, get(path, upstream.authority));
    const client = await connectProxy(proxy);
    await exchange(client, get(`/relay/api${path}`, "moat-proxy"));
    const expected = path.replace(PLACEHOLDER, OTHER_SECRET);
    expect(upstream.requests.map((request) => request.target)).toEqual([expected, expected]);
    tls.destroy();
    client.destroy();
  });
});

const ELSEWHERE: readonly Row[] = [
  "4 | event streams were buffered | e2e/streaming.test.ts | the first SSE event arrives before the upstream is allowed to send the second",
  "4 | the head waited for the body | e2e/streaming.test.ts | the head of a response arrives before any of its body",
  "4 | a request body was read whole first | e2e/streaming.test.ts | a request body streams before its end (…)",
  "4 | a transformer of the embedding program made a store of a stream | proxy/custom-transform-streams.test.ts | a stream is no store > the head goes on before the first byte has come",
  "5 | a cap of 100 MB cut bodies | e2e/bulk.test.ts | … MiB up and down with equal checksums while RSS stays under 120 MB",
  "5 | %2F was decoded | e2e/http.test.ts | the path is passed on as it is: …",
  "5 | :443 in Host broke presigned URLs | e2e/aws-egress.test.ts | a signed head arrives byte for byte",
  "5 | a cut answer looked whole | e2e/fidelity.test.ts | a response that the upstream cuts short never looks whole (…)",
];

test("what is proved elsewhere is there", () => expectToExist(ELSEWHERE));

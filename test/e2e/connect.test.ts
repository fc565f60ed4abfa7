// CONNECT itself (wire.md section 4): the authority, the 200, what the tunnel carries, opaque tunnels, plain
// ports, and bytes that arrive together with the CONNECT head.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import {
  connectHead,
  connectProxy,
  get,
  message,
  openTunnel,
  startTls,
  tlsTunnel,
} from "../support/client.ts";
import { exchange, readHead, readResponse, text, value, values } from "../support/http-message.ts";
import { credential, NO_ERRNO, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { closedPort, ok, startUpstream } from "../support/upstream.ts";

const ESTABLISHED = "HTTP/1.1 200 Connection Established\r\n\r\n";

describe("the authority", () => {
  let proxy: RunningProxy;
  beforeAll(async () => {
    proxy = await startProxy();
  });
  afterAll(() => proxy[Symbol.asyncDispose]());

  const refused: readonly (readonly [authority: string, body: string])[] = [
    ["example.test", "invalid host format"],
    [":443", "invalid host format"],
    ["::1:443", "invalid host format"],
    ["[::1]", "invalid host format"],
    ["[::1:443", "invalid host format"],
    ["[::g]:443", "invalid host format"],
    ["a:b:443", "invalid host format"],
    ["user@example.test:443", "invalid host format"],
    ["user:pass@example.test:443", "invalid host format"],
    ["example.test:", "invalid port"],
    ["example.test:0", "invalid port"],
    ["example.test:65536", "invalid port"],
    ["example.test:99999999999999999999", "invalid port"],
    ["example.test:-1", "invalid port"],
    ["example.test:+443", "invalid port"],
    ["example.test:https", "invalid port"],
    ["example.test:0x1bb", "invalid port"],
    ["example.test:4 43", ""],
    ["example.test:443/path", ""],
    ["http://example.test:443/", ""],
  ];
  for (const [authority, body] of refused) {
    test(`"Authority must be host:port: otherwise 400": ${authority}`, async () => {
      const client = await connectProxy(proxy);
      await client.write(`CONNECT ${authority} HTTP/1.1\r\nHost: example.test\r\n\r\n`);
      const answer = await readResponse(client);
      expect(answer.status).toBe(400);
      expect(text(answer)).toContain(body);
      client.destroy();
    });
  }

  const malformed = [
    "exa$mple.test:443",
    "exa mple.test:443",
    "exämple.test:443",
    "a..b:443",
    ".example.test:443",
    "*.example.test:443",
    "%65xample.test:443",
    `${Array(51).fill("abcd").join(".")}:443`,
  ];
  for (const authority of malformed) {
    test(`"The CONNECT host must be an IP address or labels of [a-z0-9_-], at most 253 characters: else 400": ${authority.slice(0, 40)}`, async () => {
      const client = await connectProxy(proxy);
      await client.write(Buffer.from(`CONNECT ${authority} HTTP/1.1\r\nHost: example.test\r\n\r\n`, "utf8"));
      expect((await readResponse(client)).status).toBe(400);
      client.destroy();
    });
  }

  for (const authority of [
    "[2001:db8::1]:443",
    "under_score.example.test:443",
    "A.Example.TEST:443",
    "x:1",
    "a.test.:443",
  ]) {
    test(`is accepted: ${authority}`, async () => {
      const { stream, reply } = await openTunnel(proxy, authority);
      expect(reply.rawHead).toBe(ESTABLISHED);
      const tls = await startTls(stream, authority.toLowerCase(), readFileSync(proxy.caPath, "utf8"));
      tls.destroy();
    });
  }

  test("a CONNECT with a body is refused or the body is taken for the tunnel, never for a request", async () => {
    const client = await connectProxy(proxy);
    const smuggled = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const fields = [`Content-Length: ${smuggled.length}`];
    await client.write(connectHead("example.test:443", fields) + smuggled);
    await client.readToEnd(15_000);
    expect(client.text).not.toContain('{"status":"ok"}');
  });
});

describe("the answer", () => {
  test('is "exactly `HTTP/1.1 200 Connection Established` and an empty line, no headers"', async () => {
    await using proxy = await startProxy();
    const client = await connectProxy(proxy);
    await client.write(connectHead("example.test:443"));
    await client.readUntil("\r\n\r\n");
    expect(client.text).toBe(ESTABLISHED);
    client.destroy();
  });

  test("is the same for HTTP/1.0 clients, with or without Host", async () => {
    await using upstream = startUpstream({ reply: () => ok("old") });
    await using proxy = await startProxy();
    const client = await connectProxy(proxy);
    await client.write(`CONNECT ${upstream.authority} HTTP/1.0\r\n\r\n`);
    await client.readUntil("\r\n\r\n");
    expect(client.text).toMatch(/^HTTP\/1\.[01] 200 Connection Established\r\n\r\n$/);
    const tls = await startTls(client, upstream.authority, readFileSync(proxy.caPath, "utf8"));
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("old");
    tls.destroy();
  });

  test('comes in order: "authentication, network policy, leaf, then" 200', async () => {
    await using proxy = await startProxy({
      args: ["--policy", "strict", "--allow", "good.test", "--auth-token", "t0ken"],
    });
    const status = async (authority: string, fields: string[]): Promise<[number, string | undefined]> => {
      const { stream, reply } = await openTunnel(proxy, authority, { fields });
      stream.destroy();
      return [reply.status, value(reply, "x-moat-blocked")];
    };
    const auth = ["Proxy-Authorization: Bearer t0ken"];
    expect(await status("denied.test:443", [])).toEqual([407, undefined]);
    expect(await status("denied.test:443", auth)).toEqual([407, "network-policy"]);
    expect(await status("good.test:443", auth)).toEqual([200, undefined]);
  });
});

describe("inside an intercepted tunnel", () => {
  test("ALPN chooses http/1.1 for a client that offers h2 as well", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy();
    const tls = await tlsTunnel(proxy, upstream.authority, { alpn: ["h2", "http/1.1"] });
    expect(tls.socket?.alpnProtocol).toBe("http/1.1");
    expect((await exchange(tls, get("/", upstream.authority))).status).toBe(200);
    tls.destroy();
  });

  /** A hand-made ClientHello that offers at most `version`, with ECDHE-ECDSA suites of that time. */
  function clientHello(version: number): Buffer {
    const u16 = (value_: number): number[] => [value_ >> 8, value_ & 0xff];
    const sized = (bytes: number[]): number[] => [...u16(bytes.length), ...bytes];
    const suites = [0xc02b, 0xc02c, 0xc009, 0xc00a, 0xc013, 0x002f].flatMap(u16);
    const name = [...Buffer.from("localhost")];
    const extensions = [
      ...u16(0),
      ...sized(sized([0, ...sized(name)])),
      ...u16(10),
      ...sized(sized([0x00, 0x1d, 0x00, 0x17])),
      ...u16(11),
      ...sized([1, 0]),
      ...u16(13),
      ...sized(sized([0x04, 0x03, 0x02, 0x03, 0x04, 0x01, 0x02, 0x01])),
    ];
    const body = [...u16(version), ...Array(32).fill(7), 0, ...sized(suites), 1, 0, ...sized(extensions)];
    const handshake = [1, 0, ...u16(body.length), ...body];
    return Buffer.from([0x16, 0x03, 0x01, ...u16(handshake.length), ...handshake]);
  }

  for (const [label, version, accepted] of [
    ["TLS 1.2", 0x0303, true],
    ["TLS 1.1", 0x0302, false],
    ["TLS 1.0", 0x0301, false],
  ] as const) {
    test(`"every other CONNECT is intercepted, TLS 1.2 or later": ${label} is ${accepted ? "served" : "refused"}`, async () => {
      await using proxy = await startProxy();
      const { stream } = await openTunnel(proxy, "localhost:443");
      await stream.write(clientHello(version));
      const readable = await stream.untilReadable();
      if (accepted) expect(stream.unread[0]).toBe(0x16);
      else if (readable) expect(stream.unread[0]).toBe(0x15);
      stream.destroy();
    });
  }

  for (const [label, bytes] of [
    ["cleartext HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ["SSH", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["binary garbage", "\x00\x01\x02\x03\xff\xfe\xfd\xfc".repeat(8)],
  ] as const) {
    test(`"bytes that are no ClientHello close the connection, and the record says so and names tls.passthrough": ${label}`, async () => {
      await using upstream = startUpstream({ reply: () => ok() });
      await using proxy = await startProxy();
      const { stream } = await openTunnel(proxy, upstream.authority);
      await stream.write(bytes);
      await stream.whenClosed();
      expect(stream.text.slice(ESTABLISHED.length)).not.toContain("HTTP/");
      const records = await proxy.untilRecords(1);
      expect(records).toHaveLength(1);
      expect(records[0]?.error).toContain("tls.passthrough");
      expect(upstream.connections).toHaveLength(0);
    });
  }
});

describe("CONNECT to a plain port carries cleartext HTTP", () => {
  test("with the credential under the cleartext rule, pinned to the authority", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok("plain") });
    await using proxy = await startProxy({
      config: { tls: { plain_ports: [upstream.port] }, credentials: [credential(upstream.authority)] },
    });
    const { stream, reply } = await openTunnel(proxy, upstream.authority);
    expect(reply.rawHead).toBe(ESTABLISHED);
    const answer = await exchange(
      stream,
      get("/a", upstream.authority, [`Authorization: Bearer ${PLACEHOLDER}`]),
    );
    expect(text(answer)).toBe("plain");
    expect(upstream.requests[0]?.startLine).toBe("GET /a HTTP/1.1");
    expect(values(upstream.requests[0] as never, "authorization")).toEqual([`Bearer ${SECRET}`]);
    const misdirected = await exchange(stream, get("/b", "elsewhere.test"));
    expect(misdirected.status).toBe(421);
    expect(upstream.requests).toHaveLength(1);
    stream.destroy();
  });

  test("port 80 is one by default: a ClientHello there is no request", async () => {
    await using proxy = await startProxy();
    const { stream, reply } = await openTunnel(proxy, "203.0.113.7:80");
    expect(reply.status).toBe(200);
    await stream.write("TRACE / HTTP/1.1\r\nHost: 203.0.113.7\r\n\r\n");
    expect((await readResponse(stream)).status).toBe(405);
    stream.destroy();
  });

  test("HTTP messages there are framed as anywhere: a bad one is 400 and reaches nobody", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    await using proxy = await startProxy({ config: { tls: { plain_ports: [upstream.port] } } });
    const { stream } = await openTunnel(proxy, upstream.authority);
    const fields = [`Host: ${upstream.authority}`, "Content-Length: 4", "Transfer-Encoding: chunked"];
    await stream.write(message("POST / HTTP/1.1", fields, "0\r\n\r\n"));
    expect((await readResponse(stream)).status).toBe(400);
    expect(upstream.text).toBe("");
    stream.destroy();
  });
});

test('"The upstream is dialled, verified and named (SNI) by the CONNECT authority only"', async () => {
  await using upstream = startUpstream({ reply: () => ok() });
  await using proxy = await startProxy();
  const tls = await tlsTunnel(proxy, upstream.authority);
  await exchange(tls, get("/", upstream.authority));
  expect(upstream.serverNames).toEqual(["localhost"]);
  tls.destroy();
});

test("a dial failure inside an intercepted tunnel is 502 there, and the body never shows an errno or address", async () => {
  await using proxy = await startProxy();
  const authority = `localhost:${closedPort()}`;
  const tls = await tlsTunnel(proxy, authority);
  for (const attempt of ["/1", "/2"]) {
    const answer = await exchange(tls, get(attempt, authority));
    expect(answer.status).toBe(502);
    expect(text(answer)).not.toMatch(NO_ERRNO);
  }
  tls.destroy();
});

test("a name that does not resolve is 502 inside the tunnel", async () => {
  await using proxy = await startProxy();
  const tls = await tlsTunnel(proxy, "no-such-host.invalid:443");
  const answer = await exchange(tls, get("/", "no-such-host.invalid"));
  expect(answer.status).toBe(502);
  expect(text(answer)).not.toMatch(NO_ERRNO);
  tls.destroy();
}, 20_000);

test("the head of a response from the upstream is read whole before the next request begins", async () => {
  await using upstream = startUpstream();
  await using proxy = await startProxy();
  const tls = await tlsTunnel(proxy, upstream.authority);
  void tls.write(get("/1", upstream.authority) + get("/2", upstream.authority));
  const server = await upstream.next();
  await readHead(server);
  expect(server.unread.length).toBe(0);
  await server.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
  await server.readUntil("GET /2 HTTP/1.1\r\n");
  await server.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
  expect(text(await readResponse(tls)) + text(await readResponse(tls))).toBe("12");
  tls.destroy();
});

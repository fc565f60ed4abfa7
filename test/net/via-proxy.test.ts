// Dialling through the operator's proxy, over real sockets: what it is asked for, what it gets to see before it has
// agreed, every answer it may give, and that a target is checked and verified as without it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Dial, type DialOptions } from "../../src/net/dial.ts";
import { Secret } from "../../src/values/secret.ts";
import { type Resolver, takeResolver } from "../support/net-addresses.ts";
import { type Answer, type ConnectProxy, startConnectProxy } from "../support/net-connect-proxy.ts";
import {
  DialWitness,
  dialOptions,
  dialPlain,
  dialTls,
  only,
  target,
  untilAllClosed,
} from "../support/net-dials.ts";
import { settle, Witness } from "../support/net-witness.ts";
import { pki } from "../support/pki.ts";
import { runProgram } from "../support/programs.ts";
import { NO_ERRNO } from "../support/secrets.ts";
import { closedPort, startUpstream } from "../support/upstream.ts";

let resolver: Resolver;
beforeAll(() => {
  resolver = takeResolver();
});
afterAll(() => resolver[Symbol.dispose]());

const BASIC = "Basic dXNlcjpwYXNz";

function through(proxy: Pick<ConnectProxy, "port">, authorization?: string): Partial<DialOptions> {
  const secret = authorization === undefined ? undefined : new Secret(authorization);
  return { upstreamProxy: { host: "127.0.0.1", port: proxy.port, authorization: secret } };
}

const DIALS = [
  ["https", dialTls],
  ["http", dialPlain],
] as const;

describe("a proxy that agrees", () => {
  for (const [scheme, dial] of DIALS) {
    test.each([
      ["a literal", "127.0.0.1", "127.0.0.1"],
      ["a name, which it never hears", "localhost", "127.0.0.1"],
    ])(`${scheme}: opens the way to %s`, async (_, host, address) => {
      await using upstream = startUpstream(scheme === "http" ? { tls: false } : {});
      await using proxy = await startConnectProxy();
      const name = host === "localhost" ? resolver.name("127.0.0.1") : host;
      // The certificate is for localhost: a name of the test's resolver serves in the clear only.
      const dialled = dial(`${scheme === "http" ? name : host}:${upstream.port}`, through(proxy));
      const result = await dialled.outcome();
      if (!("wire" in result)) throw result.error;
      const { wire, privatePeer } = result;
      // The bytes travel further than the address tells: no credential goes this way in the clear.
      expect(privatePeer).toBe(false);
      expect(wire.accepted).toBe(0);
      const seen = new Witness();
      wire.handler = seen;
      wire.write(Buffer.from("hello"));
      expect(wire.accepted).toBe(5);
      const stream = await upstream.next();
      expect((await stream.readBytes(5)).toString()).toBe("hello");
      await stream.write("welcome");
      await seen.until("answer", () => seen.text === "welcome");
      const to = `${address}:${upstream.port}`;
      const heads = proxy.heads.filter((head) => head.includes(to));
      expect(heads).toEqual([`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\n`]);
      expect(proxy.before).toEqual([...proxy.heads]);
      stream.end();
      await seen.untilOver();
      wire.destroy();
      await proxy.untilAllClosed();
      expect(dialled.results).toHaveLength(1);
    });
  }

  test("an IPv6 address stands in brackets", async () => {
    await using upstream = startUpstream({ tls: false, host: "::1" });
    await using proxy = await startConnectProxy();
    const wire = await dialPlain(`[::1]:${upstream.port}`, through(proxy)).wire();
    const to = `[::1]:${upstream.port}`;
    expect(proxy.heads).toEqual([`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\n`]);
    wire.destroy();
  });

  test("gets its credential, and the target does not", async () => {
    await using upstream = startUpstream({ tls: false });
    await using proxy = await startConnectProxy((head) =>
      head.includes(`Proxy-Authorization: ${BASIC}\r\n`) ? "connect" : { say: "HTTP/1.1 407 No\r\n\r\n" },
    );
    const wire = await dialPlain(`127.0.0.1:${upstream.port}`, through(proxy, BASIC)).wire();
    wire.write(Buffer.from("hello"));
    expect((await (await upstream.next()).readBytes(5)).toString()).toBe("hello");
    expect(upstream.text).toBe("hello");
    const to = `127.0.0.1:${upstream.port}`;
    expect(proxy.heads).toEqual([
      `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\nProxy-Authorization: ${BASIC}\r\n\r\n`,
    ]);
    wire.destroy();
  });

  test.each([
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n"],
    ["with fields", "HTTP/1.1 200 OK\r\nProxy-Agent: test\r\nVia: 1.1 x\r\n\r\n"],
    // RFC 9110 section 9.3.6: to be ignored.
    ["with a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"],
    ["chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
  ])("in its own words: %s", async (_, established) => {
    await using upstream = startUpstream();
    await using proxy = await startConnectProxy(() => "connect", established);
    const wire = await dialTls(upstream.authority, through(proxy)).wire();
    wire.write(Buffer.from("hello"));
    expect((await (await upstream.next()).readBytes(5)).toString()).toBe("hello");
    wire.destroy();
  });

  test("and in pieces", async () => {
    await using upstream = startUpstream({ tls: false });
    const { promise: asked, resolve: answer } = Promise.withResolvers<Answer>();
    await using proxy = await startConnectProxy(() => asked, "00 OK\r\n\r\n");
    const dialled = dialPlain(`127.0.0.1:${upstream.port}`, through(proxy));
    await proxy.untilHeads(1);
    answer({ say: "HTTP/1.1 2" });
    await settle();
    expect(dialled.results).toEqual([]);
    expect(proxy.before).toEqual([...proxy.heads]);
    dialled.dial.cancel();
    await proxy.untilAllClosed();
    expect(dialled.results).toEqual([]);
  });

  test("a plain target that speaks first, together with the 200, is heard", async () => {
    await using proxy = await startConnectProxy(() => ({ say: "HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x\r\n" }));
    const seen = new Witness();
    // As the pool does it: the handler is there when the dial has told of its outcome.
    const options = dialOptions(through(proxy));
    new Dial({}, target("http", "127.0.0.1:22"), false, options, {
      onDialled: (wire) => {
        wire.handler = seen;
      },
      onRefused: (error) => {
        throw error;
      },
    });
    await seen.until("banner", () => seen.text === "SSH-2.0-x\r\n");
  });
});

describe("before the 200", () => {
  for (const [scheme, dial] of DIALS) {
    test(`${scheme}: the proxy sees the head of CONNECT and nothing else`, async () => {
      await using upstream = startUpstream(scheme === "http" ? { tls: false } : {});
      const { promise: agreed, resolve: agree } = Promise.withResolvers<Answer>();
      await using proxy = await startConnectProxy(() => agreed);
      const dialled = dial(`127.0.0.1:${upstream.port}`, through(proxy));
      await proxy.untilHeads(1);
      await settle(20);
      expect(proxy.before).toEqual([...proxy.heads]);
      expect(dialled.results).toEqual([]);
      expect(upstream.connections).toHaveLength(0);
      agree("connect");
      (await dialled.wire()).destroy();
    });
  }
});

describe("a proxy that does not agree: dial-failed, and the cause says why", () => {
  const cases: readonly (readonly [string, Answer, string])[] = [
    [
      "407",
      { say: "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n" },
      "answered 407",
    ],
    ["502", { say: "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno\n" }, "answered 502"],
    ["403 and its end", { say: "HTTP/1.1 403 No\r\n\r\n", close: true }, "answered 403"],
    ["another success", { say: "HTTP/1.1 204 No Content\r\n\r\n" }, "answered 204"],
    ["a redirect", { say: "HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n" }, "answered 302"],
    ["an interim answer", { say: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" }, "answered 100"],
    ["garbage", { say: "SSH-2.0-OpenSSH\r\n" }, "malformed"],
    ["an alert of TLS", { say: "\x15\x03\x01\x00\x02\x02\x16" }, "malformed"],
    ["an endless head", { say: `HTTP/1.1 200 OK\r\nX: ${"y".repeat(70_000)}` }, "malformed"],
    ["an end", { say: "", close: true }, "ended the connection"],
    ["an end within its head", { say: "HTTP/1.1 200 OK\r\n", close: true }, "ended the connection"],
  ];
  for (const [what, answer, cause] of cases) {
    test.each(DIALS)(`${what}: %s`, async (_, dial) => {
      await using proxy = await startConnectProxy(() => answer);
      const dialled = dial("127.0.0.1:4443", through(proxy, BASIC));
      const error = await dialled.error();
      expect(error).toMatchObject({ code: "dial-failed", status: 502 });
      expect(error.message).toBe("the upstream could not be reached");
      expect(String(error.cause)).toContain(cause);
      expect(String(error.cause)).not.toMatch(/127\.0\.0\.1|4443|dXNlcjpwYXNz/);
      await proxy.untilAllClosed();
      expect(proxy.before).toEqual([...proxy.heads]);
      expect(dialled.results).toHaveLength(1);
    });
  }

  test("a reset", async () => {
    await using proxy = await startConnectProxy(() => "drop");
    const error = await dialTls("127.0.0.1:4443", through(proxy)).error();
    expect(error.code).toBe("dial-failed");
  });

  test("bytes behind the 200, before TLS: nothing is sent to whoever sent them", async () => {
    for (const early of ["x", "\x16\x03\x03\x00\x7a\x02"]) {
      await using proxy = await startConnectProxy(() => ({ say: `HTTP/1.1 200 OK\r\n\r\n${early}` }));
      const error = await dialTls("127.0.0.1:4443", through(proxy)).error();
      expect(error.code).toBe("dial-failed");
      expect(String(error.cause)).toContain("bytes before TLS");
      await proxy.untilAllClosed();
      expect(proxy.before).toEqual([...proxy.heads]);
    }
  });

  test.each(DIALS)("silence: the dial's time applies, %s", async (_, dial) => {
    await using proxy = await startConnectProxy(() => "hang");
    const dialled = dial("127.0.0.1:4443", { ...through(proxy), dialMs: 60, tlsMs: 60_000 });
    expect((await dialled.error()).code).toBe("dial-failed");
    await proxy.untilAllClosed();
    expect(dialled.results).toHaveLength(1);
  });

  test("nobody there", async () => {
    const error = await dialTls("127.0.0.1:4443", through({ port: closedPort() })).error();
    expect(error.code).toBe("dial-failed");
    expect(error.message).not.toMatch(NO_ERRNO);
    expect(String(error.cause)).toContain("ECONNREFUSED");
  });

  test("a credential that would break the head is not written, nor is anything else", async () => {
    await using proxy = await startConnectProxy();
    const error = await dialTls("127.0.0.1:4443", through(proxy, "Basic x\r\nX: y")).error();
    expect(error.code).toBe("dial-failed");
    expect(String(error.cause)).not.toContain("X: y");
    await proxy.untilAllClosed();
    expect(proxy.before.join("")).toBe("");
  });
});

describe("the target", () => {
  for (const kind of ["otherCa", "selfSigned", "expired", "notYetValid", "wrongName"] as const) {
    test.each(["localhost", "127.0.0.1"])(
      `with a certificate that is ${kind} is refused: %s`,
      async (name) => {
        await using upstream = startUpstream({ tls: pki()[kind] });
        await using proxy = await startConnectProxy();
        const dialled = dialTls(`${name}:${upstream.port}`, { ...through(proxy), ...only("127.0.0.1") });
        expect((await dialled.error()).code).toBe("certificate-rejected");
        await untilAllClosed(upstream);
        expect(upstream.text).toBe("");
        expect(dialled.results).toHaveLength(1);
      },
    );
  }

  test("is named in TLS by its name, though the proxy knows its address only", async () => {
    await using upstream = startUpstream();
    await using proxy = await startConnectProxy();
    const wire = await dialTls(upstream.authority, { ...through(proxy), ...only("127.0.0.1") }).wire();
    await upstream.next();
    expect(upstream.serverNames).toEqual(["localhost"]);
    expect(proxy.heads.join("")).not.toContain("localhost");
    wire.destroy();
  });

  test("is verified whatever NODE_TLS_REJECT_UNAUTHORIZED says", async () => {
    const kinds = ["valid", "otherCa", "expired", "wrongName"] as const;
    const upstreams = kinds.map((kind) => startUpstream({ tls: pki()[kind] }));
    await using proxy = await startConnectProxy();
    const child = await runProgram(
      [
        process.execPath,
        join(import.meta.dir, "../support/net-dial-child.ts"),
        pki().caPath,
        ...upstreams.map(({ authority }) => authority),
      ],
      { NODE_TLS_REJECT_UNAUTHORIZED: "0", UPSTREAM_PROXY_PORT: String(proxy.port) },
    );
    for (const upstream of upstreams) upstream.close();
    const outcomes = child.stdout
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { outcome: string }).outcome);
    expect(outcomes).toEqual(["dialled", ...kinds.slice(1).map(() => "certificate-rejected")]);
    expect(upstreams.slice(1).map(({ text }) => text)).toEqual(["", "", ""]);
    expect(proxy.heads.length).toBeGreaterThanOrEqual(kinds.length);
  });

  test.each(["end", "destroy"] as const)(
    "that goes away within the handshake, by %s: dial-failed",
    async (how) => {
      await using upstream = startUpstream({ tls: false });
      await using proxy = await startConnectProxy();
      const dialled = dialTls(`127.0.0.1:${upstream.port}`, through(proxy));
      const stream = await upstream.next();
      await stream.untilReadable();
      stream[how]();
      expect((await dialled.error()).code).toBe("dial-failed");
      await proxy.untilAllClosed();
    },
  );

  test("that never answers in TLS has the handshake's time, and not the dial's", async () => {
    await using upstream = startUpstream({ tls: false });
    await using proxy = await startConnectProxy();
    const dialled = dialTls(`127.0.0.1:${upstream.port}`, { ...through(proxy), dialMs: 3_000, tlsMs: 60 });
    const error = await dialled.error();
    expect(String(error.cause)).toContain("TLS handshake timed out");
    await proxy.untilAllClosed();
  });

  test("is checked before anybody is asked, and the proxy's own address is not", async () => {
    await using proxy = await startConnectProxy();
    for (const host of ["127.0.0.1", "169.254.169.254", resolver.name("127.0.0.1", "::1")]) {
      const error = await dialTls(`${host}:443`, { ...through(proxy), ...only("192.0.2.1") }).error();
      expect(error.code).toBe("destination");
    }
    await settle();
    expect(proxy.before).toEqual([]);
    const allowed = dialPlain("192.0.2.1:80", { ...through(proxy), ...only("192.0.2.1") });
    await proxy.untilHeads(1);
    expect(proxy.heads[0]).toStartWith("CONNECT 192.0.2.1:80 ");
    allowed.dial.cancel();
  });

  test("that must be private is not asked for at a public address", async () => {
    await using proxy = await startConnectProxy();
    const dialled = new DialWitness(target("http", "192.0.2.1:80"), dialOptions(through(proxy)), true);
    expect((await dialled.error()).code).toBe("cleartext-credential");
    await settle();
    expect(proxy.before).toEqual([]);
  });

  test("has its next address tried when the proxy does not reach the first", async () => {
    await using upstream = startUpstream({ tls: false });
    await using proxy = await startConnectProxy();
    const name = resolver.name("127.0.0.2", "127.0.0.1");
    const wire = await dialPlain(`${name}:${upstream.port}`, through(proxy)).wire();
    expect(proxy.heads.map((head) => head.split(" ")[1])).toEqual([
      `127.0.0.2:${upstream.port}`,
      `127.0.0.1:${upstream.port}`,
    ]);
    wire.destroy();
  });
});

test("cancelled at any stage: nothing is called, nothing is left", async () => {
  await using upstream = startUpstream();
  await using proxy = await startConnectProxy();
  for (let round = 0; round < 40; round++) {
    const dialled = dialTls(`127.0.0.1:${upstream.port}`, through(proxy));
    for (let turn = 0; turn < round % 12; turn++) await new Promise((resolve) => setImmediate(resolve));
    const { length } = dialled.results;
    dialled.dial.cancel();
    await settle(1);
    expect(dialled.results).toHaveLength(length);
    for (const result of dialled.results) if ("wire" in result) result.wire.destroy();
  }
  await proxy.untilAllClosed();
  await untilAllClosed(upstream);
});

// Messages whose framing or head is doubtful are refused, never repaired: request smuggling, response splitting.
// Each case names the attack. The upstream must not receive a byte of a refused request (RFC 9112, sections 3, 5, 6, 11).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import type { ByteStream } from "../support/byte-stream.ts";
import { connectProxy, get, message, tlsTunnel } from "../support/client.ts";
import { exchange, readHead, readResponse, text } from "../support/http-message.ts";
import { credential, SECRET } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

/** Raw bytes of a request: `target` is what reaches the upstream as "/", `host` the right authority. */
type Attack = (target: string, host: string) => string;

const HELLO = "5\r\nhello\r\n0\r\n\r\n";

/** A request with these field lines after Host. */
function withFields(fields: readonly string[], body = "", method = "POST"): Attack {
  return (target, host) => message(`${method} ${target} HTTP/1.1`, [`Host: ${host}`, ...fields], body);
}

const ATTACKS: Readonly<Record<string, Attack>> = {
  "CL.TE: Content-Length with Transfer-Encoding": withFields(
    ["Content-Length: 4", "Transfer-Encoding: chunked"],
    HELLO,
  ),
  "TE.CL: Transfer-Encoding with Content-Length": withFields(
    ["Transfer-Encoding: chunked", "Content-Length: 4"],
    HELLO,
  ),
  "two different Content-Length": withFields(["Content-Length: 5", "Content-Length: 6"], "hello!"),
  "two equal Content-Length": withFields(["Content-Length: 5", "Content-Length: 5"], "hello"),
  "a list in Content-Length": withFields(["Content-Length: 5, 5"], "hello"),
  "a sign in Content-Length": withFields(["Content-Length: +5"], "hello"),
  "a negative Content-Length": withFields(["Content-Length: -1"]),
  "hexadecimal Content-Length": withFields(["Content-Length: 0x5"], "hello"),
  "an empty Content-Length": withFields(["Content-Length:"], "hello"),
  "a fraction in Content-Length": withFields(["Content-Length: 5.0"], "hello"),
  "an overflowing Content-Length": withFields(["Content-Length: 18446744073709551621"], "hello"),
  "two Transfer-Encoding": withFields(["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], HELLO),
  "chunked, then identity in a second field": withFields(
    ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    HELLO,
  ),
  "a coding before chunked: gzip, chunked": withFields(["Transfer-Encoding: gzip, chunked"], HELLO),
  "a coding before chunked: identity, chunked": withFields(["Transfer-Encoding: identity, chunked"], HELLO),
  "chunked twice": withFields(["Transfer-Encoding: chunked, chunked"], HELLO),
  "a final coding that is not chunked": withFields(["Transfer-Encoding: chunked, gzip"], HELLO),
  "only gzip": withFields(["Transfer-Encoding: gzip"], HELLO),
  xchunked: withFields(["Transfer-Encoding: xchunked"], HELLO),
  "quoted chunked": withFields(['Transfer-Encoding: "chunked"'], HELLO),
  "chunked with a parameter": withFields(["Transfer-Encoding: chunked;q=1"], HELLO),
  "vertical tab before chunked": withFields(["Transfer-Encoding: \x0bchunked"], HELLO),
  "Transfer-Encoding on HTTP/1.0": (target, host) =>
    message(`POST ${target} HTTP/1.0`, [`Host: ${host}`, "Transfer-Encoding: chunked"], HELLO),
  "obs-fold in a field": withFields(["X-A: 1", " folded"], "", "GET"),
  "obs-fold hiding chunked": withFields(["Transfer-Encoding:", " chunked"], HELLO),
  "a fold as the first field": (target, host) => `GET ${target} HTTP/1.1\r\n X: y\r\nHost: ${host}\r\n\r\n`,
  "a space before the colon": withFields(["Content-Length : 5"], "hello"),
  "a tab before the colon": withFields(["Transfer-Encoding\t: chunked"], HELLO),
  "a field without a name": withFields([": value"], "", "GET"),
  "a field without a colon": withFields(["nonsense"], "", "GET"),
  "a control character in a field name": withFields(["X-\x01A: 1"], "", "GET"),
  "a NUL in a field value": withFields(["X-A: a\x00b"], "", "GET"),
  "a bare CR in a field value": withFields(["X-A: a\rX-B: b"], "", "GET"),
  "a bare LF ends a field": (target, host) =>
    `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nX-A: 1\nX-B: 2\r\n\r\n`,
  "bare LF throughout": (target, host) => `GET ${target} HTTP/1.1\nHost: ${host}\n\n`,
  "a bare LF ends the head": (target, host) => `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\n`,
  "HTTP/0.9 without a version": (target) => `GET ${target}\r\n\r\n`,
  "HTTP/0.9 as a version": (target, host) => message(`GET ${target} HTTP/0.9`, [`Host: ${host}`]),
  "HTTP/2.0 as a version": (target, host) => message(`GET ${target} HTTP/2.0`, [`Host: ${host}`]),
  "HTTP/1.2 as a version": (target, host) => message(`GET ${target} HTTP/1.2`, [`Host: ${host}`]),
  "a lower-case version": (target, host) => message(`GET ${target} http/1.1`, [`Host: ${host}`]),
  "the HTTP/2 preface": () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "no Host": (target) => message(`GET ${target} HTTP/1.1`),
  "two equal Host": (target, host) => message(`GET ${target} HTTP/1.1`, [`Host: ${host}`, `Host: ${host}`]),
  "two different Host": (target, host) =>
    message(`GET ${target} HTTP/1.1`, [`Host: ${host}`, "Host: evil.test"]),
  "an empty Host": (target) => message(`GET ${target} HTTP/1.1`, ["Host:"]),
  "userinfo in Host": (target, host) => message(`GET ${target} HTTP/1.1`, [`Host: user@${host}`]),
  "a path in Host": (target, host) => message(`GET ${target} HTTP/1.1`, [`Host: ${host}/path`]),
  "a list in Host": (target, host) => message(`GET ${target} HTTP/1.1`, [`Host: ${host}, evil.test`]),
  "a space in Host": (target, host) => message(`GET ${target} HTTP/1.1`, [`Host: ${host} evil.test`]),
  "a fragment in the target": (target, host) => message(`GET ${target}#part HTTP/1.1`, [`Host: ${host}`]),
  "a space in the target": (target, host) => message(`GET ${target}a b HTTP/1.1`, [`Host: ${host}`]),
  "a tab in the target": (target, host) => message(`GET ${target}a\tb HTTP/1.1`, [`Host: ${host}`]),
  "a NUL in the target": (target, host) => message(`GET ${target}\x00 HTTP/1.1`, [`Host: ${host}`]),
  "a raw byte above 0x7f in the target": (target, host) =>
    message(`GET ${target}\xe9 HTTP/1.1`, [`Host: ${host}`]),
  "an asterisk with GET": (_, host) => message("GET * HTTP/1.1", [`Host: ${host}`]),
  "an authority as the target of GET": (_, host) => message(`GET ${host} HTTP/1.1`, [`Host: ${host}`]),
  "a relative target": (_, host) => message("GET relative/path HTTP/1.1", [`Host: ${host}`]),
  "an empty method": (target, host) => message(` ${target} HTTP/1.1`, [`Host: ${host}`]),
  "a method with a control character": (target, host) =>
    message(`GE\x01T ${target} HTTP/1.1`, [`Host: ${host}`]),
  "two spaces after the method": (target, host) => message(`GET  ${target} HTTP/1.1`, [`Host: ${host}`]),
  "a tab after the method": (target, host) => message(`GET\t${target} HTTP/1.1`, [`Host: ${host}`]),
  "Connection names Host": withFields(["Connection: Host"], "", "GET"),
  "Connection names Content-Length": withFields(
    ["Connection: keep-alive, content-length", "Content-Length: 5"],
    "hello",
  ),
  "Connection names Transfer-Encoding": withFields(
    ["Connection: transfer-encoding", "Transfer-Encoding: chunked"],
    HELLO,
  ),
};

/** Attacks that only an absolute-form target or only the tunnel can carry. */
const ABSOLUTE_ONLY: Readonly<Record<string, Attack>> = {
  "userinfo in the target": (_, host) => message(`GET http://user:pass@${host}/ HTTP/1.1`, [`Host: ${host}`]),
  "an empty userinfo in the target": (_, host) => message(`GET http://@${host}/ HTTP/1.1`, [`Host: ${host}`]),
  "an empty host in the target": (_, host) => message("GET http:///path HTTP/1.1", [`Host: ${host}`]),
  "a port out of range": (_, host) => message("GET http://localhost:99999/ HTTP/1.1", [`Host: ${host}`]),
  "another scheme": (_, host) => message(`GET ftp://${host}/ HTTP/1.1`, [`Host: ${host}`]),
  "file scheme": (_, host) => message("GET file:///etc/passwd HTTP/1.1", [`Host: ${host}`]),
  "a backslash in the authority": (_, host) =>
    message(`GET http://${host}\\@evil.test/ HTTP/1.1`, [`Host: ${host}`]),
  "a percent-encoded host": (_, host) => message("GET http://%6cocalhost/ HTTP/1.1", [`Host: ${host}`]),
};

describe("requests that are refused, and of which the upstream receives nothing", () => {
  let secure: Upstream;
  let plain: Upstream;
  let proxy: RunningProxy;
  beforeAll(async () => {
    secure = startUpstream({ reply: () => ok("reached") });
    plain = startUpstream({ tls: false, reply: () => ok("reached") });
    proxy = await startProxy({
      config: { credentials: [credential(secure.authority), credential(plain.authority)] },
    });
  });
  afterAll(async () => {
    secure.close();
    plain.close();
    await proxy[Symbol.asyncDispose]();
  });

  async function refuse(stream: ByteStream, upstream: Upstream, raw: string, next: string): Promise<void> {
    // A second request behind the first: what a smuggler hopes to have answered, or its victim's.
    void stream.write(raw + next);
    const answer = await readResponse(stream);
    expect([400, 501, 505]).toContain(answer.status);
    await stream.whenClosed();
    expect(stream.unread.toString("latin1")).toBe("");
    expect(stream.text).not.toContain("reached");
    expect(upstream.text).toBe("");
  }

  for (const [name, attack] of Object.entries(ATTACKS)) {
    test(`in a tunnel: ${name}`, async () => {
      const stream = await tlsTunnel(proxy, secure.authority);
      await refuse(stream, secure, attack("/", secure.authority), get("/next", secure.authority));
    });
  }

  for (const [name, attack] of Object.entries({ ...ATTACKS, ...ABSOLUTE_ONLY })) {
    test(`over plain http: ${name}`, async () => {
      const stream = await connectProxy(proxy);
      const next = get(`http://${plain.authority}/next`, plain.authority);
      await refuse(stream, plain, attack(`http://${plain.authority}/`, plain.authority), next);
    });
  }

  test("each of them leaves exactly one record", async () => {
    await using own = await startProxy();
    const attacks = Object.values({ ...ATTACKS, ...ABSOLUTE_ONLY });
    for (const attack of attacks) {
      const stream = await connectProxy(own);
      void stream.write(attack(`http://${plain.authority}/`, plain.authority));
      await stream.whenClosed();
    }
    const marker = await connectProxy(own);
    await exchange(marker, get("/marker", "localhost"));
    await own.untilRecords(1, (record) => record.http_path === "/marker");
    const statuses = own.records().map((record) => record.http_status);
    expect(statuses.filter((status) => [400, 501, 505].includes(Number(status)))).toHaveLength(
      attacks.length,
    );
    expect(statuses).toHaveLength(attacks.length + 1);
    marker.destroy();
  });
});

describe("request bodies with bad chunks never end for the upstream", () => {
  const bodies: Readonly<Record<string, string>> = {
    "a size that is no number": "x\r\nhello\r\n0\r\n\r\n",
    "a negative size": "-5\r\nhello\r\n0\r\n\r\n",
    "a size with 0x": "0x5\r\nhello\r\n0\r\n\r\n",
    "an overflowing size": "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a size line that ends with a bare LF": "5\nhello\r\n0\r\n\r\n",
    "data longer than its size": "5\r\nhello!\r\n0\r\n\r\n",
    "data without its CRLF": "5\r\nhello0\r\n\r\n",
    "a bare LF after the data": "5\r\nhello\n0\r\n\r\n",
    "a bare CR in an extension": "5;a=\rb\r\nhello\r\n0\r\n\r\n",
    "a bare LF in an extension": "5;a=b\nhello\r\n0\r\n\r\n",
    "a space in the size": "5 5\r\nhello\r\n0\r\n\r\n",
    "an empty size": "\r\nhello\r\n0\r\n\r\n",
    "a trailer with obs-fold": "5\r\nhello\r\n0\r\nX-A: 1\r\n folded\r\n\r\n",
    "a trailer without a colon": "5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
  };
  for (const [name, body] of Object.entries(bodies)) {
    test(name, async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const stream = await tlsTunnel(proxy, upstream.authority);
      const fields = [`Host: ${upstream.authority}`, "Transfer-Encoding: chunked"];
      void stream.write(message("POST / HTTP/1.1", fields, body) + get("/smuggled", upstream.authority));
      await stream.whenClosed();
      for (const connection of upstream.connections) await connection.whenClosed();
      expect(upstream.text).not.toMatch(/\r\n0\r\n[\s\S]*\r\n\r\n$/);
      expect(upstream.text).not.toContain("/smuggled");
      expect(stream.text).not.toContain("HTTP/1.1 200");
    });
  }

  test("a forbidden trailer (Content-Length, Host, Authorization) does not become a header field", async () => {
    await using upstream = startUpstream({ reply: () => ok("trailed") });
    await using proxy = await startProxy({ config: { credentials: [credential(upstream.authority)] } });
    const stream = await tlsTunnel(proxy, upstream.authority);
    const fields = [`Host: ${upstream.authority}`, "Transfer-Encoding: chunked"];
    const body =
      "5\r\nhello\r\n0\r\nAuthorization: Bearer from-trailer\r\nContent-Length: 3\r\nHost: evil.test\r\n\r\n";
    void stream.write(message("POST / HTTP/1.1", fields, body));
    // Dropped from the trailers, or refused whole: both keep it from being taken for the head's.
    expect([200, 400]).toContain((await readResponse(stream)).status);
    expect(upstream.text).not.toContain("Content-Length: 3");
    expect(upstream.text).not.toContain("Host: evil.test");
    expect(upstream.text).not.toContain("from-trailer");
    expect(upstream.text.split(SECRET).length).toBeLessThanOrEqual(2);
    stream.destroy();
  });
});

describe("responses with doubtful framing are 502, and their connection serves nobody else", () => {
  const bad: Readonly<Record<string, string>> = {
    "Content-Length with Transfer-Encoding":
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n",
    "two different Content-Length": "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nbad!",
    "a Content-Length that is no number": "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nbad",
    "a final coding that is not chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nbad",
    "Transfer-Encoding on HTTP/1.0":
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n",
    "obs-fold": "HTTP/1.1 200 OK\r\nX-A: 1\r\n bad\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nbad",
    "a bare CR in a value": "HTTP/1.1 200 OK\r\nX-A: a\rX-B: bad\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a value": "HTTP/1.1 200 OK\r\nX-A: a\x00bad\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0 as a version": "HTTP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nbad",
    "HTTP/0.9": "<html>bad</html>",
    "a status of two digits": "HTTP/1.1 20 OK\r\nContent-Length: 3\r\n\r\nbad",
    "a status of four digits": "HTTP/1.1 2000 OK\r\nContent-Length: 3\r\n\r\nbad",
    "a status below 100": "HTTP/1.1 099 OK\r\nContent-Length: 3\r\n\r\nbad",
    "no answer at all": "",
    "half a head": "HTTP/1.1 200 OK\r\nContent-Le",
  };
  for (const [name, raw] of Object.entries(bad)) {
    test(name, async () => {
      await using upstream = startUpstream();
      await using proxy = await startProxy();
      const stream = await tlsTunnel(proxy, upstream.authority);
      void stream.write(get("/", upstream.authority));
      const server = await upstream.next();
      await readHead(server);
      await server.write(raw);
      server.end();
      const answer = await readResponse(stream);
      expect(answer.status).toBe(502);
      expect(text(answer)).not.toContain("bad");
      await server.whenClosed();
      // The tunnel stays usable, on a new upstream connection.
      void stream.write(get("/again", upstream.authority));
      const fresh = await upstream.next();
      await readHead(fresh);
      await fresh.write(ok("good"));
      expect(text(await readResponse(stream))).toBe("good");
      stream.destroy();
    });
  }

  test("a second response nobody asked for is never given to the next request", async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy();
    const stream = await tlsTunnel(proxy, upstream.authority);
    void stream.write(get("/1", upstream.authority));
    const server = await upstream.next();
    await readHead(server);
    await server.write(ok("one") + ok("poison"));
    expect(text(await readResponse(stream))).toBe("one");
    await server.whenClosed();
    void stream.write(get("/2", upstream.authority));
    const fresh = await upstream.next();
    await readHead(fresh);
    await fresh.write(ok("two"));
    expect(text(await readResponse(stream))).toBe("two");
    expect(stream.text).not.toContain("poison");
    stream.destroy();
  });

  test("bytes on an idle connection close it and are given to nobody", async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy();
    const stream = await tlsTunnel(proxy, upstream.authority);
    void stream.write(get("/1", upstream.authority));
    const server = await upstream.next();
    await readHead(server);
    await server.write(ok("one"));
    expect(text(await readResponse(stream))).toBe("one");
    await server.write(ok("poison"));
    await server.whenClosed();
    expect(stream.text).not.toContain("poison");
    stream.destroy();
  });
});

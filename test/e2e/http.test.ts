// Plain HTTP forwarding (wire.md section 5): absolute-form requests, the port, Host, hop-by-hop fields.
import { describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { connectProxy, get, message, post } from "../support/client.ts";
import { exchange, readHead, readResponse, text, value, values } from "../support/http-message.ts";
import { credential, NO_ERRNO, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { closedPort, ok, startUpstream, type Upstream } from "../support/upstream.ts";

function start(upstream: Upstream): Promise<RunningProxy> {
  return startProxy({ config: { credentials: [credential(upstream.authority)] } });
}

test("absolute-form requests are forwarded in origin-form with the same rules", async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok("plain") });
  await using proxy = await start(upstream);
  const client = await connectProxy(proxy);
  const target = `http://${upstream.authority}/a%2Fb/..;x?q=%41&r`;
  const answer = await exchange(
    client,
    get(target, upstream.authority, [`Authorization: Bearer ${PLACEHOLDER}`]),
  );
  expect(text(answer)).toBe("plain");
  expect(upstream.requests[0]?.startLine).toBe("GET /a%2Fb/..;x?q=%41&r HTTP/1.1");
  expect(values(upstream.requests[0] as never, "authorization")).toEqual([`Bearer ${SECRET}`]);
  expect(upstream.text).not.toContain(PLACEHOLDER);
  client.destroy();
});

const targets = [
  ["no path", "", "/"],
  ["a query without a path", "?q=1", "/?q=1"],
  ["a double slash", "//evil.test/x", "//evil.test/x"],
  ["dots", "/a/../b/./c", "/a/../b/./c"],
] as const;
for (const [name, rest, expected] of targets) {
  test(`the path is passed on as it is: ${name}`, async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    await using proxy = await startProxy();
    const client = await connectProxy(proxy);
    await exchange(client, get(`http://${upstream.authority}${rest}`, upstream.authority));
    expect(upstream.requests[0]?.target).toBe(expected);
    client.destroy();
  });
}

test('"Host is rewritten to the target\'s authority"', async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok() });
  await using proxy = await startProxy();
  const client = await connectProxy(proxy);
  await exchange(client, get(`http://${upstream.authority}/`, "other.test:81"));
  expect(values(upstream.requests[0] as never, "host")).toEqual([upstream.authority]);
  client.destroy();
});

test('"an absolute https:// URL is fetched over TLS", verified, with the credential', async () => {
  await using upstream = startUpstream({ reply: () => ok("over tls") });
  await using proxy = await start(upstream);
  const client = await connectProxy(proxy);
  const answer = await exchange(client, get(`https://${upstream.authority}/s`, upstream.authority));
  expect(text(answer)).toBe("over tls");
  expect(upstream.requests[0]?.startLine).toBe("GET /s HTTP/1.1");
  expect(values(upstream.requests[0] as never, "authorization")).toEqual([`Bearer ${SECRET}`]);
  expect(upstream.serverNames).toEqual(["localhost"]);
  client.destroy();
});

describe("Port for policy: explicit, else 80 (443 for an absolute https:// URL)", () => {
  const cases = [
    ["--allow name:80", "name.test:80", "http://name.test/", false],
    ["--allow name:443", "name.test:443", "http://name.test/", true],
    ["--allow name:443, https", "name.test:443", "https://name.test/", false],
    ["--allow name:80, https", "name.test:80", "https://name.test/", true],
    ["--allow name:8080", "name.test:8080", "http://name.test:8080/", false],
    ["--allow name", "name.test", "http://name.test:8080/", true],
  ] as const;
  for (const [name, pattern, url, denied] of cases) {
    test(`${name}: ${url} is ${denied ? "denied" : "allowed"}`, async () => {
      await using proxy = await startProxy({ args: ["--policy", "strict", "--allow", pattern] });
      const client = await connectProxy(proxy);
      const answer = await exchange(client, get(url, "name.test"));
      // An allowed name gets as far as its resolution, which fails.
      expect(answer.status).toBe(denied ? 407 : 502);
      client.destroy();
    });
  }
});

describe("hop-by-hop fields are not forwarded to the upstream", () => {
  const fields = [
    "Connection: keep-alive, X-Private, x-other",
    "X-Private: 1",
    "X-Other: 2",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: Bearer whatever",
    "Proxy-Authenticate: Basic",
    "Proxy-Foo: bar",
    "TE: gzip, trailers;q=0.5, deflate",
    "Trailer: X-Sum",
    "Upgrade: h2c",
    "X-Kept: yes",
  ];
  test("in a request", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    await using proxy = await startProxy();
    const client = await connectProxy(proxy);
    await exchange(client, get(`http://${upstream.authority}/`, upstream.authority, fields));
    const [request] = upstream.requests;
    const names = request?.fields.map(([name]) => name.toLowerCase()).sort();
    const expected = ["host", "x-kept", "x-request-id"];
    expect(names?.filter((name) => name !== "te" && name !== "connection")).toEqual(expected);
    // "TE except trailers": what is left of it says nothing but trailers, and Connection then names it alone.
    expect(values(request as never, "te").join()).toMatch(/^(trailers)?$/);
    expect(
      values(request as never, "connection")
        .join()
        .toLowerCase(),
    ).toMatch(/^(te|keep-alive|)$/);
    client.destroy();
  });

  test("in a response", async () => {
    await using upstream = startUpstream({
      tls: false,
      reply: () =>
        ok("body", [
          "Connection: keep-alive, X-Private",
          "X-Private: 1",
          "Keep-Alive: timeout=50",
          'Proxy-Authenticate: Basic realm="upstream"',
          "Proxy-Connection: keep-alive",
          "Upgrade: h2c",
          "X-Kept: yes",
        ]),
    });
    await using proxy = await startProxy();
    const client = await connectProxy(proxy);
    const answer = await exchange(client, get(`http://${upstream.authority}/`, upstream.authority));
    const names = answer.fields.map(([name]) => name.toLowerCase()).filter((name) => name !== "connection");
    expect(names).toEqual(["x-kept", "content-length"]);
    client.destroy();
  });

  test('"Trailer unless the body goes on chunked": it stays then', async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    await using proxy = await startProxy();
    const client = await connectProxy(proxy);
    const chunked = [`Host: ${upstream.authority}`, "Trailer: X-Sum", "Transfer-Encoding: chunked"];
    const target = `http://${upstream.authority}/`;
    await exchange(client, message(`POST ${target} HTTP/1.1`, chunked, "0\r\nX-Sum: 1\r\n\r\n"));
    await exchange(client, post(target, upstream.authority, "x", ["Trailer: X-Sum"]));
    expect(upstream.requests.map((request) => value(request, "trailer"))).toEqual(["X-Sum", undefined]);
    expect(upstream.requests.map((request) => value(request, "transfer-encoding"))).toEqual([
      "chunked",
      undefined,
    ]);
    client.destroy();
  });
});

for (const named of ["Host", "Content-Length", "Transfer-Encoding", "close, hOsT"]) {
  test(`"Connection naming Host, Content-Length or Transfer-Encoding is 400": ${named}`, async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    await using proxy = await startProxy();
    const client = await connectProxy(proxy);
    const raw = get(`http://${upstream.authority}/`, upstream.authority, [`Connection: ${named}`]);
    expect((await exchange(client, raw)).status).toBe(400);
    expect(upstream.connections).toHaveLength(0);
    client.destroy();
  });
}

test('Decision: "Nothing is added but X-Request-Id: no X-Forwarded-*, no User-Agent; no Via"', async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok() });
  await using proxy = await startProxy();
  const client = await connectProxy(proxy);
  const answer = await exchange(client, get(`http://${upstream.authority}/x`, upstream.authority));
  const sent = upstream.requests[0]?.rawHead.replace(/X-Request-Id: req_[0-9A-Z]{26}\r\n/i, "");
  expect(sent).toBe(get("/x", upstream.authority));
  expect(answer.rawHead).toBe("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
  client.destroy();
});

test("fields that a client sends under these names pass as they are", async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok() });
  await using proxy = await startProxy();
  const client = await connectProxy(proxy);
  const own = ["Via: 1.0 mine", "X-Forwarded-For: 10.0.0.1", "User-Agent: me/1"];
  await exchange(client, get(`http://${upstream.authority}/`, upstream.authority, own));
  for (const line of own) expect(upstream.requests[0]?.rawHead).toContain(`\r\n${line}\r\n`);
  client.destroy();
});

test("a dial failure is 502 and the body never shows an errno or address", async () => {
  await using proxy = await startProxy();
  const client = await connectProxy(proxy);
  const authority = `localhost:${closedPort()}`;
  const answer = await exchange(client, get(`http://${authority}/`, authority));
  expect(answer.status).toBe(502);
  expect(text(answer)).not.toMatch(NO_ERRNO);
  client.destroy();
});

test("requests to several hosts share one client connection, each with its own credential only", async () => {
  await using first = startUpstream({ tls: false, reply: () => ok("first") });
  await using second = startUpstream({ tls: false, reply: () => ok("second") });
  await using proxy = await start(first);
  const client = await connectProxy(proxy);
  expect(text(await exchange(client, get(`http://${first.authority}/`, first.authority)))).toBe("first");
  expect(text(await exchange(client, get(`http://${second.authority}/`, second.authority)))).toBe("second");
  expect(text(await exchange(client, get(`http://${first.authority}/`, first.authority)))).toBe("first");
  expect(first.text).toContain(SECRET);
  expect(second.text).not.toContain(SECRET);
  client.destroy();
});

test("OPTIONS with an absolute-form target without a path becomes OPTIONS *", async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok() });
  await using proxy = await startProxy();
  const client = await connectProxy(proxy);
  await exchange(
    client,
    message(`OPTIONS http://${upstream.authority} HTTP/1.1`, [`Host: ${upstream.authority}`]),
  );
  // RFC 9112 section 3.2.4
  expect(upstream.requests[0]?.startLine).toBe("OPTIONS * HTTP/1.1");
  client.destroy();
});

test("the upstream connection ends with the client when the client goes away in the middle", async () => {
  await using upstream = startUpstream({ tls: false });
  await using proxy = await startProxy();
  const client = await connectProxy(proxy);
  void client.write(get(`http://${upstream.authority}/`, upstream.authority));
  const server = await upstream.next();
  await readHead(server);
  await server.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  await client.readUntil("half");
  client.destroy();
  await server.whenClosed();
  const again = await connectProxy(proxy);
  void again.write(get(`http://${upstream.authority}/2`, upstream.authority));
  const fresh = await upstream.next();
  await readHead(fresh);
  await fresh.write(ok("fresh"));
  expect(text(await readResponse(again))).toBe("fresh");
  again.destroy();
});

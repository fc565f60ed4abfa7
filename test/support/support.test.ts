// The support pieces themselves, against plain servers: a test suite that trusts its own tools must show
// that they see what is there. Above all that the client refuses bad certificates.
import { describe, expect, test } from "bun:test";
import { connect, get, startTls } from "./client.ts";
import { exchange, readRequest, readResponse, text, value, values } from "./http-message.ts";
import { pki } from "./pki.ts";
import { closedPort, ok, startUpstream } from "./upstream.ts";

describe("the scripted upstream and the raw client", () => {
  test("carry a plain request and its answer", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok("hello") });
    const client = await connect("127.0.0.1", upstream.port);
    const answer = await exchange(client, get("/a", upstream.authority));
    expect(text(answer)).toBe("hello");
    expect(upstream.text).toBe(get("/a", upstream.authority));
    client.destroy();
  });

  test("carry a TLS request, by name and by address", async () => {
    await using upstream = startUpstream({ reply: () => ok("secure") });
    for (const host of ["localhost", "127.0.0.1"]) {
      const client = await startTls(await connect("127.0.0.1", upstream.port), `${host}:443`, pki().ca);
      expect(text(await exchange(client, get("/", "x")))).toBe("secure");
      client.destroy();
    }
    expect(upstream.serverNames[0]).toBe("localhost");
  });

  test("see half-close in both directions", async () => {
    await using upstream = startUpstream({ tls: false, halfOpen: true });
    const client = await connect("127.0.0.1", upstream.port, true);
    const server = await upstream.next();
    await client.write("up");
    client.end();
    expect((await server.readToEnd()).toString()).toBe("up");
    await server.write("down");
    server.end();
    expect((await client.readToEnd()).toString()).toBe("down");
    await client.whenClosed();
  });

  test("see half-close over TLS", async () => {
    await using upstream = startUpstream();
    const client = await startTls(await connect("127.0.0.1", upstream.port), "localhost:1", pki().ca);
    const server = await upstream.next();
    await server.write("down");
    server.end();
    expect((await client.readToEnd()).toString()).toBe("down");
  });

  test("carry megabytes intact", async () => {
    await using upstream = startUpstream();
    const client = await startTls(await connect("127.0.0.1", upstream.port), "localhost:1", pki().ca);
    const server = await upstream.next();
    const bulk = Buffer.alloc(8 << 20, "0123456789abcdef-");
    const sent = client.write(bulk);
    expect(Bun.hash(await server.readBytes(bulk.length))).toBe(Bun.hash(bulk));
    await sent;
    client.destroy();
  });

  test("a port that was closed refuses", async () => {
    await expect(connect("127.0.0.1", closedPort())).rejects.toThrow();
  });
});

describe("the test certificates", () => {
  for (const kind of ["expired", "notYetValid", "selfSigned", "wrongName", "otherCa"] as const) {
    test(`${kind} is refused by the raw client`, async () => {
      await using upstream = startUpstream({ tls: pki()[kind] });
      const raw = await connect("127.0.0.1", upstream.port);
      await expect(startTls(raw, "localhost:443", pki().ca)).rejects.toThrow();
      await raw.whenClosed();
      expect(upstream.text).toBe("");
    });
  }
  test("a wrong address is refused by the raw client", async () => {
    await using upstream = startUpstream();
    const raw = await connect("127.0.0.1", upstream.port);
    await expect(startTls(raw, "127.0.0.99:443", pki().ca)).rejects.toThrow();
  });
});

describe("the message reader", () => {
  test("reads chunked bodies with trailers, and tells a cut one", async () => {
    await using upstream = startUpstream({ tls: false });
    const client = await connect("127.0.0.1", upstream.port);
    const server = await upstream.next();
    const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    await server.write(`${head}3\r\nabc\r\n0\r\nX-End: yes\r\n\r\n${head}5\r\nab`);
    server.end();
    const first = await readResponse(client);
    expect(text(first)).toBe("abc");
    expect(first.trailers).toEqual([["X-End", "yes"]]);
    expect(first.complete).toBe(true);
    expect((await readResponse(client)).complete).toBe(false);
    client.destroy();
  });

  test("keeps field order, case and duplicates", async () => {
    await using upstream = startUpstream({ tls: false });
    const client = await connect("127.0.0.1", upstream.port);
    const server = await upstream.next();
    await client.write("POST /x HTTP/1.1\r\nhOsT: a\r\nSet-X: 1\r\nset-x: 2\r\nContent-Length: 2\r\n\r\nhi");
    const request = await readRequest(server);
    expect(request.fields.map(([name]) => name)).toEqual(["hOsT", "Set-X", "set-x", "Content-Length"]);
    expect(values(request, "SET-X")).toEqual(["1", "2"]);
    expect(value(request, "host")).toBe("a");
    expect(() => value(request, "set-x")).toThrow();
    client.destroy();
  });
});

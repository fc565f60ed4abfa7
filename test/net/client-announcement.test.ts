// The listener behind a balancer: the announced address is the client's, for the record and for its allowance; who does
// not announce a client gets no answer. Parsing is in proxy-protocol.test.ts.
import { describe, expect, test } from "bun:test";
import type { ByteStream } from "../support/byte-stream.ts";
import { connect, get } from "../support/client.ts";
import { exchange, readResponse, text } from "../support/http-message.ts";
import { type SmallProxy, startSmallProxy } from "../support/net-proxy.ts";
import { ipv4Addresses, v2 } from "../support/net-proxy-headers.ts";
import { settle } from "../support/net-witness.ts";

const HEALTH = get("/healthz", "localhost");
const V1 = Buffer.from("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "latin1");

function behindBalancer(more: Parameters<typeof startSmallProxy>[0] = {}): SmallProxy {
  return startSmallProxy({ proxyProtocol: true, ...more });
}

function announce(clientIp: string): Buffer {
  return v2(0x21, 0x11, ipv4Addresses(clientIp));
}

async function connectAs(proxy: SmallProxy, header: Uint8Array, then = ""): Promise<ByteStream> {
  const stream = await connect("127.0.0.1", proxy.listener.port);
  await stream.write(Buffer.concat([header, Buffer.from(then, "latin1")]));
  return stream;
}

describe("an announced client", () => {
  test.each([
    ["v1", V1, "192.0.2.7"],
    ["v1 TCP6", Buffer.from("PROXY TCP6 2001:DB8::7 ::1 1 2\r\n"), "2001:db8::7"],
    ["v1 UNKNOWN: the balancer", Buffer.from("PROXY UNKNOWN\r\n"), "127.0.0.1"],
    ["v2", announce("203.0.113.9"), "203.0.113.9"],
    ["v2 LOCAL: the balancer", v2(0x20, 0), "127.0.0.1"],
  ])("is the record's: %s", async (_, header, clientIp) => {
    using proxy = behindBalancer();
    const together = await connectAs(proxy, header, HEALTH);
    expect(text(await readResponse(together, "GET"))).toBe('{"status":"ok"}');
    const apart = await connectAs(proxy, header);
    expect((await exchange(apart, HEALTH)).status).toBe(200);
    const bytewise = await connect("127.0.0.1", proxy.listener.port);
    for (const byte of header) await bytewise.write(Buffer.of(byte));
    expect((await exchange(bytewise, HEALTH)).status).toBe(200);
    await proxy.untilRecords(3);
    expect(proxy.records.map((record) => record.clientIp)).toEqual([clientIp, clientIp, clientIp]);
    for (const stream of [together, apart, bytewise]) stream.destroy();
    await proxy.untilConnections(0);
    expect(proxy.live.size).toBe(0);
  });

  test("has an allowance of its own, whatever connections its balancer has", async () => {
    using proxy = behindBalancer({ maxConnectionsPerClient: 1 });
    const one = await connectAs(proxy, announce("192.0.2.1"));
    const other = await connectAs(proxy, announce("192.0.2.2"));
    for (const stream of [one, other]) expect((await exchange(stream, HEALTH)).status).toBe(200);
    const again = await connectAs(proxy, announce("192.0.2.1"), HEALTH);
    expect((await again.readToEnd()).toString("latin1")).toStartWith("HTTP/1.1 503 ");
    again.destroy();
    one.destroy();
    await proxy.untilConnections(1);
    const next = await connectAs(proxy, announce("192.0.2.1"));
    expect((await exchange(next, HEALTH)).status).toBe(200);
    for (const stream of [other, next]) stream.destroy();
  });

  test("cannot announce itself twice: the second header is a malformed request", async () => {
    using proxy = behindBalancer();
    const stream = await connectAs(proxy, announce("192.0.2.1"), V1.toString("latin1"));
    expect((await readResponse(stream, "GET")).status).toBe(400);
    stream.destroy();
  });
});

describe("who announces no client", () => {
  test.each([
    ["a request", Buffer.from(HEALTH)],
    ["a CONNECT", Buffer.from("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n")],
    ["a bad v1 header", Buffer.from("PROXY TCP4 1.2.3 198.51.100.1 1 2\r\n")],
    ["a bad v2 header", v2(0x31, 0x11, ipv4Addresses("192.0.2.7"))],
    ["garbage", Buffer.from("\0\xff\xfe")],
  ])("is closed without a word: %s", async (_, bytes) => {
    using proxy = behindBalancer();
    const stream = await connectAs(proxy, bytes);
    await stream.whenClosed();
    expect(stream.bytesIn).toBe(0);
    await proxy.untilConnections(0);
    expect(proxy.live.size).toBe(0);
    expect(proxy.records).toHaveLength(0);
  });

  test("in time is closed without a word, and not before", async () => {
    using proxy = behindBalancer();
    const stream = await connectAs(proxy, V1.subarray(0, 20));
    await proxy.untilConnections(1);
    proxy.sweep(59_000);
    await settle();
    expect(stream.closed).toBe(false);
    proxy.sweep(60_000);
    await stream.whenClosed();
    expect(stream.bytesIn).toBe(0);
    await proxy.untilConnections(0);
    expect(proxy.live.size).toBe(0);
  });

  test.each(["end", "destroy"] as const)("and goes away, by %s: nothing is left", async (how) => {
    using proxy = behindBalancer();
    const stream = await connectAs(proxy, V1.subarray(0, 20));
    await proxy.untilConnections(1);
    stream[how]();
    await proxy.untilConnections(0);
    expect(proxy.live.size).toBe(0);
  });

  test("does not keep the proxy from stopping", async () => {
    using proxy = behindBalancer();
    const stream = await connectAs(proxy, V1.subarray(0, 20));
    await proxy.untilConnections(1);
    for (const session of [...proxy.live]) session.drain();
    expect(proxy.live.size).toBe(0);
    await stream.whenClosed();
  });

  test("counts in total, and hears why it is one too many", async () => {
    using proxy = behindBalancer({ maxConnections: 1 });
    const first = await connect("127.0.0.1", proxy.listener.port);
    await proxy.untilConnections(1);
    const extra = await connectAs(proxy, V1, HEALTH);
    expect((await extra.readToEnd()).toString("latin1")).toStartWith("HTTP/1.1 503 ");
    for (const stream of [first, extra]) stream.destroy();
    await proxy.untilConnections(0);
  });
});

test.each([
  ["v1", V1],
  ["v2", announce("192.0.2.7")],
])("without the option a header is a malformed request: %s", async (_, header) => {
  using proxy = startSmallProxy();
  const stream = await connectAs(proxy, header, HEALTH);
  expect((await readResponse(stream, "GET")).status).toBe(400);
  stream.destroy();
});

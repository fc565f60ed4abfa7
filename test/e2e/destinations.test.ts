// Decision (wire.md section 8): "after resolving, the address is checked and that very address is dialled." A sandbox
// must not reach the host's own services or a cloud's metadata through the proxy.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { connectProxy, get, openTunnel, tlsTunnel } from "../support/client.ts";
import { exchange, text, value } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { works } from "../support/programs.ts";
import { ok, startUpstream } from "../support/upstream.ts";

const DENIED: readonly (readonly [what: string, host: string])[] = [
  ["loopback", "127.0.0.1"],
  ["loopback, all of 127/8", "127.255.1.2"],
  ["unspecified", "0.0.0.0"],
  ["0.0.0.0/8", "0.1.2.3"],
  ["link-local", "169.254.1.1"],
  ["metadata of AWS, GCP, Azure", "169.254.169.254"],
  ["metadata of ECS", "169.254.170.2"],
  ["metadata of Alibaba", "100.100.100.200"],
  ["metadata of Oracle", "192.0.0.192"],
  ["metadata of Azure's fabric", "168.63.129.16"],
  ["multicast", "224.0.0.1"],
  ["multicast, the end", "239.255.255.250"],
  ["broadcast", "255.255.255.255"],
  ["IPv6 loopback", "[::1]"],
  ["IPv6 unspecified", "[::]"],
  ["IPv6 link-local", "[fe80::1]"],
  ["IPv6 multicast", "[ff02::1]"],
  ["metadata of AWS over IPv6", "[fd00:ec2::254]"],
  ["metadata of GCP over IPv6", "[fd20:ce::254]"],
  ["mapped loopback", "[::ffff:127.0.0.1]"],
  ["mapped loopback in hexadecimal", "[::ffff:7f00:1]"],
  ["mapped metadata", "[::ffff:169.254.169.254]"],
  ["NAT64 loopback", "[64:ff9b::7f00:1]"],
  ["NAT64 metadata", "[64:ff9b::169.254.169.254]"],
  ["6to4 loopback", "[2002:7f00:1::1]"],
  ["6to4 metadata", "[2002:a9fe:a9fe::1]"],
  ["Teredo loopback", "[2001:0:4136:e378:8000:63bf:80ff:fffe]"],
  ["Teredo metadata", "[2001:0:4136:e378:8000:63bf:5601:5601]"],
];

const OWN: readonly (readonly [string, string])[] = Object.entries(networkInterfaces()).flatMap(
  ([name, addresses]) =>
    (addresses ?? [])
      .filter((address) => !address.internal && !address.address.includes("%"))
      .map(
        (address) =>
          [
            `the host's own ${name}`,
            address.family === "IPv6" ? `[${address.address}]` : address.address,
          ] as const,
      ),
);

describe("Refused: loopback, unspecified, link-local, metadata, multicast, broadcast, the host's own, embedded in IPv6", () => {
  let proxy: RunningProxy;
  beforeAll(async () => {
    proxy = await startProxy({ loopback: false });
  });
  afterAll(() => proxy[Symbol.asyncDispose]());

  for (const [what, host] of [...DENIED, ...OWN]) {
    test(`"A denied literal is refused before the 200": ${what}, ${host}`, async () => {
      const { stream, reply } = await openTunnel(proxy, `${host}:443`);
      expect([reply.status, value(reply, "x-moat-blocked")]).toEqual([403, "destination"]);
      stream.destroy();
    });

    test(`"Cleartext to loopback needs the same exemption": http, ${what}, ${host}`, async () => {
      const client = await connectProxy(proxy);
      const answer = await exchange(client, get(`http://${host}/`, host));
      expect([answer.status, value(answer, "x-moat-blocked")]).toEqual([403, "destination"]);
      client.destroy();
    });
  }

  test("the proxy itself: loops are refused", async () => {
    const client = await connectProxy(proxy);
    const own = `127.0.0.1:${proxy.port}`;
    expect((await exchange(client, get(`http://${own}/healthz`, own))).status).toBe(403);
    const { stream, reply } = await openTunnel(proxy, `localhost:${proxy.port}`);
    expect(reply.status).toBe(200);
    stream.destroy();
    client.destroy();
  });
});

describe("a denied name is refused inside the tunnel", () => {
  test("403, X-Moat-Blocked: destination, and the upstream sees no connection", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy({ loopback: false, args: ["--upstream-ca", pki().caPath] });
    const tls = await tlsTunnel(proxy, upstream.authority);
    for (const path of ["/1", "/2"]) {
      const answer = await exchange(tls, get(path, upstream.authority));
      expect([answer.status, value(answer, "x-moat-blocked")]).toEqual([403, "destination"]);
      expect(text(answer)).not.toContain("127.0.0.1");
    }
    expect(upstream.connections).toHaveLength(0);
    const records = await proxy.untilRecords(2, (record) => record.http_method === "GET");
    expect(records).toMatchObject([
      { http_status: 403, denied: true, deny_reason: "destination" },
      { http_status: 403, denied: true, deny_reason: "destination" },
    ]);
    tls.destroy();
  });

  test("over plain http", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    await using proxy = await startProxy({ loopback: false });
    const client = await connectProxy(proxy);
    const answer = await exchange(client, get(`http://${upstream.authority}/`, upstream.authority));
    expect([answer.status, value(answer, "x-moat-blocked")]).toEqual([403, "destination"]);
    expect(upstream.connections).toHaveLength(0);
    client.destroy();
  });

  test("before the 200 of an opaque tunnel", async () => {
    await using upstream = startUpstream({ tls: false });
    await using proxy = await startProxy({ loopback: false, args: ["--no-intercept"] });
    const { stream, reply } = await openTunnel(proxy, upstream.authority);
    expect([reply.status, value(reply, "x-moat-blocked")]).toEqual([403, "destination"]);
    expect(upstream.connections).toHaveLength(0);
    stream.destroy();
  });

  for (const spelling of [
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.1",
    "0x7f.1",
    "0",
    "127.0.0.1.",
  ]) {
    test(`another spelling of loopback reaches nothing: ${spelling}`, async () => {
      await using upstream = startUpstream({ tls: false, reply: () => ok("reached") });
      await using proxy = await startProxy({ loopback: false, args: ["--upstream-ca", pki().caPath] });
      const client = await connectProxy(proxy);
      const host = `${spelling}:${upstream.port}`;
      const answer = await exchange(client, get(`http://${host}/`, host));
      expect([400, 403, 502]).toContain(answer.status);
      const { stream, reply } = await openTunnel(proxy, host);
      expect([200, 400, 403]).toContain(reply.status);
      stream.destroy();
      expect(upstream.connections).toHaveLength(0);
      client.destroy();
    });
  }
});

describe("allow_ips", () => {
  test("exempts exactly its addresses", async () => {
    await using allowed = startUpstream({ tls: false, host: "127.0.0.2", reply: () => ok("two") });
    await using other = startUpstream({ tls: false, host: "127.0.0.3", reply: () => ok("three") });
    await using proxy = await startProxy({ loopback: false, args: ["--allow-ip", "127.0.0.2/32"] });
    const client = await connectProxy(proxy);
    expect(text(await exchange(client, get(`http://${allowed.authority}/`, allowed.authority)))).toBe("two");
    expect((await exchange(client, get(`http://${other.authority}/`, other.authority))).status).toBe(403);
    expect(other.connections).toHaveLength(0);
    client.destroy();
  });

  test("from the config file", async () => {
    await using upstream = startUpstream({ tls: false, host: "127.0.0.2", reply: () => ok("two") });
    await using proxy = await startProxy({
      loopback: false,
      config: { network: { allow_ips: ["127.0.0.0/30"] } },
    });
    const client = await connectProxy(proxy);
    expect(text(await exchange(client, get(`http://${upstream.authority}/`, upstream.authority)))).toBe(
      "two",
    );
    expect((await exchange(client, get("http://127.0.0.4/", "127.0.0.4"))).status).toBe(403);
    client.destroy();
  });

  const ipv6 = works(["python3", "-c", "import socket; socket.socket(socket.AF_INET6).bind(('::1', 0))"]);
  test.skipIf(!ipv6)("IPv6, and the upstream is reached by its literal", async () => {
    await using upstream = startUpstream({ host: "::1", reply: () => ok("six") });
    await using proxy = await startProxy({
      loopback: false,
      args: ["--allow-ip", "::1/128", "--upstream-ca", pki().caPath],
    });
    const tls = await tlsTunnel(proxy, upstream.authority);
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("six");
    tls.destroy();
  });

  test('"Denied addresses are skipped": a name whose IPv6 loopback is denied is reached over IPv4', async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok("four") });
    await using proxy = await startProxy({ loopback: false, args: ["--allow-ip", "127.0.0.1/32"] });
    const client = await connectProxy(proxy);
    expect(text(await exchange(client, get(`http://${upstream.authority}/`, upstream.authority)))).toBe(
      "four",
    );
    client.destroy();
  });
});

// tls.passthrough: a CONNECT to a listed host is an opaque tunnel, in a proxy that intercepts all others. The client
// sees the upstream's own certificate; policy and destination rules apply; no credential is ever injected.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { connectProxy, get, openTunnel, startTls, tlsTunnel } from "../support/client.ts";
import { exchange, text, value } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { reload } from "../support/reload.ts";
import { credential, expectNotPrinted, NO_ERRNO, SECRET } from "../support/secrets.ts";
import { closedPort, ok, startUpstream, type Upstream } from "../support/upstream.ts";

const ESTABLISHED = "HTTP/1.1 200 Connection Established\r\n\r\n";

/** The answer to a GET on a tunnel whose certificate is verified against `ca`. */
async function through(proxy: RunningProxy, upstream: Upstream, ca: string): Promise<string> {
  const { stream, reply } = await openTunnel(proxy, upstream.authority);
  expect(reply.rawHead).toBe(ESTABLISHED);
  const tls = await startTls(stream, upstream.authority, ca);
  const answer = text(await exchange(tls, get("/x", upstream.authority)));
  tls.destroy();
  return answer;
}

const echo = (request: Parameters<typeof value>[0]): string => ok(value(request, "authorization") ?? "none");

describe("a listed host", () => {
  test("is opaque: the upstream's own certificate, every byte as sent, no credential; others are intercepted", async () => {
    await using listed = startUpstream({ reply: echo });
    await using other = startUpstream({ reply: echo });
    await using proxy = await startProxy({
      config: {
        tls: { passthrough: [listed.authority] },
        credentials: [credential(listed.authority), credential(other.authority)],
      },
    });
    const { stream } = await openTunnel(proxy, listed.authority);
    const tls = await startTls(stream, listed.authority, pki().ca);
    const request = get("/x", listed.authority, ["X-Case: Kept", "Proxy-Custom: kept too"]);
    expect(text(await exchange(tls, request))).toBe("none");
    expect(listed.text).toBe(request);
    tls.destroy();
    const ours = readFileSync(proxy.caPath, "utf8");
    expect(await through(proxy, other, ours)).toBe(`Bearer ${SECRET}`);
    await expect(through(proxy, listed, ours)).rejects.toThrow();
    expectNotPrinted(proxy, [SECRET]);
  });

  test("by a wildcard: what lies below it, at any depth, and no more", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using proxy = await startProxy({
      config: {
        tls: { passthrough: [`*.localhost:${upstream.port}`] },
        credentials: [credential(upstream.authority)],
      },
    });
    expect(await through(proxy, upstream, readFileSync(proxy.caPath, "utf8"))).toBe(`Bearer ${SECRET}`);
  });

  test("an upstream with a certificate that we would not trust is the client's own matter", async () => {
    await using upstream = startUpstream({ tls: pki().selfSigned, reply: echo });
    await using proxy = await startProxy({ config: { tls: { passthrough: [upstream.authority] } } });
    expect(await through(proxy, upstream, pki().selfSigned.cert)).toBe("none");
  });

  test("bytes that are no TLS pass as well, and half-close travels through", async () => {
    await using upstream = startUpstream({ tls: false, halfOpen: true });
    await using proxy = await startProxy({ config: { tls: { passthrough: [upstream.authority] } } });
    const { stream, reply } = await openTunnel(proxy, upstream.authority, { halfOpen: true });
    expect(reply.rawHead).toBe(ESTABLISHED);
    const server = await upstream.next();
    await stream.write("SSH-2.0-question\r\n");
    stream.end();
    expect((await server.readToEnd()).toString()).toBe("SSH-2.0-question\r\n");
    await server.write("SSH-2.0-answer\r\n");
    server.end();
    expect((await stream.readToEnd()).toString()).toBe("SSH-2.0-answer\r\n");
  });

  test("leaves one record", async () => {
    await using upstream = startUpstream({ reply: () => ok("twelve bytes") });
    await using proxy = await startProxy({
      config: { tls: { passthrough: [upstream.authority] }, credentials: [credential(upstream.authority)] },
    });
    await through(proxy, upstream, pki().ca);
    const [record] = await proxy.untilRecords(1);
    expect(record).toMatchObject({
      level: "info",
      http_method: "CONNECT",
      http_status: 200,
      proxy_type: "connect",
      http_host: expect.stringContaining("localhost"),
    });
    expect(record?.credential_injected).not.toBe(true);
    expect(record?.denied).not.toBe(true);
    expect(Number(record?.response_size)).toBeGreaterThan(12);
    expect(await proxy.stop()).toBe(0);
    expect(proxy.records()).toHaveLength(1);
  });
});

describe("no credential, whatever the way", () => {
  test("an absolute https:// URL to a listed host", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using proxy = await startProxy({
      config: { tls: { passthrough: [upstream.authority] }, credentials: [credential(upstream.authority)] },
    });
    const client = await connectProxy(proxy);
    const url = `https://${upstream.authority}/`;
    const answer = await exchange(client, get(url, upstream.authority));
    expect(text(answer)).not.toContain(SECRET);
    expect(upstream.text).not.toContain(SECRET);
    client.destroy();
  });

  test("a listed port of cleartext: CONNECT to it is opaque", async () => {
    await using upstream = startUpstream({ tls: false, reply: echo });
    await using proxy = await startProxy({
      config: {
        tls: { passthrough: [upstream.authority], plain_ports: [80, upstream.port] },
        credentials: [credential(upstream.authority)],
      },
    });
    const { stream } = await openTunnel(proxy, upstream.authority);
    expect(text(await exchange(stream, get("/", upstream.authority)))).toBe("none");
    stream.destroy();
  });
});

describe("what still applies", () => {
  test("the policy: 407 for a listed host that is not allowed, and nothing is dialled", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using proxy = await startProxy({
      config: { tls: { passthrough: [upstream.authority] }, network: { policy: "strict" } },
    });
    const { stream, reply } = await openTunnel(proxy, upstream.authority);
    expect(reply.status).toBe(407);
    expect(value(reply, "x-moat-blocked")).toBe("network-policy");
    expect(upstream.connections).toHaveLength(0);
    stream.destroy();
  });

  for (const host of ["127.0.0.1", "localhost"]) {
    test(`the destination rules: ${host}`, async () => {
      await using upstream = startUpstream({ reply: echo });
      const authority = `${host}:${upstream.port}`;
      await using proxy = await startProxy({
        loopback: false,
        config: { tls: { passthrough: [authority] } },
      });
      const { stream, reply } = await openTunnel(proxy, authority);
      expect(reply.status).toBe(403);
      expect(value(reply, "x-moat-blocked")).toBe("destination");
      expect(upstream.connections).toHaveLength(0);
      stream.destroy();
    });
  }

  test("authentication", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using proxy = await startProxy({
      args: ["--auth-token", "a-token-of-length-20"],
      config: { tls: { passthrough: [upstream.authority] } },
    });
    const { stream, reply } = await openTunnel(proxy, upstream.authority);
    expect(reply.status).toBe(407);
    expect(upstream.connections).toHaveLength(0);
    stream.destroy();
  });

  test("dial first, then 200: a dial failure is 502 without an errno", async () => {
    const authority = `localhost:${closedPort()}`;
    await using proxy = await startProxy({ config: { tls: { passthrough: [authority] } } });
    const { stream, reply } = await openTunnel(proxy, authority);
    expect(reply.status).toBe(502);
    expect(text(reply)).not.toMatch(NO_ERRNO);
    stream.destroy();
  });

  test("a host with request rules cannot be opaque: its CONNECT is refused", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using proxy = await startProxy({
      config: {
        tls: { passthrough: [upstream.authority] },
        network: { rules: [{ [upstream.authority]: ["deny DELETE /**"] }] },
      },
    });
    const { stream, reply } = await openTunnel(proxy, upstream.authority);
    expect(reply.status).toBe(403);
    expect(value(reply, "x-moat-blocked")).toBe("request-rule");
    expect(upstream.connections).toHaveLength(0);
    stream.destroy();
  });

  test("the next tunnel after the host left the list is intercepted", async () => {
    await using upstream = startUpstream({ reply: echo });
    const credentials = [credential(upstream.authority)];
    await using proxy = await startProxy({
      config: { tls: { passthrough: [upstream.authority] }, credentials },
    });
    expect(await through(proxy, upstream, pki().ca)).toBe("none");
    await reload(proxy, { credentials });
    const tls = await tlsTunnel(proxy, upstream.authority);
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe(`Bearer ${SECRET}`);
    tls.destroy();
  });
});

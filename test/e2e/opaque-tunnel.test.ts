// --no-intercept (wire.md section 4): "without one it is an opaque tunnel: dial first, then 200, and half-close
// travels through in both directions. Dial failure: 502, and the body never shows an errno or address."
import { describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import type { ByteStream } from "../support/byte-stream.ts";
import { get, openTunnel, startTls } from "../support/client.ts";
import { exchange, text } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { credential, NO_ERRNO, PLACEHOLDER } from "../support/secrets.ts";
import { closedPort, ok, startUpstream } from "../support/upstream.ts";

const ESTABLISHED = "HTTP/1.1 200 Connection Established\r\n\r\n";

describe("without a CA a CONNECT is an opaque tunnel", () => {
  async function open(proxy: RunningProxy, authority: string): Promise<ByteStream> {
    const { stream, reply } = await openTunnel(proxy, authority, { halfOpen: true });
    expect(reply.rawHead).toBe(ESTABLISHED);
    return stream;
  }

  test("bytes pass untouched, no credential is ever added, and the client verifies the upstream itself", async () => {
    await using upstream = startUpstream({ reply: () => ok("opaque") });
    await using proxy = await startProxy({
      args: ["--no-intercept"],
      config: { credentials: [credential(upstream.authority)] },
    });
    const tls = await startTls(await open(proxy, upstream.authority), upstream.authority, pki().ca);
    const request = get("/x", upstream.authority, [`Authorization: Bearer ${PLACEHOLDER}`]);
    expect(text(await exchange(tls, request))).toBe("opaque");
    expect(upstream.text).toBe(request);
    tls.destroy();
    const records = await proxy.untilRecords(1);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ http_method: "CONNECT", http_status: 200, proxy_type: "connect" });
  });

  test('"half-close travels through in both directions": the client ends first', async () => {
    await using upstream = startUpstream({ tls: false, halfOpen: true });
    await using proxy = await startProxy({ args: ["--no-intercept"] });
    const client = await open(proxy, upstream.authority);
    const server = await upstream.next();
    await client.write("question");
    client.end();
    expect((await server.readToEnd()).toString()).toBe("question");
    await server.write("answer after the client's end");
    server.end();
    expect((await client.readToEnd()).toString()).toBe("answer after the client's end");
    await client.whenClosed();
  });

  test('"half-close travels through in both directions": the upstream ends first', async () => {
    await using upstream = startUpstream({ tls: false, halfOpen: true });
    await using proxy = await startProxy({ args: ["--no-intercept"] });
    const client = await open(proxy, upstream.authority);
    const server = await upstream.next();
    await server.write("greeting");
    server.end();
    expect((await client.readToEnd()).toString()).toBe("greeting");
    await client.write("reply after the upstream's end");
    client.end();
    expect((await server.readToEnd()).toString()).toBe("reply after the upstream's end");
    await server.whenClosed();
  });

  test('"dial first, then 200": a dial failure is 502, "and the body never shows an errno or address"', async () => {
    await using proxy = await startProxy({ args: ["--no-intercept"] });
    const { stream, reply } = await openTunnel(proxy, `localhost:${closedPort()}`);
    expect(reply.status).toBe(502);
    expect(text(reply)).not.toMatch(NO_ERRNO);
    stream.destroy();
    expect(await proxy.untilRecords(1)).toMatchObject([{ http_status: 502, http_method: "CONNECT" }]);
  });

  test("when the client is gone the upstream is closed", async () => {
    await using upstream = startUpstream({ tls: false });
    await using proxy = await startProxy({ args: ["--no-intercept"] });
    const client = await open(proxy, upstream.authority);
    const server = await upstream.next();
    client.destroy();
    await server.whenClosed();
    expect(await proxy.untilRecords(1)).toHaveLength(1);
  });

  test("when the upstream is gone the client is closed", async () => {
    await using upstream = startUpstream({ tls: false });
    await using proxy = await startProxy({ args: ["--no-intercept"] });
    const { stream } = await openTunnel(proxy, upstream.authority);
    const server = await upstream.next();
    server.destroy();
    await stream.whenClosed();
    expect(await proxy.untilRecords(1)).toHaveLength(1);
  });
});

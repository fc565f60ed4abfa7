// The demo's client against a scripted proxy: the bytes that it sends, and when it refuses to send any.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { type DemoRequest, sendThroughProxy } from "../../src/cli/demo-client.ts";
import { type Arrival, type DemoUpstream, startDemoUpstream } from "../../src/cli/demo-upstream.ts";

const arrivals: Arrival[] = [];
let upstream: DemoUpstream;
beforeAll(async () => {
  upstream = await startDemoUpstream("the-key", (arrival) => arrivals.push(arrival));
});
afterAll(() => upstream.stop());

/** A proxy that answers the CONNECT head with `reply` and, after a 200, splices to the upstream. */
async function fakeProxy(reply: string): Promise<{ port: number; heads: string[]; server: Server }> {
  const heads: string[] = [];
  const server = createServer((client) => {
    client.on("error", () => client.destroy());
    client.once("data", (head) => {
      heads.push(head.toString("latin1"));
      client.write(reply);
      if (!reply.includes(" 200 ")) {
        client.end();
        return;
      }
      const onward = connect(upstream.port, "127.0.0.1");
      onward.on("error", () => client.destroy());
      client.pipe(onward).pipe(client);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return { port: (server.address() as AddressInfo).port, heads, server };
}

function request(proxyPort: number, caPem: string): DemoRequest {
  const head = [
    "GET /v1/hello HTTP/1.1",
    "Host: api.test",
    "Authorization: Bearer the-key",
    "Connection: close",
  ];
  return { proxyHost: "127.0.0.1", proxyPort, host: "127.0.0.1", port: upstream.port, caPem, head };
}

test("opens a tunnel, verifies, sends its head, returns the whole answer", async () => {
  const proxy = await fakeProxy("HTTP/1.1 200 Connection Established\r\n\r\n");
  const answer = await sendThroughProxy(request(proxy.port, upstream.caPem));
  proxy.server.close();
  expect(proxy.heads).toEqual([
    `CONNECT 127.0.0.1:${upstream.port} HTTP/1.1\r\nHost: 127.0.0.1:${upstream.port}\r\n\r\n`,
  ]);
  expect(arrivals.at(-1)?.head.slice(0, 3)).toEqual([
    "GET /v1/hello HTTP/1.1",
    "Host: api.test",
    "Authorization: Bearer the-key",
  ]);
  expect(answer).toStartWith("HTTP/1.1 200 ");
  expect(answer).toContain("your key is valid");
});

test("sends nothing behind a certificate of another CA", async () => {
  const other = await startDemoUpstream("other", () => {});
  const proxy = await fakeProxy("HTTP/1.1 200 Connection Established\r\n\r\n");
  const before = arrivals.length;
  const failure = await sendThroughProxy(request(proxy.port, other.caPem)).catch((error: Error) => error);
  proxy.server.close();
  other.stop();
  expect(failure).toBeInstanceOf(Error);
  expect(arrivals.length).toBe(before);
});

test("names the proxy's refusal", async () => {
  const proxy = await fakeProxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
  const failure = await sendThroughProxy(request(proxy.port, upstream.caPem)).catch((error: Error) => error);
  proxy.server.close();
  expect(String(failure)).toContain(
    "the proxy refused the tunnel: HTTP/1.1 407 Proxy Authentication Required",
  );
});

test("a proxy that hangs up is an error", async () => {
  const proxy = await fakeProxy("");
  const failure = await sendThroughProxy(request(proxy.port, upstream.caPem)).catch((error: Error) => error);
  proxy.server.close();
  expect(failure).toBeInstanceOf(Error);
});

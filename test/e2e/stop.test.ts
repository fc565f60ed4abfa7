// "Stop: stop accepting, let running requests finish (drain, default 5 s, --drain-timeout), then close. Nothing
// half-written." and "Exit: 0 after a clean stop on SIGTERM or SIGINT … A second signal exits at once." (wire.md section 1)
import { describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { type ByteStream, within } from "../support/byte-stream.ts";
import { connect, connectProxy, get, message, openTunnel, tlsTunnel } from "../support/client.ts";
import { exchange, readHead, readResponse, text } from "../support/http-message.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

interface Running {
  readonly client: ByteStream;
  readonly server: ByteStream;
}

/** A request that has reached the upstream and waits for its answer. */
async function inFlight(proxy: RunningProxy, upstream: Upstream): Promise<Running> {
  const client = await tlsTunnel(proxy, upstream.authority);
  void client.write(get("/long", upstream.authority));
  const server = await upstream.next();
  await readHead(server);
  return { client, server };
}

/** Resolves once the proxy refuses connections. */
async function untilRefused(proxy: RunningProxy): Promise<void> {
  for (;;) {
    try {
      const probe = await connect(proxy.host, proxy.port);
      probe.destroy();
    } catch {
      // Refused: the listener is closed, which is what we wait for.
      return;
    }
  }
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`exit 0 after a clean stop on ${signal}`, async () => {
    await using proxy = await startProxy();
    proxy.signal(signal);
    expect(await within(proxy.exited, "end")).toBe(0);
  });

  test(`"let running requests finish": the answer after ${signal} arrives whole, then exit 0`, async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy({ args: ["--drain-timeout", "30s"] });
    const { client, server } = await inFlight(proxy, upstream);
    proxy.signal(signal);
    await within(untilRefused(proxy), "refusal of new connections");
    await server.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
    await client.readUntil("first");
    await server.write("-last");
    await client.readUntil("-last");
    await client.whenClosed();
    expect(await within(proxy.exited, "end")).toBe(0);
    expect(proxy.records().filter((record) => record.http_method === "GET")).toMatchObject([
      { http_status: 200 },
    ]);
  });
}

test("a request body that is still coming in is let through", async () => {
  await using upstream = startUpstream();
  await using proxy = await startProxy({ args: ["--drain-timeout", "30s"] });
  const client = await tlsTunnel(proxy, upstream.authority);
  void client.write(
    message("POST /up HTTP/1.1", [`Host: ${upstream.authority}`, "Content-Length: 10"], "first"),
  );
  const server = await upstream.next();
  await server.readUntil("first");
  proxy.signal("SIGTERM");
  await within(untilRefused(proxy), "refusal of new connections");
  await client.write("-last");
  await server.readUntil("-last");
  await server.write(ok("taken"));
  expect(text(await readResponse(client))).toBe("taken");
  expect(await within(proxy.exited, "end")).toBe(0);
});

test("idle connections, tunnels and pooled upstreams do not hold up the stop", async () => {
  await using upstream = startUpstream({ reply: () => ok() });
  await using proxy = await startProxy({ args: ["--drain-timeout", "60s"] });
  const idle = [
    await connectProxy(proxy),
    await tlsTunnel(proxy, upstream.authority),
    (await openTunnel(proxy, "x.test:443")).stream,
  ];
  const used = await connectProxy(proxy);
  await exchange(used, get("/healthz", "localhost"));
  const tunnel = await tlsTunnel(proxy, upstream.authority);
  await exchange(tunnel, get("/", upstream.authority));
  proxy.signal("SIGTERM");
  expect(await within(proxy.exited, "end")).toBe(0);
  for (const stream of [...idle, used, tunnel]) await stream.whenClosed();
});

test("--drain-timeout ends the wait; what is left is closed, never rounded off to look whole", async () => {
  await using upstream = startUpstream();
  await using proxy = await startProxy({ args: ["--drain-timeout", "1s"] });
  const { client, server } = await inFlight(proxy, upstream);
  await server.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
  await client.readUntil("half");
  const begun = performance.now();
  proxy.signal("SIGTERM");
  expect(await within(proxy.exited, "end")).toBe(0);
  expect(performance.now() - begun).toBeGreaterThan(900);
  await client.whenClosed();
  expect(client.unread.toString()).not.toContain("0\r\n\r\n");
  expect(proxy.records().filter((record) => record.http_method === "GET")).toHaveLength(1);
});

test('"A second signal exits at once"', async () => {
  await using upstream = startUpstream();
  await using proxy = await startProxy({ args: ["--drain-timeout", "600s"] });
  const { client } = await inFlight(proxy, upstream);
  proxy.signal("SIGTERM");
  await within(untilRefused(proxy), "refusal of new connections");
  proxy.signal("SIGTERM");
  await within(proxy.exited, "end at the second signal", 2_000);
  await client.whenClosed();
});

describe("what is open keeps nobody waiting for ever", () => {
  test("an opaque tunnel is closed when the drain is over", async () => {
    await using upstream = startUpstream({ tls: false });
    await using proxy = await startProxy({ args: ["--no-intercept", "--drain-timeout", "1s"] });
    const { stream } = await openTunnel(proxy, upstream.authority);
    const server = await upstream.next();
    proxy.signal("SIGTERM");
    expect(await within(proxy.exited, "end")).toBe(0);
    await stream.whenClosed();
    await server.whenClosed();
    expect(proxy.records()).toHaveLength(1);
  });

  test("a kept-alive client connection is closed after the answer that was running", async () => {
    await using upstream = startUpstream({ tls: false });
    await using proxy = await startProxy({ args: ["--drain-timeout", "30s"] });
    const client = await connectProxy(proxy);
    void client.write(get(`http://${upstream.authority}/1`, upstream.authority));
    const server = await upstream.next();
    await readHead(server);
    proxy.signal("SIGTERM");
    await within(untilRefused(proxy), "refusal of new connections");
    await server.write(ok("answer"));
    expect(text(await readResponse(client))).toBe("answer");
    await client.whenClosed();
    expect(await within(proxy.exited, "end")).toBe(0);
  });
});

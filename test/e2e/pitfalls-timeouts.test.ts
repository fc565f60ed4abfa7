// The pitfalls list, line 6: time limits that ended what was only slow. Each test is a mishap of a comparable product, on
// the compiled binary with limits of a second, which a server that never answers shows to be past.
import { describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { connectProxy, get, message, openTunnel, tlsTunnel } from "../support/client.ts";
import { exchange, type Request, readHead, readResponse, text } from "../support/http-message.ts";
import { expectToExist, type Row } from "../support/pitfalls.ts";
import { OTHER_SECRET, PLACEHOLDER } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";
import { WEBSOCKET_ACCEPT, WEBSOCKET_FIELDS } from "../support/websocket.ts";

describe("Pitfall 6: timeouts", () => {
  const limits = Object.fromEntries(
    ["head_timeout", "handshake_timeout", "idle_timeout", "dial_timeout", "upstream_tls_timeout"].map(
      (key) => [key, "1s"],
    ),
  );

  /** Waits for longer than each of the limits: twice a handshake is given up that a server never answers. */
  async function untilLimitsArePast(proxy: RunningProxy, silent: Upstream): Promise<void> {
    const client = await connectProxy(proxy);
    for (const path of ["/1", "/2"]) {
      const answer = await exchange(client, get(`https://${silent.authority}${path}`, silent.authority));
      expect(answer.status).toBe(502);
    }
    client.destroy();
  }

  test("limits of writing and reading cut streams and uploads: past every limit of time all of them go on", async () => {
    await using silent = startUpstream({ tls: false, serve: () => undefined });
    await using upstream = startUpstream();
    await using proxy = await startProxy({
      config: { limits: { ...limits, response_header_timeout: "1s" }, tls: { passthrough: ["127.0.0.1"] } },
    });

    const download = await tlsTunnel(proxy, upstream.authority);
    void download.write(get("/down", upstream.authority));
    const down = await upstream.next();
    await readHead(down);
    await down.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhead");

    const upload = await tlsTunnel(proxy, upstream.authority);
    void upload.write(
      message("POST /up HTTP/1.1", [`Host: ${upstream.authority}`, "Content-Length: 8"], "head"),
    );
    const up = await upstream.next();
    await readHead(up);

    const socket = await tlsTunnel(proxy, upstream.authority);
    void socket.write(get("/ws", upstream.authority, WEBSOCKET_FIELDS));
    const web = await upstream.next();
    await readHead(web);
    await web.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${WEBSOCKET_ACCEPT}\r\n\r\n`,
    );
    expect((await readResponse(socket)).status).toBe(101);

    await using raw = startUpstream({ tls: false });
    const { stream: opaque } = await openTunnel(proxy, `127.0.0.1:${raw.port}`);
    const far = await raw.next();

    await untilLimitsArePast(proxy, silent);

    await down.write("tail");
    expect(text(await readResponse(download))).toBe("headtail");
    void upload.write("tail");
    expect((await up.readUntil("headtail")).endsWith("headtail")).toBe(true);
    await up.write(ok("stored"));
    expect(text(await readResponse(upload))).toBe("stored");
    void socket.write("ping");
    await web.readUntil("ping");
    void opaque.write("ping");
    await far.readUntil("ping");
    for (const stream of [download, upload, socket, opaque]) stream.destroy();
  });

  test("a body that is gathered for substitution has its time as well: it is no idle connection", async () => {
    await using silent = startUpstream({ tls: false, serve: () => undefined });
    await using upstream = startUpstream({ reply: () => ok("stored") });
    const host = upstream.authority;
    const source = { type: "static", value: OTHER_SECRET };
    const token_substitutions = [{ host, placeholder: PLACEHOLDER, source }];
    await using proxy = await startProxy({ config: { token_substitutions, limits } });
    const tls = await tlsTunnel(proxy, upstream.authority);
    const length = `Content-Length: ${PLACEHOLDER.length}`;
    void tls.write(
      message("POST /up HTTP/1.1", [`Host: ${upstream.authority}`, length], PLACEHOLDER.slice(0, 9)),
    );
    await untilLimitsArePast(proxy, silent);
    void tls.write(PLACEHOLDER.slice(9));
    expect(text(await readResponse(tls))).toBe("stored");
    expect(text(upstream.requests[0] as Request)).toBe(OTHER_SECRET);
    tls.destroy();
  });
});

const ELSEWHERE: readonly Row[] = [
  "6 | 30 s to the first byte of an answer | proxy/exchange/exchange.test.ts | is given up after 15 minutes: 504, and the client may go on",
  "6 | a write timeout cut streams | proxy/exchange/exchange.test.ts | has no limit once its head is there",
  "6 | a read timeout cut uploads | proxy/client-session-time.test.ts | while its body is awaited has no limit",
  "6 | client timeouts that did not tell waiting from working | proxy/client-session-time.test.ts | between requests is closed after 120 s",
  "6 | none at all: a client that says nothing | proxy/client-session-time.test.ts | that does not arrive within 60 s of its first byte is 408",
  "6 | none at all: an upstream that says nothing | e2e/limits.test.ts | deadlines",
];

test("what is proved elsewhere is there", () => expectToExist(ELSEWHERE));

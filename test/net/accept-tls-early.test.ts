// TLS for a client whose first bytes came behind its CONNECT head: the same wire as for all others, and what becomes of
// bytes that are no whole ClientHello. Handshakes that succeed are in accept-tls.test.ts.
import { describe, expect, test } from "bun:test";
import type { ByteStream } from "../support/byte-stream.ts";
import { connect, connectHead } from "../support/client.ts";
import { wireContract } from "../support/net-wire-contract.ts";
import { type Front, interceptor, startFront } from "../support/net-wires.ts";
import { settle } from "../support/net-witness.ts";

const HOST = "api.example.test:443";

wireContract("TLS accepted early");

function front(): Front {
  return startFront(interceptor(), ({ wire, seen }) => {
    seen.onEnded = () => wire.end();
  });
}

/** A client that sends its head and `bytes` in one write. */
async function sendEarly(server: Front, bytes: string): Promise<ByteStream> {
  const raw = await connect("127.0.0.1", server.port, true);
  await raw.write(connectHead(HOST) + bytes);
  await raw.readUntil("\r\n\r\n");
  return raw;
}

describe("bytes behind the head that lead to no session", () => {
  test("no ClientHello: told as not-tls, once, and closed", async () => {
    const server = front();
    const raw = await sendEarly(server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const [tunnel] = server.tunnels;
    await tunnel?.seen.untilEvent("close");
    await raw.whenEnded();
    raw.destroy();
    await settle();
    server.stop();
    expect(tunnel?.handshake.outcomes).toEqual(["not-tls"]);
    expect(tunnel?.seen.events).toEqual(["close"]);
    expect(tunnel?.outer.closed).toBe(true);
  });

  test.each(["G", "GET"])(
    "%p, too little for the runtime to judge: told as not-tls at once",
    async (bytes) => {
      const server = front();
      const raw = await sendEarly(server, bytes);
      const [tunnel] = server.tunnels;
      await settle();
      expect(tunnel?.handshake.outcomes).toEqual(["not-tls"]);
      tunnel?.wire.destroy();
      await raw.whenEnded();
      raw.destroy();
      server.stop();
      expect(tunnel?.outer.closed).toBe(true);
    },
  );

  test.each(["end", "destroy"] as const)("half a ClientHello, then %s: failed, once", async (how) => {
    const server = front();
    const raw = await sendEarly(server, "\x16\x03\x01\x00\xf0\x01\x00");
    raw[how]();
    const [tunnel] = server.tunnels;
    await tunnel?.seen.untilEvent("close");
    await settle();
    server.stop();
    expect(tunnel?.handshake.outcomes).toEqual(["failed"]);
    expect(tunnel?.seen.happened("data")).toBe(0);
    expect(tunnel?.seen.happened("close")).toBe(1);
    expect(tunnel?.outer.closed).toBe(true);
  });

  test("our own destroy() within the handshake calls nobody", async () => {
    const server = front();
    const raw = await sendEarly(server, "\x16\x03\x01\x00\xf0\x01\x00");
    const [tunnel] = server.tunnels;
    tunnel?.wire.destroy();
    await raw.whenEnded();
    raw.destroy();
    await settle();
    server.stop();
    expect(tunnel?.handshake.outcomes).toEqual([]);
    expect(tunnel?.seen.events).toEqual([]);
  });
});

// TLS for a client whose ClientHello came behind its CONNECT head: the same handshakes and the same wire as for all
// others.
import { describe, expect, test } from "bun:test";
import type { ByteStream } from "../support/byte-stream.ts";
import { connect, connectHead } from "../support/client.ts";
import { sClient } from "../support/net-clients.ts";
import { startRelay } from "../support/net-relay.ts";
import { wireContract } from "../support/net-wire-contract.ts";
import { type Front, interceptor, startFront } from "../support/net-wires.ts";
import { settle } from "../support/net-witness.ts";
import { pki } from "../support/pki.ts";
import type { Outcome } from "../support/programs.ts";

const HOST = "api.example.test:443";

wireContract("TLS accepted early");

function front(): Front {
  return startFront(interceptor(), ({ wire, seen }) => {
    seen.onEnded = () => wire.end();
  });
}

/** openssl through a relay that sends the CONNECT head and the ClientHello in one write. */
async function sClientEarly(server: Front, options: readonly string[] = [], ca?: string): Promise<Outcome> {
  const relay = await startRelay(server.port, connectHead(HOST), "with-head");
  const outcome = await sClient({ port: relay.port }, ["-servername", "api.example.test", ...options], ca);
  relay.stop();
  return outcome;
}

describe("handshakes with openssl", () => {
  test.each([
    ["-tls1_2", "TLSv1.2"],
    ["-tls1_3", "TLSv1.3"],
  ])("%s is accepted", async (option, version) => {
    const server = front();
    const { stdout } = await sClientEarly(server, [option, "-verify_hostname", "api.example.test"]);
    expect(stdout).toContain(`New, ${version}, `);
    expect(stdout).toContain("Verify return code: 0 (ok)");
    const [tunnel] = server.tunnels;
    await tunnel?.seen.untilOver();
    server.stop();
    expect(tunnel?.handshake.outcomes).toEqual(["secured"]);
    expect(tunnel?.seen.text).toBe("hello");
  });

  test.each(["-tls1", "-tls1_1"])("%s is refused", async (option) => {
    const server = front();
    const { code, stderr } = await sClientEarly(server, [option, "-cipher", "DEFAULT:@SECLEVEL=0"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("alert protocol version");
    const [tunnel] = server.tunnels;
    await tunnel?.seen.untilEvent("close");
    server.stop();
    expect(tunnel?.handshake.outcomes).toEqual(["failed"]);
    expect(tunnel?.seen.events).toEqual(["close"]);
  });

  test("h2 and http/1.1 offered: http/1.1 is chosen", async () => {
    const server = front();
    const { stdout } = await sClientEarly(server, ["-alpn", "h2,http/1.1"]);
    server.stop();
    expect(stdout).toContain("ALPN protocol: http/1.1");
  });

  test("only h2 offered: refused, and nobody hangs", async () => {
    const server = front();
    const { code } = await sClientEarly(server, ["-alpn", "h2"]);
    expect(code).not.toBe(0);
    const [tunnel] = server.tunnels;
    await tunnel?.seen.untilEvent("close");
    server.stop();
    expect(tunnel?.handshake.outcomes).toEqual(["failed"]);
  });

  test("a client that distrusts the CA fails the handshake", async () => {
    const server = front();
    const { code, stderr } = await sClientEarly(server, [], pki().ca);
    expect(code).not.toBe(0);
    expect(stderr).toContain("certificate verify failed");
    const [tunnel] = server.tunnels;
    await tunnel?.seen.untilEvent("close");
    server.stop();
    expect(tunnel?.handshake.outcomes).toEqual(["failed"]);
    expect(tunnel?.outer.closed).toBe(true);
  });
});

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

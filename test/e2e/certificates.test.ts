// The leaves that clients see (wire.md section 3), judged by OpenSSL, Python and node:crypto's own parser, and how
// fast a client may have them minted.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { connectHead, connectProxy, openTunnel } from "../support/client.ts";
import { readResponse } from "../support/http-message.ts";
import { runProgram, works } from "../support/programs.ts";
import { chainFor, described, extension } from "../support/shown-chain.ts";

const DAY = 86_400_000;

describe("a leaf", () => {
  let proxy: RunningProxy;
  beforeAll(async () => {
    proxy = await startProxy();
  });
  afterAll(() => proxy[Symbol.asyncDispose]());

  const hosts: readonly (readonly [authority: string, san: string])[] = [
    ["api.example.test:443", "DNS:api.example.test"],
    ["under_score.example.test:8443", "DNS:under_score.example.test"],
    ["192.0.2.44:443", "IP Address:192.0.2.44"],
    ["[2001:db8::44]:443", "IP Address:2001:DB8:0:0:0:0:0:44"],
    [`${"a".repeat(60)}.example.test:443`, `DNS:${"a".repeat(60)}.example.test`],
  ];
  for (const [authority, san] of hosts) {
    test(`names the CONNECT host and nothing else, and strict verifiers accept it: ${authority.slice(0, 40)}`, async () => {
      const [leaf, root, ...more] = await chainFor(proxy, authority);
      if (leaf === undefined || root === undefined) throw new Error("the chain sent includes the CA");
      expect(more).toEqual([]);
      expect(root.fingerprint256).toBe(new X509Certificate(readFileSync(proxy.caPath)).fingerprint256);
      const text = described(leaf);
      const names = extension(text, "X509v3 Subject Alternative Name");
      expect(names.replace(/^critical /, "")).toBe(san);
      const host = authority.slice(0, authority.lastIndexOf(":")).replace(/^\[|\]$/g, "");
      if (host.length > 64) {
        expect(names).toStartWith("critical ");
        expect(leaf.subject ?? "").toBe("");
      } else expect(leaf.subject).toContain(`CN=${host}`);
      expect(leaf.ca).toBe(false);
      expect(extension(text, "X509v3 Key Usage")).toContain("Digital Signature");
      expect(extension(text, "X509v3 Key Usage")).not.toContain("Key Encipherment");
      expect(extension(text, "X509v3 Extended Key Usage")).toBe("TLS Web Server Authentication");
      expect(text).toContain("X509v3 Subject Key Identifier");
      expect(text).toContain("X509v3 Authority Key Identifier");
      const serial = BigInt(`0x${leaf.serialNumber}`);
      expect(serial).toBeGreaterThan(0n);
      expect(serial).toBeLessThan(1n << 159n);
      const [from, to] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
      expect(Date.now() - from).toBeWithin(3_600_000 - 120_000, 3_600_000 + 120_000);
      expect(to - from).toBeWithin(7 * DAY - 7_200_000, 7 * DAY + 7_200_000);
      expect(leaf.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
    });
  }

  test("the key is one per process and never the CA's", async () => {
    const [first] = await chainFor(proxy, "one.test:443");
    const [second, root] = await chainFor(proxy, "two.test:443");
    const der = (certificate: X509Certificate | undefined): string =>
      certificate?.publicKey.export({ type: "spki", format: "pem" }).toString() ?? "";
    expect(der(first)).toBe(der(second));
    expect(der(first)).not.toBe(der(root));
    await using other = await startProxy();
    const [third] = await chainFor(other, "one.test:443");
    expect(der(third)).not.toBe(der(first));
  });

  test("is cached: the same certificate on the second CONNECT, another serial for another host", async () => {
    const serials = new Set<string | undefined>();
    for (const authority of ["cached.test:443", "cached.test:8443", "CACHED.test:443"]) {
      serials.add((await chainFor(proxy, authority.toLowerCase()))[0]?.serialNumber);
    }
    expect(serials.size).toBe(1);
    expect(serials.has((await chainFor(proxy, "another.test:443"))[0]?.serialNumber)).toBe(false);
  });

  const STRICT = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[3])
context.verify_flags |= ssl.VERIFY_X509_STRICT
host, port = sys.argv[2].rsplit(":", 1)
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=15)
sock.sendall(("CONNECT %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n" % (sys.argv[2], sys.argv[2])).encode())
answer = b""
while not answer.endswith(b"\\r\\n\\r\\n"): answer += sock.recv(1)
print(context.wrap_socket(sock, server_hostname=host.strip("[]")).version())
`;
  test.skipIf(!works(["python3", "-c", "import ssl; ssl.VERIFY_X509_STRICT"]))(
    "Python's VERIFY_X509_STRICT accepts it, by name and by address",
    async () => {
      for (const authority of [
        "strict.example.test:443",
        "192.0.2.45:443",
        `${"b".repeat(60)}.example.test:443`,
      ]) {
        const outcome = await runProgram([
          "python3",
          "-c",
          STRICT,
          String(proxy.port),
          authority,
          proxy.caPath,
        ]);
        expect(outcome).toMatchObject({ code: 0, stdout: expect.stringMatching(/^TLSv1\.[23]/) });
      }
    },
  );

  test("serials are minimal DER and positive over many leaves", async () => {
    for (let count = 0; count < 30; count++) {
      const [leaf] = await chainFor(proxy, `serial-${count}.test:443`);
      const der = leaf?.raw ?? Buffer.alloc(0);
      // Certificate, TBSCertificate, [0] version (5 bytes), then the serial's tag and length.
      const at = der.indexOf(Buffer.from("a003020102", "hex")) + 5;
      expect(der[at]).toBe(0x02);
      const [first = 0, second = 0] = der.subarray(at + 2, at + 4);
      expect(first).toBeLessThan(0x80);
      if (first === 0) expect(second).toBeGreaterThanOrEqual(0x80);
    }
  }, 30_000);
});

test('"At most 50 new leaves a second per client"', async () => {
  await using proxy = await startProxy();
  const begun = performance.now();
  const replies = await Promise.all(
    Array.from({ length: 200 }, async (_, count) => {
      const { stream, reply } = await openTunnel(proxy, `mint-${count}.test:443`);
      stream.destroy();
      return reply.status;
    }),
  );
  const seconds = (performance.now() - begun) / 1000;
  const minted = replies.filter((status) => status === 200).length;
  expect(minted).toBeGreaterThan(0);
  expect(minted).toBeLessThanOrEqual(Math.ceil(50 * (1 + seconds)));
  expect(replies.filter((status) => status !== 200 && status !== 429 && status !== 503)).toEqual([]);
  // What has been minted is served on, whatever the rate.
  const known = await openTunnel(proxy, `mint-${replies.indexOf(200)}.test:443`);
  expect(known.reply.status).toBe(200);
  known.stream.destroy();
}, 20_000);

test("a host that is no name is refused before anything is minted", async () => {
  await using proxy = await startProxy();
  for (let count = 0; count < 100; count++) {
    const client = await connectProxy(proxy);
    await client.write(connectHead(`bad$${count}.test:443`));
    expect((await readResponse(client)).status).toBe(400);
    client.destroy();
  }
  // All of the minting budget is left.
  const { stream, reply } = await openTunnel(proxy, "good.test:443");
  expect(reply.status).toBe(200);
  stream.destroy();
});

// "Its certificate is always verified. No byte of a request, above all no credential, leaves before verification
// has succeeded. Failure: 502 inside the tunnel, the tunnel stays usable." (wire.md section 4)
import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startProxy } from "../support/binary.ts";
import { connectProxy, get, post, tlsTunnel } from "../support/client.ts";
import { exchange, text } from "../support/http-message.ts";
import { openssl, pki } from "../support/pki.ts";
import { credential, expectNotPrinted, NO_ERRNO, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";

const BAD = [
  ["an authority that is not trusted", "otherCa"],
  ["an expired certificate", "expired"],
  ["a certificate that is not valid yet", "notYetValid"],
  ["a self-signed certificate", "selfSigned"],
  ["a certificate for another name", "wrongName"],
] as const;

const ENVIRONMENTS = [
  ["a clean environment", {}],
  ["NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment", { NODE_TLS_REJECT_UNAUTHORIZED: "0" }],
] as const;

for (const [where, env] of ENVIRONMENTS) {
  describe(`with ${where}`, () => {
    for (const [what, kind] of BAD) {
      for (const name of ["localhost", "127.0.0.1"]) {
        test(`${what} (${name}): 502 in the tunnel, and the upstream received not one byte of HTTP`, async () => {
          await using upstream = startUpstream({ name, tls: pki()[kind], reply: () => ok("never") });
          await using proxy = await startProxy({
            env,
            config: { credentials: [credential(upstream.authority)] },
          });
          const tunnel = await tlsTunnel(proxy, upstream.authority);
          const answer = await exchange(
            tunnel,
            get("/", upstream.authority, [`Authorization: Bearer ${PLACEHOLDER}`]),
          );
          expect(answer.status).toBe(502);
          expect(text(answer)).not.toMatch(NO_ERRNO);
          // The tunnel stays usable.
          const second = await exchange(tunnel, post("/", upstream.authority, "body", ["X-Api-Key: k"]));
          expect(second.status).toBe(502);
          expect(upstream.connections.length).toBeGreaterThan(0);
          expect(upstream.connections.map((connection) => connection.bytesIn)).toEqual(
            upstream.connections.map(() => 0),
          );
          const records = await proxy.untilRecords(2, (record) => record.http_status === 502);
          expect(records.map((record) => String(record.level).toUpperCase())).toEqual(["ERROR", "ERROR"]);
          expect(records[0]?.error).toBeString();
          tunnel.destroy();
          await proxy.stop();
          expectNotPrinted(proxy, [SECRET]);
        });
      }
    }

    test("a good certificate still works", async () => {
      await using upstream = startUpstream({ reply: () => ok("fine") });
      await using proxy = await startProxy({
        env,
        config: { credentials: [credential(upstream.authority)] },
      });
      const tunnel = await tlsTunnel(proxy, upstream.authority);
      expect(text(await exchange(tunnel, get("/", upstream.authority)))).toBe("fine");
      tunnel.destroy();
    });

    test("an absolute https:// URL outside a tunnel is verified too", async () => {
      await using upstream = startUpstream({ tls: pki().otherCa, reply: () => ok("never") });
      await using proxy = await startProxy({
        env,
        config: { credentials: [credential(upstream.authority)] },
      });
      const client = await connectProxy(proxy);
      const answer = await exchange(client, get(`https://${upstream.authority}/`, upstream.authority));
      expect(answer.status).toBe(502);
      expect(upstream.text).toBe("");
      client.destroy();
    });
  });
}

test("without --upstream-ca the test authority is not trusted, so the roots are the public ones", async () => {
  await using upstream = startUpstream({ reply: () => ok("never") });
  await using proxy = await startProxy({ loopback: false, args: ["--allow-ip", "127.0.0.0/8"] });
  const tunnel = await tlsTunnel(proxy, upstream.authority);
  expect((await exchange(tunnel, get("/", upstream.authority))).status).toBe(502);
  expect(upstream.text).toBe("");
  tunnel.destroy();
});

test("the proxy's own CA is no root for upstreams", async () => {
  await using first = await startProxy();
  // An upstream whose certificate the proxy's own CA signed: what a compromised client could present.
  const key = openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
  const keyPath = join(first.dir, "leaf.key");
  const csr = join(first.dir, "leaf.csr");
  const extensions = join(first.dir, "leaf.ext");
  await Bun.write(keyPath, key);
  await Bun.write(extensions, "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  openssl(["req", "-new", "-key", keyPath, "-subj", "/CN=localhost", "-out", csr]);
  const signing = ["-CA", first.caPath, "-CAkey", first.caPath.replace(/crt$/, "key")];
  const cert = openssl(
    ["x509", "-req", "-in", csr, ...signing, "-days", "5", "-extfile", extensions].concat(
      "-set_serial",
      "77",
    ),
  );
  expect(new X509Certificate(cert).issuer).toBe(new X509Certificate(readFileSync(first.caPath)).subject);

  await using upstream = startUpstream({ tls: { cert, key }, reply: () => ok("never") });
  const tunnel = await tlsTunnel(first, upstream.authority);
  expect((await exchange(tunnel, get("/", upstream.authority))).status).toBe(502);
  expect(upstream.text).toBe("");
  tunnel.destroy();
});

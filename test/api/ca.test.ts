// The library's CA: made once, loaded again, and leaves of it that a TLS client accepts.

import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { chmodSync, existsSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { CA } from "../../src/index.ts";
import { scratch } from "../support/command.ts";
import { thrownBy } from "../support/embedded.ts";

describe("NewCA", () => {
  test("makes ca.crt and ca.key where there are none, and loads them from then on", () => {
    using place = scratch();
    const dir = place.file("ca");
    const made = CA.open(dir);
    expect(made.certPath).toBe(join(dir, "ca.crt"));
    expect(statSync(join(dir, "ca.key")).mode & 0o777).toBe(0o600);
    expect(CA.open(dir).certPem).toBe(made.certPem);
    expect(new X509Certificate(made.certPem).ca).toBe(true);
    expect(made.warnings).toEqual([]);
  });

  test("refuses half a pair in one line, and leaves it as it is", () => {
    using place = scratch();
    CA.open(place.dir);
    rmSync(place.file("ca.key"));
    expect(thrownBy(() => CA.open(place.dir))).toContain("ca.key is missing while");
    expect(existsSync(place.file("ca.key"))).toBe(false);
  });

  test("tells of a key that others can read", () => {
    using place = scratch();
    CA.open(place.dir);
    chmodSync(place.file("ca.key"), 0o644);
    expect(CA.open(place.dir).warnings.join()).toContain("run chmod 600 on it");
  });

  test("shows its key to nobody", () => {
    using place = scratch();
    const ca = CA.open(place.dir);
    const shown = [JSON.stringify(ca), Bun.inspect(ca, { depth: 9 }), ...Object.values(ca).map(String)];
    for (const text of shown) expect(text).not.toContain("PRIVATE KEY");
  });
});

describe("GenerateCert", () => {
  test.each([["api.example.com"], ["127.0.0.1"], ["::1"]])(
    "of %s names that host and nothing else",
    (host) => {
      using place = scratch();
      const ca = CA.open(place.dir);
      const { cert, key } = ca.generateCert(host);
      const leaf = new X509Certificate(cert);
      expect(leaf.verify(new X509Certificate(ca.certPem).publicKey)).toBe(true);
      const named = host.includes("e") ? leaf.checkHost(host) : leaf.checkIP(host);
      expect(named).toBe(host);
      expect(leaf.subjectAltName?.split(",")).toHaveLength(1);
      expect(cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
      expect(key).toContain("PRIVATE KEY");
      const days = (leaf.validToDate.getTime() - Date.now()) / 86_400_000;
      expect(days).toBeLessThanOrEqual(7);
    },
  );

  test("is the same for the same host, and a TLS client that trusts the CA accepts it", async () => {
    using place = scratch();
    const ca = CA.open(place.dir);
    const pair = ca.generateCert("localhost");
    expect(ca.generateCert("LOCALHOST.")).toEqual(pair);
    await using server = Bun.serve({ port: 0, tls: pair, fetch: () => new Response("served") });
    const answer = await fetch(`https://localhost:${server.port}/`, { tls: { ca: ca.certPem } });
    expect(await answer.text()).toBe("served");
  });

  test.each([["a b"], ["https://a.test"], ["a.test:443"], [""], ["*.a.test"]])("refuses %j", (host) => {
    using place = scratch();
    expect(thrownBy(() => CA.open(place.dir).generateCert(host))).toContain("host");
  });
});

import { afterAll, describe, expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { canonicalHost } from "../../src/values/authority.ts";
import { CertificateAuthority } from "../../src/x509/ca.ts";
import { generateLeafKey, issueLeaf } from "../../src/x509/leaf.ts";
import { DAY_MS, foreignCa, LONG_HOST, NOW, openWorkshop } from "./support.ts";

const workshop = openWorkshop();
afterAll(() => workshop.remove());

const { ca, keyPem } = CertificateAuthority.generate(NOW);
const key = generateLeafKey();
const at = NOW.getTime();

function issue(host: string, from = ca, nowMs = at): X509Certificate {
  const canonical = canonicalHost(host);
  return new X509Certificate(issueLeaf(from, canonical.host, canonical.kind, key, nowMs).certPem);
}

describe("a leaf names its host and nothing else", () => {
  const cases: [host: string, san: string, subject: string][] = [
    ["api.example.com", "DNS:api.example.com", "CN=api.example.com"],
    ["localhost", "DNS:localhost", "CN=localhost"],
    ["my_service.example.com", "DNS:my_service.example.com", "CN=my_service.example.com"],
    ["xn--bcher-kva.example", "DNS:xn--bcher-kva.example", "CN=xn--bcher-kva.example"],
    ["127.0.0.1", "IP Address:127.0.0.1", "CN=127.0.0.1"],
    ["[2001:db8::1]", "IP Address:2001:DB8:0:0:0:0:0:1", "CN=2001:db8::1"],
    [`${"c".repeat(60)}.com`, `DNS:${"c".repeat(60)}.com`, `CN=${"c".repeat(60)}.com`],
    [`${"c".repeat(61)}.com`, `DNS:${"c".repeat(61)}.com`, ""],
    [LONG_HOST, `DNS:${LONG_HOST}`, ""],
  ];
  test.each(cases)("%s", (host, san, subject) => {
    const leaf = issue(host);
    expect(leaf.subjectAltName).toBe(san);
    expect(leaf.subject ?? "").toBe(subject);
    const text = workshop.openssl(
      "x509",
      "-in",
      workshop.file("leaf.crt", leaf.toString()),
      "-noout",
      "-text",
    );
    const critical = text.includes("X509v3 Subject Alternative Name: critical");
    expect(critical).toBe(subject === "");
  });

  test.each([
    ["x.api.example.com", false],
    ["example.com", false],
    ["api.example.com.evil.test", false],
    ["api.example.com", true],
  ])("%s is matched: %p", (name, matched) => {
    expect(issue("api.example.com").checkHost(name) !== undefined).toBe(matched);
  });
});

test("has exactly the extensions of the contract", () => {
  const file = workshop.file("ext.crt", issue("api.example.com").toString());
  const text = workshop.openssl("x509", "-in", file, "-noout", "-text");
  expect([...text.matchAll(/X509v3 .*\n *.*/g)].map(([lines]) => lines.replace(/\s+/g, " "))).toEqual([
    "X509v3 extensions: X509v3 Key Usage: critical",
    "X509v3 Extended Key Usage: TLS Web Server Authentication",
    "X509v3 Subject Alternative Name: DNS:api.example.com",
    expect.stringMatching(/^X509v3 Subject Key Identifier: ([0-9A-F]{2}:){19}[0-9A-F]{2}$/),
    expect.stringMatching(/^X509v3 Authority Key Identifier: ([0-9A-F]{2}:){19}[0-9A-F]{2}$/),
  ]);
  expect(text).toMatch(/Key Usage: critical\n +Digital Signature\n/);
});

test("the chain is the leaf and then the CA, and the key is the leaf's and never the CA's", () => {
  const leaf = issueLeaf(ca, "api.example.com", "name", key, at);
  const blocks = leaf.certPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g) ?? [];
  expect(blocks).toHaveLength(2);
  expect(blocks.join("")).toBe(leaf.certPem);
  expect(blocks[1]).toBe(ca.certPem);
  expect(leaf.keyPem).toBe(key.pem);
  const first = new X509Certificate(blocks[0] ?? "");
  expect(first.checkPrivateKey(createPrivateKey(leaf.keyPem))).toBe(true);
  expect(first.checkPrivateKey(createPrivateKey(keyPem))).toBe(false);
  expect(first.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
});

describe("validity", () => {
  const seconds = (ms: number): number => Math.floor(ms / 1000) * 1000;
  const oneDay = foreignCa(workshop, "EC P-256 in SEC1", { days: 1 });

  test("from one hour ago to seven days ahead", () => {
    const later = at + 100 * DAY_MS;
    const leaf = issue("a.test", ca, later);
    expect(Date.parse(leaf.validFrom)).toBe(seconds(later - 3_600_000));
    expect(Date.parse(leaf.validTo)).toBe(seconds(later + 7 * DAY_MS));
    expect(issueLeaf(ca, "a.test", "name", key, later).notAfter).toBe(seconds(later + 7 * DAY_MS));
  });

  test("never beyond the CA's, at either end", () => {
    const leaf = issue("a.test", oneDay, oneDay.notBefore + 1500);
    expect(Date.parse(leaf.validFrom)).toBe(oneDay.notBefore);
    expect(Date.parse(leaf.validTo)).toBe(oneDay.notAfter);
  });

  test("a CA in its last moment still issues, an expired one does not", () => {
    expect(Date.parse(issue("a.test", oneDay, oneDay.notAfter).validTo)).toBe(oneDay.notAfter);
    expect(() => issue("a.test", oneDay, oneDay.notAfter + 1)).toThrow(
      expect.objectContaining({
        code: "internal-error",
        message: "the CA certificate of the proxy has expired",
      }),
    );
  });
});

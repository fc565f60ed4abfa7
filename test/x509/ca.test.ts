import { afterAll, describe, expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { CertificateAuthority } from "../../src/x509/ca.ts";
import { generateLeafKey, issueLeaf } from "../../src/x509/leaf.ts";
import { CA_EXTENSIONS, certificateFields, foreignCa, KEY_KINDS, makeKey, openWorkshop } from "./support.ts";

const workshop = openWorkshop();
afterAll(() => workshop.remove());

const now = new Date();
const leafKey = generateLeafKey();

describe("generate", () => {
  const { ca, keyPem } = CertificateAuthority.generate(now);
  const parsed = new X509Certificate(ca.certPem);
  const text = workshop.openssl("x509", "-in", workshop.file("own.crt", ca.certPem), "-noout", "-text");

  test("makes O=Moat, CN=Moat CA on EC P-256, self-signed", () => {
    expect(parsed.subject).toBe("O=Moat\nCN=Moat CA");
    expect(parsed.issuer).toBe(parsed.subject);
    expect(parsed.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
    expect(parsed.verify(parsed.publicKey)).toBe(true);
    expect(parsed.checkPrivateKey(createPrivateKey(keyPem))).toBe(true);
    expect(keyPem).toStartWith("-----BEGIN PRIVATE KEY-----\n");
  });

  test("lives ten years, and is valid for a client whose clock is behind", () => {
    const inTenYears = new Date(now);
    inTenYears.setUTCFullYear(now.getUTCFullYear() + 10);
    const seconds = (ms: number): number => Math.floor(ms / 1000);
    expect(seconds(ca.notAfter)).toBe(seconds(inTenYears.getTime()));
    expect(ca.notAfter % 1000).toBe(0);
    expect(seconds(ca.notBefore)).toBe(seconds(now.getTime()) - 3600);
  });

  test("has exactly the extensions of the contract", () => {
    expect([...text.matchAll(/X509v3 .*/g)].map(([line]) => line.trim())).toEqual([
      "X509v3 extensions:",
      "X509v3 Basic Constraints: critical",
      "X509v3 Key Usage: critical",
      "X509v3 Subject Key Identifier:",
    ]);
    expect(text).toContain("CA:TRUE, pathlen:0");
    expect(text).toMatch(/Certificate Sign, CRL Sign\n/);
  });

  test("is loaded again from its own PEM", () => {
    const again = CertificateAuthority.fromPem(ca.certPem, keyPem, now);
    expect(again.certPem).toBe(ca.certPem);
    expect(again.notAfter).toBe(ca.notAfter);
  });

  test("ends in GeneralizedTime when that is after 2049", () => {
    const late = CertificateAuthority.generate(new Date("2045-06-01T12:00:00Z")).ca;
    expect(new Date(late.notAfter).toISOString()).toBe("2055-06-01T12:00:00.000Z");
  });
});

describe("fromPem loads", () => {
  test.each([...KEY_KINDS])("%s, and what it issues verifies", (kind) => {
    const ca = foreignCa(workshop, kind);
    const leaf = new X509Certificate(issueLeaf(ca, "a.test", "name", leafKey, now.getTime()).certPem);
    const parent = new X509Certificate(ca.certPem);
    expect(leaf.verify(parent.publicKey)).toBe(true);
    expect(leaf.checkIssued(parent)).toBe(true);
  });

  test("a CA with no end (year 9999)", () => {
    const keyPem = makeKey(workshop, "far.key", "EC P-256 in PKCS#8");
    const days = Math.floor((Date.UTC(9999, 11, 30) - now.getTime()) / 86_400_000);
    const certPem = workshop.selfSign("far.crt", "far.key", { days });
    const ca = CertificateAuthority.fromPem(certPem, keyPem, new Date());
    expect(new Date(ca.notAfter).getUTCFullYear()).toBe(9999);
  });

  test("a file that holds the key as well, without publishing the key", () => {
    const keyPem = makeKey(workshop, "joint.key", "EC P-256 in PKCS#8");
    const certPem = workshop.selfSign("joint.crt", "joint.key");
    const joint = `# ours\r\n${keyPem}${certPem.replaceAll("\n", "\r\n")}`;
    const ca = CertificateAuthority.fromPem(joint, joint, new Date());
    expect(ca.certPem).toBe(certPem);
  });
});

describe("the name of the issuer", () => {
  const subject = ["C=DE", "O=Caf\u00e9 Moat", "CN=Foreign CA"];
  const cases: [string, string, string[]][] = [
    ["PrintableString and T61String", "string_mask=MASK:0x0006", subject],
    ["BMPString", "string_mask=MASK:0x0800", subject],
    ["UTF8String", "string_mask=utf8only\nutf8=yes", subject],
    ["several attributes in one RDN", "string_mask=utf8only", ["O=Moat", "CN=Foreign CA", "+OU=Lab"]],
    ["the same attribute twice", "string_mask=utf8only", ["0.OU=B", "1.OU=A", "CN=Foreign CA"]],
  ];
  test.each(cases)("is byte for byte the subject of the CA: %s", (_, request, names) => {
    const ca = foreignCa(workshop, "EC P-256 in SEC1", { request, subject: names });
    const leaf = new X509Certificate(issueLeaf(ca, "a.test", "name", leafKey, now.getTime()).certPem);
    const caSubject = certificateFields(new X509Certificate(ca.certPem).raw)[5];
    expect(caSubject?.length).toBeGreaterThan(20);
    expect(certificateFields(leaf.raw)[3]?.toString("hex")).toBe(caSubject?.toString("hex"));
  });
});

describe("the authority key identifier", () => {
  function identifiers(ca: CertificateAuthority): { own: string | undefined; authority: string | undefined } {
    const leaf = issueLeaf(ca, "a.test", "name", leafKey, now.getTime()).certPem;
    const read = (pem: string, field: string): string | undefined => {
      const args = ["x509", "-in", workshop.file("id.crt", pem), "-noout", "-ext", field];
      return workshop
        .openssl(...args)
        .split("\n")[1]
        ?.replaceAll(":", "")
        .trim()
        .toLowerCase();
    };
    const own = ca.certPem.length > 0 ? read(ca.certPem, "subjectKeyIdentifier") : undefined;
    return { own, authority: read(leaf, "authorityKeyIdentifier") };
  }

  test("is the subject key identifier of the CA, however that was made", () => {
    const extensions = [...CA_EXTENSIONS.slice(0, 2), "subjectKeyIdentifier=0102030405060708"];
    const { own, authority } = identifiers(foreignCa(workshop, "EC P-256 in SEC1", { extensions }));
    expect(own).toBe("0102030405060708");
    expect(authority).toBe("0102030405060708");
  });

  test("is SHA-1 of the key when the CA has none", () => {
    const extensions = [...CA_EXTENSIONS.slice(0, 2), "subjectKeyIdentifier=none"];
    const ca = foreignCa(workshop, "EC P-256 in SEC1", { extensions });
    const spki = new X509Certificate(ca.certPem).publicKey.export({ format: "der", type: "spki" });
    const expected = new Bun.CryptoHasher("sha1").update(spki.subarray(-65)).digest("hex");
    expect(identifiers(ca)).toEqual({ own: undefined, authority: expected });
  });
});

describe("fromPem refuses", () => {
  const keyPem = makeKey(workshop, "refused.key", "EC P-256 in SEC1");
  const certPem = workshop.selfSign("refused.crt", "refused.key");
  const otherKey = makeKey(workshop, "other.key", "EC P-256 in SEC1");
  const extensions = (...lines: string[]): string =>
    workshop.selfSign("shaped.crt", "refused.key", { extensions: lines });
  const load = (cert: string, key = keyPem, at = new Date()) => CertificateAuthority.fromPem(cert, key, at);
  const later = new Date(now.getTime() + 31 * 86_400_000);
  const earlier = new Date(now.getTime() - 86_400_000);
  const iso = (date: Date): string => date.toISOString().slice(0, 10);

  const cases: [string, () => unknown, string, string][] = [
    ["a pair that does not match", () => load(certPem, otherKey), "pair", "the key does not belong to the"],
    [
      "a pair of different kinds",
      () => load(certPem, makeKey(workshop, "r.key", "RSA in PKCS#8")),
      "pair",
      "belong",
    ],
    ["an expired CA", () => load(certPem, keyPem, later), "certificate", `and it is ${iso(later)}`],
    ["a CA of tomorrow", () => load(certPem, keyPem, earlier), "certificate", "not valid before 2"],
    [
      "an end entity",
      () => load(extensions("basicConstraints=CA:FALSE")),
      "certificate",
      "no basicConstraints CA:TRUE",
    ],
    [
      "no basicConstraints",
      () => load(extensions("keyUsage=keyCertSign")),
      "certificate",
      "no basicConstraints",
    ],
    [
      "a CA that may not sign certificates",
      () => load(extensions("basicConstraints=critical,CA:TRUE", "keyUsage=cRLSign")),
      "certificate",
      "not a CA certificate (no keyCertSign in keyUsage)",
    ],
    ["a bundle", () => load(certPem + certPem), "certificate", "2 certificates in PEM form found"],
    ["no certificate", () => load(keyPem), "certificate", "0 certificates in PEM form found"],
    [
      "a damaged certificate",
      () => load(certPem.replace(/\nM..../, "\nAAAAA")),
      "certificate",
      "damaged certificate",
    ],
    ["a damaged key", () => load(certPem, "x"), "key", "0 private keys in PEM form found"],
  ];
  test.each(cases)("%s", (_, act, part, message) => {
    expect(act).toThrow(
      expect.objectContaining({ name: "CaError", part, message: expect.stringContaining(message) }),
    );
  });

  test("without a line of key material in the message", () => {
    const secret = keyPem.split("\n").filter((line) => line.length > 20 && !line.startsWith("-"));
    expect(secret.length).toBeGreaterThan(0);
    for (const [, act] of cases) {
      let message = "";
      try {
        act();
      } catch (error) {
        message = String(error);
      }
      expect(message).toStartWith("CaError: ");
      expect(secret.filter((line) => message.includes(line))).toEqual([]);
    }
  });
});

import { describe, expect, test } from "bun:test";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import * as certificate from "../../src/x509/certificate.ts";
import { bytesOf, childrenOf, encode } from "../../src/x509/der.ts";
import { SigningKey } from "../../src/x509/signing-key.ts";
import { certificateFields, DAY_MS, NOW } from "./support.ts";

const pair = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const key = new SigningKey(pair.privateKey);
const name = certificate.distinguishedName(["2.5.4.3", "example.com"]);

function make(): Buffer {
  return certificate.signCertificate(
    {
      issuer: name,
      subject: name,
      notBefore: NOW.getTime(),
      notAfter: NOW.getTime() + DAY_MS,
      publicKey: certificate.publicKeyInfo(pair.publicKey),
      extensions: [],
    },
    key,
  );
}

test("the serial number of 2000 certificates is positive, minimal, long and never the same", () => {
  const seen = new Set<string>();
  const wrong: string[] = [];
  for (let i = 0; i < 2000; i++) {
    const serial = certificateFields(make())[1] ?? Buffer.alloc(0);
    const [tag, length, first = 0xff, second = 0] = serial;
    const minimal = first !== 0 || second >= 0x80;
    if (tag !== 2 || length !== 16 || first >= 0x80 || !minimal) wrong.push(serial.toString("hex"));
    seen.add(serial.toString("hex"));
  }
  expect(wrong.slice(0, 5)).toEqual([]);
  expect(seen.size).toBe(2000);
});

test("the signature is over the body and the PEM is the one OpenSSL would write", () => {
  const der = make();
  const parsed = new X509Certificate(der);
  expect(parsed.verify(pair.publicKey)).toBe(true);
  expect(certificate.certificatePem(der)).toBe(parsed.toString());
});

test("a PEM whose base64 ends with a full line has no empty line", () => {
  expect(certificate.certificatePem(Buffer.alloc(48)).split("\n")).toEqual([
    "-----BEGIN CERTIFICATE-----",
    "A".repeat(64),
    "-----END CERTIFICATE-----",
    "",
  ]);
});

describe("extensions", () => {
  const value = certificate.distinguishedName();
  test("a critical one says so", () => {
    const node = certificate.extension("2.5.29.17", true, value);
    expect(encode(node).toString("hex")).toBe("300c0603551d110101ff04023000");
  });
  test("DER leaves out a criticality of false", () => {
    const node = certificate.extension("2.5.29.17", false, value);
    expect(encode(node).toString("hex")).toBe("30090603551d1104023000");
  });
  test("key identifiers are SHA-1 of the bare key", () => {
    const spki = certificate.publicKeyInfo(pair.publicKey);
    const point = bytesOf(childrenOf(spki)[1]).subarray(1);
    expect(point.length).toBe(65);
    const id = new Bun.CryptoHasher("sha1").update(point).digest("hex");
    expect(certificate.keyIdOf(spki).toString("hex")).toBe(id);
    expect(encode(certificate.subjectKeyIdExtension(Buffer.from(id, "hex"))).toString("hex")).toBe(
      `301d0603551d0e04160414${id}`,
    );
    expect(encode(certificate.authorityKeyIdExtension(Buffer.from(id, "hex"))).toString("hex")).toBe(
      `301f0603551d23041830168014${id}`,
    );
  });
});

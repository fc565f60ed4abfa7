import { afterAll, describe, expect, test } from "bun:test";
import { createPublicKey, verify } from "node:crypto";
import { SigningKey } from "../../src/x509/signing-key.ts";
import { KEY_KINDS, makeKey, openWorkshop } from "./support.ts";

const workshop = openWorkshop();
afterAll(() => workshop.remove());

describe("accepted", () => {
  test.each([...KEY_KINDS])("%s", (kind) => {
    const pem = makeKey(workshop, "accepted.key", kind);
    const message = Buffer.from("to be signed");
    const hash = kind.includes("P-384") ? "sha384" : "sha256";
    const signature = SigningKey.fromPem(pem).sign(message);
    expect(verify(hash, message, createPublicKey(pem), signature)).toBe(true);
  });

  test("a key beside a certificate in one file", () => {
    const pem = makeKey(workshop, "both.key", "EC P-256 in PKCS#8");
    const certificate = workshop.selfSign("both.crt", "both.key");
    expect(() => SigningKey.fromPem(`some text\n${certificate}${pem}`)).not.toThrow();
  });
});

describe("refused", () => {
  const made = (args: string): string => {
    workshop.openssl(...args.split(" "), "-out", "refused.key");
    return workshop.read("refused.key");
  };
  const cases: [string, () => string, string][] = [
    ["Ed25519", () => made("genpkey -algorithm ed25519"), "unsupported key (ed25519); expected RSA of 2048"],
    [
      "RSA of 1024 bits",
      () => made("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024"),
      "unsupported key (rsa 1024 bits)",
    ],
    ["EC P-521", () => made("ecparam -name secp521r1 -genkey"), "unsupported key (ec secp521r1)"],
    [
      "EC secp256k1",
      () => made("ecparam -name secp256k1 -genkey"),
      "damaged or unsupported key; expected RSA",
    ],
    ["encrypted PKCS#8", () => made("genpkey -algorithm RSA -aes128 -pass pass:x"), "encrypted key"],
    ["encrypted PKCS#1", () => made("genrsa -traditional -aes128 -passout pass:x"), "encrypted key"],
    ["an empty file", () => "", "0 private keys in PEM form found, expected one"],
    ["a public key", () => "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "0 private keys"],
    ["damaged base64", () => "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged"],
    ["two keys", () => makeKey(workshop, "two.key", "EC P-256 in PKCS#8").repeat(2), "2 private keys"],
  ];
  test.each(cases)("%s", (_, pem, message) => {
    expect(() => SigningKey.fromPem(pem())).toThrow(
      expect.objectContaining({ name: "CaError", part: "key", message: expect.stringContaining(message) }),
    );
  });
});

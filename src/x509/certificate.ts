// An X.509 v3 certificate put together from its parts, and the extensions we write. It decides nothing: who may be
// named, for how long and by whom is ca.ts and leaf.ts. RFC 5280 sections 4.1 and 4.2.

import { createHash, type KeyObject, randomBytes } from "node:crypto";
import {
  type Asn1,
  bitString,
  boolean,
  bytesOf,
  childrenOf,
  decode,
  encode,
  explicitTag,
  implicitTag,
  integer,
  octetString,
  oid,
  sequence,
  setOf,
  time,
  utf8String,
} from "./der.ts";
import type { SigningKey } from "./signing-key.ts";

export const OID = {
  organization: "2.5.4.10",
  commonName: "2.5.4.3",
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyId: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
} as const;

/** RFC 5280 section 4.1.2.2 allows 20 octets; 16 hold more than the 64 random bits that verifiers ask for. */
const SERIAL_BYTES = 16;
const VERSION_3 = explicitTag(0, integer(Uint8Array.of(2)));

export interface CertificateParts {
  readonly issuer: Asn1;
  readonly subject: Asn1;
  /** Milliseconds since the epoch, whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Asn1;
  readonly extensions: readonly Asn1[];
}

/** The DER of the signed certificate, with a fresh random serial number. */
export function signCertificate(parts: CertificateParts, key: SigningKey): Buffer {
  const body = sequence(
    VERSION_3,
    integer(newSerial()),
    key.algorithm,
    parts.issuer,
    sequence(time(parts.notBefore), time(parts.notAfter)),
    parts.subject,
    parts.publicKey,
    explicitTag(3, sequence(...parts.extensions)),
  );
  return encode(sequence(body, key.algorithm, bitString(key.sign(encode(body)))));
}

/** A Name with one attribute per RDN, in the order given. Values must be ASCII. */
export function distinguishedName(...attributes: readonly (readonly [type: string, value: string])[]): Asn1 {
  return sequence(...attributes.map(([type, value]) => setOf(sequence(oid(type), utf8String(value)))));
}

export function extension(id: string, critical: boolean, value: Asn1): Asn1 {
  const content = octetString(encode(value));
  // DER: a BOOLEAN that equals its default (FALSE) is left out.
  return critical ? sequence(oid(id), boolean(true), content) : sequence(oid(id), content);
}

export function subjectKeyIdExtension(keyId: Uint8Array): Asn1 {
  return extension(OID.subjectKeyId, false, octetString(keyId));
}

export function authorityKeyIdExtension(keyId: Uint8Array): Asn1 {
  return extension(OID.authorityKeyId, false, sequence(implicitTag(0, keyId)));
}

/** SubjectPublicKeyInfo of a public key. */
export function publicKeyInfo(key: KeyObject): Asn1 {
  const node = decode(key.export({ format: "der", type: "spki" }));
  if (node === undefined) throw new Error("the runtime exported a public key that is not DER");
  return node;
}

/** RFC 5280 section 4.2.1.2, method 1: SHA-1 of the BIT STRING without tag, length and unused-bits octet. */
export function keyIdOf(publicKey: Asn1): Buffer {
  return createHash("sha1")
    .update(bytesOf(childrenOf(publicKey)[1]).subarray(1))
    .digest();
}

export function certificatePem(der: Buffer): string {
  const lines = der.toString("base64").replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

/** Positive and minimal whatever the dice say: the first octet is 0x40 to 0x7f, so it needs no zero before it. */
function newSerial(): Buffer {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

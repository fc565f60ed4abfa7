// The certificate authority: made anew, or loaded from PEM. PEM in and out, no files, no clock. What makes a CA
// unusable is found here, at start-up, so that issuing cannot fail later. wire.md section 3, RFC 5280 section 4.2.1.

import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { CaError } from "./ca-error.ts";
import {
  authorityKeyIdExtension,
  certificatePem,
  distinguishedName,
  extension,
  keyIdOf,
  OID,
  publicKeyInfo,
  signCertificate,
  subjectKeyIdExtension,
} from "./certificate.ts";
import {
  type Asn1,
  bitString,
  boolean,
  bytesOf,
  childrenOf,
  decode,
  encode,
  integer,
  isContextTag,
  oid,
  sequence,
} from "./der.ts";
import { SigningKey } from "./signing-key.ts";

const LIFETIME_YEARS = 10;
/** Clients in a container or a virtual machine may be behind. */
const BACKDATE_MS = 3_600_000;
/** KeyUsage bits: keyCertSign is bit 5, cRLSign bit 6 of the first octet. */
const KEY_CERT_SIGN = 0x04;
const CRL_SIGN = 0x02;
const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** What a leaf names and how long it lives; the CA adds its own name, key identifier, serial and signature. */
export interface LeafParts {
  readonly subject: Asn1;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly publicKey: Asn1;
  readonly extensions: readonly Asn1[];
}

export class CertificateAuthority {
  /** The CA certificate alone, in PEM. Safe to publish, whatever else its file held. */
  readonly certPem: string;
  /** Validity in milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly #key: SigningKey;
  readonly #subject: Asn1;
  readonly #authorityKeyId: Asn1;

  private constructor(certificate: X509Certificate, key: SigningKey) {
    const fields = issuerFields(certificate.raw);
    this.certPem = certificatePem(certificate.raw);
    this.notBefore = Date.parse(certificate.validFrom);
    this.notAfter = Date.parse(certificate.validTo);
    this.#key = key;
    this.#subject = fields.subject;
    this.#authorityKeyId = authorityKeyIdExtension(fields.keyId);
  }

  /** A new CA on EC P-256. `keyPem` is PKCS#8: the caller keeps it secret. */
  static generate(now: Date): { readonly ca: CertificateAuthority; readonly keyPem: string } {
    const pair = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    const key = new SigningKey(pair.privateKey);
    const name = distinguishedName([OID.organization, "Moat"], [OID.commonName, "Moat CA"]);
    const publicKey = publicKeyInfo(pair.publicKey);
    const end = new Date(now);
    end.setUTCFullYear(end.getUTCFullYear() + LIFETIME_YEARS);
    const usage = bitString(Uint8Array.of(KEY_CERT_SIGN | CRL_SIGN), 1);
    const der = signCertificate(
      {
        issuer: name,
        subject: name,
        notBefore: now.getTime() - BACKDATE_MS,
        notAfter: end.getTime(),
        publicKey,
        extensions: [
          extension(OID.basicConstraints, true, sequence(boolean(true), integer(Uint8Array.of(0)))),
          extension(OID.keyUsage, true, usage),
          subjectKeyIdExtension(keyIdOf(publicKey)),
        ],
      },
      key,
    );
    const keyPem = pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
    return { ca: new CertificateAuthority(new X509Certificate(der), key), keyPem };
  }

  /**
   * Loads a CA. `certPem` holds one certificate, `keyPem` one unencrypted private key; other text is passed over.
   * Throws CaError, whose `part` says which of the two is at fault.
   */
  static fromPem(certPem: string, keyPem: string, now: Date): CertificateAuthority {
    const certificate = parseCertificate(certPem);
    const key = SigningKey.fromPem(keyPem);
    if (!key.belongsTo(certificate)) {
      throw new CaError("pair", "the key does not belong to the certificate; expected a pair");
    }
    const ca = new CertificateAuthority(certificate, key);
    if (now.getTime() > ca.notAfter) throw outside("expired on", ca.notAfter, now);
    if (now.getTime() < ca.notBefore) throw outside("not valid before", ca.notBefore, now);
    return ca;
  }

  /** The DER of a certificate issued by this CA. */
  issue(leaf: LeafParts): Buffer {
    const extensions = [...leaf.extensions, this.#authorityKeyId];
    return signCertificate({ ...leaf, extensions, issuer: this.#subject }, this.#key);
  }
}

function parseCertificate(pem: string): X509Certificate {
  const blocks = pem.match(CERTIFICATE_BLOCK) ?? [];
  const [block] = blocks;
  // A bundle does not say which of its certificates clients trust: guessing wrong breaks every handshake.
  if (block === undefined || blocks.length > 1) {
    throw new CaError(
      "certificate",
      `${blocks.length} certificates in PEM form found, expected the CA's alone`,
    );
  }
  try {
    return new X509Certificate(block);
  } catch {
    throw new CaError("certificate", "damaged certificate; expected X.509 in PEM form");
  }
}

/**
 * What leaves repeat of their CA; TBSCertificate, RFC 5280 section 4.1.
 * Throws CaError `certificate` for a certificate that may not issue others.
 */
function issuerFields(der: Buffer): { readonly subject: Asn1; readonly keyId: Buffer } {
  const all = childrenOf(childrenOf(decode(der))[0]);
  // A version 1 certificate has no version field, and no extensions either.
  const [, , , , subject, publicKey, ...rest] = isContextTag(all[0], 0) ? all.slice(1) : all;
  // Go compares issuer and subject byte for byte: a name that would encode differently must not pass.
  if (subject === undefined || publicKey === undefined || !der.includes(encode(subject))) {
    throw new CaError("certificate", "damaged certificate; expected X.509 in DER form inside the PEM");
  }
  const extensions = childrenOf(childrenOf(rest.find((part) => isContextTag(part, 3)))[0]);
  const [isCa] = childrenOf(find(extensions, OID.basicConstraints));
  if (bytesOf(isCa)[0] !== 0xff) throw notCa("no basicConstraints CA:TRUE");
  // Octet 0 counts the unused bits. Without the extension every use is allowed.
  const usage = find(extensions, OID.keyUsage);
  const maySign = usage === undefined || ((bytesOf(usage)[1] ?? 0) & KEY_CERT_SIGN) !== 0;
  if (!maySign) throw notCa("no keyCertSign in keyUsage");
  const keyId = bytesOf(find(extensions, OID.subjectKeyId));
  return { subject, keyId: keyId.length > 0 ? keyId : keyIdOf(publicKey) };
}

/** The value of an extension, out of its OCTET STRING: the last part, after the id and perhaps `critical`. */
function find(extensions: readonly Asn1[], id: string): Asn1 | undefined {
  const wanted = bytesOf(oid(id));
  const parts = extensions.map(childrenOf).find(([type]) => bytesOf(type).equals(wanted));
  return parts === undefined ? undefined : decode(bytesOf(parts.at(-1)));
}

function notCa(lack: string): CaError {
  return new CaError(
    "certificate",
    `not a CA certificate (${lack}); expected one that may issue certificates`,
  );
}

function outside(what: string, ms: number, now: Date): CaError {
  const at = (date: Date) => `${date.toISOString().slice(0, -5)}Z`;
  return new CaError(
    "certificate",
    `${what} ${at(new Date(ms))}, and it is ${at(now)}; expected a CA that is valid now`,
  );
}

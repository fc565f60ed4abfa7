// A leaf certificate for one CONNECT host, and the key all leaves of a process share. It names that host and
// nothing else. The host arrives canonical (values/authority.ts); whether it may be minted is not decided here.
// wire.md section 3, RFC 5280 sections 4.1.2.6 and 4.2.1.6.

import { generateKeyPairSync } from "node:crypto";
import type { Authority } from "../values/authority.ts";
import { ProxyError } from "../values/errors.ts";
import type { CertificateAuthority } from "./ca.ts";
import {
  certificatePem,
  distinguishedName,
  extension,
  keyIdOf,
  OID,
  publicKeyInfo,
  subjectKeyIdExtension,
} from "./certificate.ts";
import { type Asn1, addressBytes, bitString, implicitTag, oid, sequence } from "./der.ts";

export const LEAF_LIFETIME_MS = 7 * 86_400_000;
/** Client clocks run behind; wire.md: not before one hour ago. */
export const LEAF_BACKDATE_MS = 3_600_000;
const SECOND_MS = 1000;
/** ub-common-name, RFC 5280 appendix A. */
const MAX_COMMON_NAME = 64;
/** GeneralName: dNSName [2], iPAddress [7]. */
const DNS_NAME = 2;
const IP_ADDRESS = 7;

/** digitalSignature is bit 0. keyEncipherment is for RSA keys; the leaf key is EC. */
const KEY_USAGE = extension(OID.keyUsage, true, bitString(Uint8Array.of(0x80), 7));
const EXTENDED_KEY_USAGE = extension(OID.extendedKeyUsage, false, sequence(oid(OID.serverAuth)));
const EMPTY_NAME = sequence();

/** A P-256 key with the parts of it that every leaf repeats. */
export interface LeafKey {
  /** PKCS#8. */
  readonly pem: string;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Asn1;
  readonly subjectKeyId: Asn1;
}

/** What a TLS server needs to be that host. */
export interface Leaf {
  /** The leaf, then the CA. */
  readonly certPem: string;
  readonly keyPem: string;
  /** Milliseconds since the epoch, as encoded. */
  readonly notAfter: number;
}

export function generateLeafKey(): LeafKey {
  const pair = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const publicKey = publicKeyInfo(pair.publicKey);
  return {
    pem: pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    publicKey,
    subjectKeyId: subjectKeyIdExtension(keyIdOf(publicKey)),
  };
}

/**
 * Mints a leaf. Its validity never leaves that of the CA.
 * @param host canonical, as `canonicalHost` gives it, and `kind` with it
 * @param nowMs wall clock, milliseconds since the epoch
 * @throws ProxyError `internal-error` once the CA has expired
 */
export function issueLeaf(
  ca: CertificateAuthority,
  host: string,
  kind: Authority["kind"],
  leafKey: LeafKey,
  nowMs: number,
): Leaf {
  if (nowMs > ca.notAfter)
    throw new ProxyError("internal-error", "the CA certificate of the proxy has expired");
  const notAfter = wholeSeconds(Math.min(nowMs + LEAF_LIFETIME_MS, ca.notAfter));
  const named = host.length <= MAX_COMMON_NAME;
  const name =
    kind === "name"
      ? implicitTag(DNS_NAME, Buffer.from(host, "latin1"))
      : implicitTag(IP_ADDRESS, addressBytes(host));
  const der = ca.issue({
    subject: named ? distinguishedName([OID.commonName, host]) : EMPTY_NAME,
    notBefore: wholeSeconds(Math.max(nowMs - LEAF_BACKDATE_MS, ca.notBefore)),
    notAfter,
    publicKey: leafKey.publicKey,
    extensions: [
      KEY_USAGE,
      EXTENDED_KEY_USAGE,
      // "If the subject field contains an empty sequence, then the issuing CA MUST include a subjectAltName
      // extension that is marked as critical."
      extension(OID.subjectAltName, !named, sequence(name)),
      leafKey.subjectKeyId,
    ],
  });
  return { certPem: certificatePem(der) + ca.certPem, keyPem: leafKey.pem, notAfter };
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / SECOND_MS) * SECOND_MS;
}

// The private key of a CA: which kinds are accepted, and the signature each one makes. node-forge signs with RSA
// only and in JavaScript, so node:crypto signs. The key leaves this file as a signature and in no other form.
// RFC 8017 (PKCS#1), RFC 5915 (SEC1), RFC 5958 (PKCS#8); algorithm identifiers from RFC 4055 and RFC 5758.

import { createPrivateKey, type KeyObject, sign, type X509Certificate } from "node:crypto";
import { CaError } from "./ca-error.ts";
import { type Asn1, nullValue, oid, sequence } from "./der.ts";

/** Below this, verifiers refuse the chain (OpenSSL security level 2, Java, browsers). */
const MIN_RSA_BITS = 2048;
const EXPECTED = `expected RSA of ${MIN_RSA_BITS} bits or more, EC P-256 or EC P-384 as PKCS#1, SEC1 or PKCS#8`;
const KEY_BLOCK = /-----BEGIN ([A-Z ]*)PRIVATE KEY-----[\s\S]+?-----END \1PRIVATE KEY-----/g;

/** "RFC 4055 section 5: the parameters MUST be NULL"; for ECDSA, "RFC 5758 section 3.2: absent". */
const RSA_SHA256 = sequence(oid("1.2.840.113549.1.1.11"), nullValue());
const ECDSA_SHA256 = sequence(oid("1.2.840.10045.4.3.2"));
const ECDSA_SHA384 = sequence(oid("1.2.840.10045.4.3.3"));

export class SigningKey {
  /** AlgorithmIdentifier of the signatures. */
  readonly algorithm: Asn1;
  readonly #key: KeyObject;
  readonly #hash: "sha256" | "sha384";

  /** Throws CaError `key` for a kind of key that is not supported. */
  constructor(key: KeyObject) {
    this.#key = key;
    const curve = key.asymmetricKeyDetails?.namedCurve;
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    this.#hash = curve === "secp384r1" ? "sha384" : "sha256";
    if (curve === "prime256v1") this.algorithm = ECDSA_SHA256;
    else if (curve === "secp384r1") this.algorithm = ECDSA_SHA384;
    else if (key.asymmetricKeyType === "rsa" && bits >= MIN_RSA_BITS) this.algorithm = RSA_SHA256;
    else {
      const kind = [key.asymmetricKeyType, curve, bits > 0 ? `${bits} bits` : undefined];
      throw new CaError("key", `unsupported key (${kind.filter(Boolean).join(" ")}); ${EXPECTED}`);
    }
  }

  /** Loads the one private key of `pem`; other blocks are passed over. Throws CaError `key`. */
  static fromPem(pem: string): SigningKey {
    const blocks = pem.match(KEY_BLOCK) ?? [];
    const [block] = blocks;
    if (block === undefined || blocks.length > 1) {
      throw new CaError("key", `${blocks.length} private keys in PEM form found, expected one`);
    }
    return new SigningKey(parse(block));
  }

  /** The signature over `bytes` as it stands in a certificate. */
  sign(bytes: Uint8Array): Buffer {
    return sign(this.#hash, bytes, this.#key);
  }

  belongsTo(certificate: X509Certificate): boolean {
    return certificate.checkPrivateKey(this.#key);
  }
}

function parse(block: string): KeyObject {
  try {
    return createPrivateKey(block);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ERR_MISSING_PASSPHRASE")
      throw new CaError("key", "encrypted key; expected one without a passphrase");
    throw new CaError("key", `damaged or unsupported key; ${EXPECTED}`);
  }
}

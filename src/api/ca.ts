// The library's certificate authority: opened from a directory, or made there. Reference: `CA`, `NewCA`, `GenerateCert`.
// The key never leaves it.

import { type OpenedCa, openCa } from "../config/ca-files.ts";
import { canonicalHost } from "../values/authority.ts";
import type { CertificateAuthority } from "../x509/ca.ts";
import { LeafCache } from "../x509/leaf-cache.ts";

/** What a TLS server needs to be the host for clients that trust the CA. */
export interface GeneratedCert {
  /** PEM of the leaf, and of the CA behind it. */
  readonly cert: string;
  /** PEM, PKCS#8. */
  readonly key: string;
}

export class CA {
  /** PEM of the certificate that clients have to trust. */
  readonly certPem: string;
  /** Absolute path of the file that holds it. */
  readonly certPath: string;
  readonly #opened: OpenedCa;
  readonly #leaves: LeafCache;

  private constructor(opened: OpenedCa) {
    this.#opened = opened;
    this.certPem = opened.ca.certPem;
    this.certPath = opened.certPath;
    this.#leaves = new LeafCache({ ca: opened.ca, now: Date.now });
  }

  /**
   * Loads `ca.crt` and `ca.key`, or makes both in a directory that holds neither. Reference: `NewCA(dir)`.
   * @throws Error of one line: a missing half, a mismatch, an expired CA, a file system error
   */
  static open(dir: string): CA {
    return new CA(openCa({ dir }, new Date()));
  }

  /**
   * A certificate for this host and nothing else, at most 7 days valid; the same one until a day before its end.
   * @param host a name or an IP address, without port
   * @throws Error for what is no host
   */
  generateCert(host: string): GeneratedCert {
    const { host: canonical, kind } = canonicalHost(host);
    const leaf = this.#leaves.get(canonical, kind);
    return { cert: leaf.certPem, key: leaf.keyPem };
  }

  /** One line each: what the operator should mend. */
  get warnings(): readonly string[] {
    return this.#opened.warnings;
  }

  /** @internal for the server */
  get authority(): CertificateAuthority {
    return this.#opened.ca;
  }
}

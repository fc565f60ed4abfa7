// Which certificate authorities vouch for upstream servers: the runtime's list, and the operator's file beside it.
// The runtime's `ca` option replaces its list, so both are passed. wire.md section 2 (tls.upstream_ca).

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { getCACertificates } from "node:tls";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/**
 * @param file PEM with extra roots; undefined keeps the runtime's list alone
 * @returns PEM, or undefined when the runtime's own list is to be used
 * @throws Error of one line that names the file
 */
export function upstreamRoots(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  const extra = read(file);
  const certificates = extra.match(CERTIFICATE) ?? [];
  if (certificates.length === 0) throw new Error(`upstream CA ${file}: no PEM certificate in it`);
  certificates.forEach((pem, index) => {
    if (!isCertificate(pem)) throw new Error(`upstream CA ${file}: certificate ${index + 1} cannot be read`);
  });
  // One text: the runtime recognises it from one connection to the next faster than a list.
  return [...getCACertificates("default"), extra].join("\n");
}

// The runtime passes over what it cannot read, and the operator would look for the mistake elsewhere.
function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    throw new Error(`upstream CA ${file}: cannot be read (${code})`);
  }
}

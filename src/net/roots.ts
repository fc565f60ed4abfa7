// Which certificate authorities vouch for upstream servers: the runtime's list, and beside it the operator's file and
// the host's own store. The runtime's `ca` option replaces its list, so all are passed. wire.md section 2
// (tls.upstream_ca, tls.system_roots).

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { getCACertificates } from "node:tls";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

export interface RootSources {
  /** PEM with extra roots. */
  readonly file: string | undefined;
  /** Also what this host's own store trusts. */
  readonly system: boolean;
}

/**
 * The sources add to the runtime's list and never replace it. The file is read now; the lists, which take 4 MB, when the
 * roots are first asked for.
 * @returns what gives the PEM, or undefined when the runtime's own list is to be used
 * @throws Error of one line that names the file
 */
export function upstreamRoots({ file, system }: RootSources): (() => string) | undefined {
  if (file === undefined && !system) return undefined;
  const own = file === undefined ? [] : certificatesIn(file);
  return () => {
    const certificates = [
      ...getCACertificates("default"),
      ...(system ? getCACertificates("system") : []),
      ...own,
    ];
    // The host's store repeats most of the runtime's list, with other line ends.
    const roots = new Map(certificates.map((pem) => [pem.replace(/\s+/g, ""), pem]));
    return [...roots.values()].join("\n");
  };
}

function certificatesIn(file: string): readonly string[] {
  const certificates = read(file).match(CERTIFICATE) ?? [];
  if (certificates.length === 0) throw new Error(`upstream CA ${file}: no PEM certificate in it`);
  certificates.forEach((pem, index) => {
    if (!isCertificate(pem)) throw new Error(`upstream CA ${file}: certificate ${index + 1} cannot be read`);
  });
  return certificates;
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

// The certificates we show to upstreams that ask for one: read and checked at start and on a reload, found by host. A
// host without an entry never sees one. wire.md section 2 (tls.client_certs).

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { HostTable, parseHostPattern } from "../policy/host-pattern.ts";
import type { Authority } from "../values/authority.ts";

/** As the runtime's TLS takes it. */
export interface ClientCertificate {
  /** PEM, the certificate first, then what leads from it to its root. */
  readonly cert: string;
  /** PEM, PKCS#8. */
  readonly key: string;
}

export interface ClientCertificateFiles {
  /** Host pattern; without a port it takes any. */
  readonly host: string;
  readonly cert: string;
  readonly key: string;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
const ENCRYPTED = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

/**
 * Reads all files now; the result never touches them again.
 * @throws Error of one line that names the host, the file and what is wrong with it
 */
export function loadClientCerts(
  items: readonly ClientCertificateFiles[],
): (authority: Authority) => ClientCertificate | undefined {
  const table = new HostTable<ClientCertificate>();
  for (const item of items) {
    const pattern = parseHostPattern(item.host);
    if (table.get(pattern) !== undefined) {
      throw new Error(`client certificate for ${item.host}: the host is named twice`);
    }
    table.set(pattern, load(item));
  }
  return (authority) => table.lookup(authority);
}

function load({ host, cert, key }: ClientCertificateFiles): ClientCertificate {
  const chain = read(host, cert).match(CERTIFICATE) ?? [];
  const [own] = chain.map((pem, index) => {
    const certificate = parsed(pem);
    if (certificate === undefined) throw problem(host, cert, `certificate ${index + 1} cannot be read`);
    return certificate;
  });
  if (own === undefined) throw problem(host, cert, "no PEM certificate in it");
  const privateKey = parsedKey(host, key);
  if (!own.checkPrivateKey(privateKey)) {
    throw problem(host, key, `not the key of the first certificate in ${cert}`);
  }
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  return { cert: chain.join("\n"), key: pem.toString() };
}

function parsed(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function parsedKey(host: string, file: string): KeyObject {
  const text = read(host, file);
  if (ENCRYPTED.test(text)) throw problem(host, file, "the key is encrypted; decrypt it with openssl pkey");
  try {
    return createPrivateKey(text);
  } catch {
    // What the runtime says may quote the file.
    throw problem(host, file, "no PEM private key in it that can be read");
  }
}

function read(host: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    throw problem(host, file, `cannot be read (${code})`);
  }
}

function problem(host: string, file: string, what: string): Error {
  return new Error(`client certificate for ${host}: ${file}: ${what}`);
}

// Certificates by another hand: openssl makes foreign CAs and reads ours, so that no test asks our own code
// whether our own code is right. No network; everything lies in one temporary directory per test file.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateAuthority } from "../../src/x509/ca.ts";

export const NOW = new Date();
export const DAY_MS = 86_400_000;
/** 70 characters: too long for a common name. */
export const LONG_HOST = `${"a".repeat(35)}.${"b".repeat(22)}.example.com`;

export interface Workshop {
  readonly dir: string;
  /** Runs openssl in the directory; returns its stdout. */
  openssl(...args: string[]): string;
  /** Writes a file into the directory; returns its absolute path. */
  file(name: string, content: string): string;
  read(name: string): string;
  /** A self-signed CA on the key in `keyFile`; `config` lines replace those of the extension section. */
  selfSign(name: string, keyFile: string, options?: ForeignCa): string;
  remove(): void;
}

export interface ForeignCa {
  readonly extensions?: readonly string[];
  readonly subject?: readonly string[];
  /** A line for the [req] section. */
  readonly request?: string;
  readonly days?: number;
}

export const CA_EXTENSIONS = [
  "basicConstraints=critical,CA:TRUE",
  "keyUsage=critical,keyCertSign,cRLSign",
  "subjectKeyIdentifier=hash",
];

export function openWorkshop(): Workshop {
  const dir = mkdtempSync(join(tmpdir(), "moat-x509-"));
  const openssl = (...args: string[]): string =>
    execFileSync("openssl", args, { cwd: dir, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const file = (name: string, content: string): string => {
    writeFileSync(join(dir, name), content);
    return join(dir, name);
  };
  const read = (name: string): string => readFileSync(join(dir, name), "utf8");
  return {
    dir,
    openssl,
    file,
    read,
    selfSign(name, keyFile, options = {}) {
      const lines = [
        "[req]",
        "distinguished_name=dn",
        "x509_extensions=ext",
        "prompt=no",
        options.request ?? "",
        "[dn]",
        ...(options.subject ?? ["CN=Foreign CA"]),
        "[ext]",
        ...(options.extensions ?? CA_EXTENSIONS),
      ];
      file(`${name}.cnf`, lines.join("\n"));
      const days = String(options.days ?? 30);
      openssl("req", "-x509", "-new", "-key", keyFile, "-config", `${name}.cnf`, "-days", days, "-out", name);
      return read(name);
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

export const KEY_KINDS = [
  "EC P-256 in SEC1",
  "EC P-256 in PKCS#8",
  "EC P-384 in SEC1",
  "EC P-384 in PKCS#8",
  "RSA in PKCS#1",
  "RSA in PKCS#8",
] as const;

/** A private key of that kind, in the file `name`. */
export function makeKey(workshop: Workshop, name: string, kind: (typeof KEY_KINDS)[number]): string {
  const pkcs8 = kind.endsWith("PKCS#8");
  const made = pkcs8 ? `${name}.tmp` : name;
  if (kind.startsWith("RSA")) workshop.openssl("genrsa", "-traditional", "-out", made, "2048");
  else {
    const curve = kind.includes("P-256") ? "prime256v1" : "secp384r1";
    workshop.openssl("ecparam", "-name", curve, "-genkey", "-out", made);
  }
  if (pkcs8) workshop.openssl("pkcs8", "-topk8", "-nocrypt", "-in", made, "-out", name);
  return workshop.read(name);
}

export function foreignCa(
  workshop: Workshop,
  kind: (typeof KEY_KINDS)[number],
  options?: ForeignCa,
): CertificateAuthority {
  const name = `${kind.replace(/[^A-Za-z0-9]/g, "")}${Math.random().toString(36).slice(2)}`;
  const keyPem = makeKey(workshop, `${name}.key`, kind);
  const certPem = workshop.selfSign(`${name}.crt`, `${name}.key`, options);
  return CertificateAuthority.fromPem(certPem, keyPem, new Date());
}

/** The fields of a TBSCertificate as byte slices, by a reader of our own: tag, length, content. */
export function certificateFields(der: Buffer): readonly Buffer[] {
  return split(split(der)[0] ?? Buffer.alloc(0));
}

function split(der: Buffer): Buffer[] {
  const [start, end] = content(der, 0);
  const parts: Buffer[] = [];
  for (let at = start; at < end; ) {
    const [, next] = content(der, at);
    parts.push(der.subarray(at, next));
    at = next;
  }
  return parts;
}

function content(der: Buffer, at: number): [start: number, end: number] {
  const first = der[at + 1] ?? 0;
  if (first < 0x80) return [at + 2, at + 2 + first];
  const size = first & 0x7f;
  const start = at + 2 + size;
  return [start, start + der.readUIntBE(at + 2, size)];
}

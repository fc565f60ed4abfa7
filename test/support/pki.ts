// A certificate authority and server certificates for test upstreams, made by the openssl command line
// once per test process, in a temporary directory that goes away with it. Valid ones, and every kind of bad one.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { scratchDir } from "./scratch.ts";

export interface ServerCertificate {
  /** The PEM chain to present. */
  readonly cert: string;
  readonly key: string;
}

export interface Pki {
  /** The PEM of the authority that the proxy is told to trust with --upstream-ca. */
  readonly ca: string;
  readonly caPath: string;
  /** For localhost, its sub domains, 127.0.0.1 to 127.0.0.9 and ::1. */
  readonly valid: ServerCertificate;
  /** Right name, right authority, ended in 2021. */
  readonly expired: ServerCertificate;
  /** Right name, right authority, begins in 2090. */
  readonly notYetValid: ServerCertificate;
  readonly selfSigned: ServerCertificate;
  /** Right authority, for another name. */
  readonly wrongName: ServerCertificate;
  /** Right name, an authority that nobody trusts. */
  readonly otherCa: ServerCertificate;
}

/** Runs openssl and returns its standard output; throws with its complaint. */
export function openssl(args: readonly string[], input?: string): string {
  const run = Bun.spawnSync(["openssl", ...args], {
    stdin: input === undefined ? "ignore" : Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
  });
  if (run.exitCode !== 0) throw new Error(`openssl ${args.join(" ")}: ${run.stderr.toString()}`);
  return run.stdout.toString();
}

const GOOD_NAMES = [
  "DNS:localhost",
  "DNS:*.localhost",
  ...Array.from({ length: 9 }, (_, index) => `IP:127.0.0.${index + 1}`),
  "IP:::1",
].join(",");

const LONG_AGO = ["20200101000000Z", "20210101000000Z"] as const;
const FAR_AHEAD = ["20900101000000Z", "20910101000000Z"] as const;
const NOW = ["20240101000000Z", "20480101000000Z"] as const;

function config(dir: string, names: string): string {
  return [
    "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=upstream for tests\n[other]",
    "[ca]\ndefault_ca=main\n[main]",
    `database=${dir}/index.txt\nserial=${dir}/serial\nnew_certs_dir=${dir}\ndefault_md=sha256\npolicy=any\nunique_subject=no`,
    "[any]\ncommonName=supplied",
    "[authority]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash",
    "[server]\nbasicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth",
    `subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName=${names}`,
    "",
  ].join("\n");
}

function newKey(path: string): void {
  openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path]);
}

/** An authority of its own in `dir`; returns the paths of certificate and key. */
function makeAuthority(dir: string, name: string): { cert: string; key: string } {
  const cert = join(dir, `${name}.crt`);
  const key = join(dir, `${name}.key`);
  const settings = join(dir, `${name}.cnf`);
  newKey(key);
  writeFileSync(settings, config(dir, GOOD_NAMES));
  openssl(
    ["req", "-x509", "-new", "-key", key, "-subj", `/CN=${name} for tests`, "-days", "3650"].concat([
      "-config",
      settings,
      "-extensions",
      "authority",
      "-out",
      cert,
    ]),
  );
  return { cert, key };
}

function build(dir: string): Pki {
  writeFileSync(join(dir, "index.txt"), "");
  writeFileSync(join(dir, "serial"), "1000\n");
  const trusted = makeAuthority(dir, "trusted");
  const other = makeAuthority(dir, "other");
  const read = (path: string): string => readFileSync(path, "utf8");

  const issue = (
    label: string,
    authority: { cert: string; key: string },
    period: readonly [string, string],
    names: string,
  ): ServerCertificate => {
    const key = join(dir, `${label}.key`);
    const request = join(dir, `${label}.csr`);
    const cert = join(dir, `${label}.crt`);
    const settings = join(dir, `${label}.cnf`);
    newKey(key);
    writeFileSync(settings, config(dir, names));
    openssl(["req", "-new", "-key", key, "-config", settings, "-subj", `/CN=${label}`, "-out", request]);
    openssl(
      [
        "ca",
        "-batch",
        "-notext",
        "-config",
        settings,
        "-cert",
        authority.cert,
        "-keyfile",
        authority.key,
      ].concat([
        "-startdate",
        period[0],
        "-enddate",
        period[1],
        "-extensions",
        "server",
        "-in",
        request,
        "-out",
        cert,
      ]),
    );
    return { cert: read(cert), key: read(key) };
  };

  const selfKey = join(dir, "self.key");
  const selfCert = join(dir, "self.crt");
  newKey(selfKey);
  openssl(
    ["req", "-x509", "-new", "-key", selfKey, "-subj", "/CN=localhost", "-days", "365"].concat([
      "-config",
      join(dir, "trusted.cnf"),
      "-extensions",
      "server",
      "-out",
      selfCert,
    ]),
  );
  return {
    ca: read(trusted.cert),
    caPath: trusted.cert,
    valid: issue("valid", trusted, NOW, GOOD_NAMES),
    expired: issue("expired", trusted, LONG_AGO, GOOD_NAMES),
    notYetValid: issue("future", trusted, FAR_AHEAD, GOOD_NAMES),
    selfSigned: { cert: read(selfCert), key: read(selfKey) },
    wrongName: issue("elsewhere", trusted, NOW, "DNS:elsewhere.example.test,IP:192.0.2.1"),
    otherCa: issue("stranger", other, NOW, GOOD_NAMES),
  };
}

let made: Pki | undefined;

/** The test certificates of this process. */
export function pki(): Pki {
  if (made === undefined) {
    made = build(scratchDir("moat-pki-"));
  }
  return made;
}

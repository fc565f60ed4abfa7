// What the ca commands print: the facts of a certificate, and how each platform is made to trust it. Pure: a path or
// a certificate goes in, lines come out. Sources: the platforms' own manuals, named beside each where they surprise.

import type { X509Certificate } from "node:crypto";
import { shellWord } from "../values/shell-word.ts";
import { paint, type Style, wrap } from "./terminal.ts";

const DAY_MS = 24 * 3_600_000;

export interface CertificateFacts {
  readonly path: string;
  /** `O=Moat, CN=Moat CA`. */
  readonly subject: string;
  /** RFC 3339. */
  readonly not_before: string;
  readonly not_after: string;
  /** Negative once expired. */
  readonly days_left: number;
  readonly key: string;
  readonly serial: string;
  /** Upper-case pairs with colons, as OpenSSL and browsers show it. */
  readonly sha256: string;
}

export function certificateFacts(path: string, certificate: X509Certificate, now: Date): CertificateFacts {
  const { asymmetricKeyType = "", asymmetricKeyDetails } = certificate.publicKey;
  const size = asymmetricKeyDetails?.namedCurve ?? asymmetricKeyDetails?.modulusLength;
  return {
    path,
    subject: certificate.subject.split("\n").join(", "),
    not_before: new Date(certificate.validFrom).toISOString(),
    not_after: new Date(certificate.validTo).toISOString(),
    days_left: Math.floor((Date.parse(certificate.validTo) - now.getTime()) / DAY_MS),
    key: `${asymmetricKeyType.toUpperCase()}${size === undefined ? "" : ` ${size}`}`,
    serial: certificate.serialNumber,
    sha256: certificate.fingerprint256,
  };
}

export function certificateLines(facts: CertificateFacts, style: Style): string[] {
  const day = (instant: string): string => `${instant.slice(0, 16).replace("T", " ")} UTC`;
  const left =
    facts.days_left < 0
      ? paint(style, "bad", "expired")
      : paint(style, "good", `${facts.days_left} days left`);
  // 32 pairs do not fit into one line.
  const half = Math.ceil(facts.sha256.length / 2);
  const rows: readonly (readonly [string, string])[] = [
    ["file", facts.path],
    ["subject", facts.subject],
    ["valid from", day(facts.not_before)],
    ["valid until", `${day(facts.not_after)} (${left})`],
    ["key", facts.key],
    ["serial", facts.serial],
    ["SHA-256", facts.sha256.slice(0, half)],
    ["", facts.sha256.slice(half)],
  ];
  return rows.map(([name, value]) => `${paint(style, "faint", name.padEnd(13))}${value}`);
}

interface Platform {
  readonly title: string;
  /** Commands for the quoted path, or text behind `# `. */
  readonly lines: (path: string) => readonly string[];
}

const SYSTEM_COPY = "/usr/local/share/ca-certificates/moat-proxy.crt";
const RHEL_COPY = "/etc/pki/ca-trust/source/anchors/moat-proxy.crt";

export const PLATFORMS: Readonly<Record<string, Platform>> = {
  debian: {
    title: "Debian, Ubuntu (system store)",
    lines: (path) => [
      `sudo install -m 644 ${path} \\`,
      `  ${SYSTEM_COPY}`,
      "sudo update-ca-certificates",
      "# To undo it: remove the copy, then run update-ca-certificates --fresh.",
    ],
  },
  rhel: {
    title: "RHEL, Fedora, Amazon Linux (system store)",
    lines: (path) => [
      `sudo install -m 644 ${path} \\`,
      `  ${RHEL_COPY}`,
      "sudo update-ca-trust",
      "# To undo it: remove the copy, then run update-ca-trust again.",
    ],
  },
  alpine: {
    title: "Alpine (system store)",
    lines: (path) => [
      "apk add ca-certificates",
      `install -m 644 ${path} \\`,
      `  ${SYSTEM_COPY}`,
      "update-ca-certificates",
    ],
  },
  macos: {
    title: "macOS (system keychain)",
    lines: (path) => [
      "sudo security add-trusted-cert -d -r trustRoot \\",
      `  -k /Library/Keychains/System.keychain ${path}`,
      '# To undo it: sudo security delete-certificate -c "Moat CA"',
    ],
  },
  curl: {
    title: "curl",
    lines: (path) => [
      `export CURL_CA_BUNDLE=${path}`,
      `# or, for one command: curl --cacert ${path} ...`,
      "# Either replaces curl's own list, so every https:// URL has to go through the proxy.",
    ],
  },
  git: {
    title: "Git",
    lines: (path) => [
      `git config --global http.sslCAInfo ${path}`,
      "# or, for one shell: GIT_SSL_CAINFO. It replaces Git's own list.",
    ],
  },
  node: {
    title: "Node.js",
    lines: (path) => [
      `export NODE_EXTRA_CA_CERTS=${path}`,
      "# It is added to Node's own list, and read when Node starts. Node 24 and later take the proxy " +
        "from HTTPS_PROXY when NODE_USE_ENV_PROXY=1 is set.",
    ],
  },
  python: {
    title: "Python",
    lines: (path) => [
      `export SSL_CERT_FILE=${path}        # ssl, urllib, httpx, aiohttp`,
      `export REQUESTS_CA_BUNDLE=${path}   # requests, pip`,
      "# Both replace the list. Where hosts are reached around the proxy too, use a file with both:",
      `cat "$(python3 -m certifi)" ${path} > moat-bundle.pem`,
    ],
  },
  java: {
    title: "Java 9 and later",
    lines: (path) => [
      "keytool -importcert -noprompt -alias moat-proxy -cacerts \\",
      `  -storepass changeit -file ${path}`,
      "# It goes into the running JDK's own store, so it is to be repeated for each JDK. To undo it: " +
        "keytool -delete -alias moat-proxy -cacerts -storepass changeit",
    ],
  },
  go: {
    title: "Go",
    lines: (path) => [
      `export SSL_CERT_FILE=${path}`,
      "# On Linux; it replaces the system's file. On macOS Go asks the keychain: see macOS.",
    ],
  },
  docker: {
    title: "Docker",
    lines: (path) => [
      "# In a container, without building an image:",
      `docker run -v ${path}:/etc/moat-ca.crt:ro \\`,
      "  -e SSL_CERT_FILE=/etc/moat-ca.crt -e NODE_EXTRA_CA_CERTS=/etc/moat-ca.crt \\",
      "  -e REQUESTS_CA_BUNDLE=/etc/moat-ca.crt -e GIT_SSL_CAINFO=/etc/moat-ca.crt \\",
      "  IMAGE",
      "# In an image based on Debian or Alpine, with ca-certificates installed:",
      `COPY ca.crt ${SYSTEM_COPY}`,
      "RUN update-ca-certificates",
      "# For pulling images through the proxy: the system store of the daemon's host, then restart " +
        "the daemon.",
    ],
  },
};

const WARNING =
  "Whoever has the key of this CA can pose as any server to whoever trusts it. Prefer trust that is limited to a " +
  "program or a container over a system store.";

/** @param names keys of PLATFORMS; empty for all */
export function trustInstructions(path: string, names: readonly string[], style: Style): string[] {
  const word = shellWord(path);
  const lines = wrap(WARNING);
  for (const name of names.length === 0 ? Object.keys(PLATFORMS) : names) {
    const platform = PLATFORMS[name];
    if (platform === undefined) continue;
    lines.push("", paint(style, "strong", platform.title));
    for (const line of platform.lines(word)) {
      const comment = /^# (.*)$/.exec(line)?.[1];
      if (comment === undefined) lines.push(`  ${line}`);
      else lines.push(...wrap(comment, "  # ").map((each) => paint(style, "faint", each)));
    }
  }
  return lines;
}

import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { certificateFacts, certificateLines, PLATFORMS, trustInstructions } from "../../src/cli/ca-trust.ts";
import { CertificateAuthority } from "../../src/x509/ca.ts";
import { scratch } from "../support/command.ts";
import { works } from "../support/programs.ts";

const PLAIN = { colour: false, unicode: false };
const NOW = new Date("2026-01-02T03:04:05Z");
const { ca } = CertificateAuthority.generate(NOW);
const certificate = new X509Certificate(ca.certPem);

test("the facts of a certificate", () => {
  expect(certificateFacts("/x/ca.crt", certificate, NOW)).toEqual({
    path: "/x/ca.crt",
    subject: "O=Moat, CN=Moat CA",
    not_before: "2026-01-02T02:04:05.000Z",
    not_after: "2036-01-02T03:04:05.000Z",
    days_left: 3652,
    key: "EC prime256v1",
    serial: certificate.serialNumber,
    sha256: certificate.fingerprint256,
  });
});

test("as lines: 80 columns, the fingerprint whole", () => {
  const lines = certificateLines(certificateFacts("/x/ca.crt", certificate, NOW), PLAIN);
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(lines).toContain("valid until  2036-01-02 03:04 UTC (3652 days left)");
  const half = lines.length - 2;
  expect(
    lines
      .slice(half)
      .map((line) => line.slice(13))
      .join(""),
  ).toBe(certificate.fingerprint256);
  expect(lines.at(-1)).toMatch(/^ {13}[0-9A-F:]+$/);
});

test("an expired one says so", () => {
  const lines = certificateLines(certificateFacts("/x", certificate, new Date("2040-01-01")), PLAIN);
  expect(lines.join("\n")).toContain("(expired)");
});

describe("instructions", () => {
  const all = trustInstructions("/home/me/ca.crt", [], PLAIN);

  test("every platform, each with the path; text within 80 columns", () => {
    expect(Object.keys(PLATFORMS)).toEqual(
      "debian rhel alpine macos curl git node python java go docker".split(" "),
    );
    for (const name of Object.keys(PLATFORMS)) {
      const own = trustInstructions("/home/me/ca.crt", [name], PLAIN);
      expect(own.join("\n")).toContain("/home/me/ca.crt");
      expect(all.join("\n")).toContain(own.slice(3).join("\n"));
    }
    expect(all.filter((line) => line.length > 80)).toEqual([]);
  });

  test("only those asked for", () => {
    const text = trustInstructions("/x", ["node", "git"], PLAIN).join("\n");
    expect(text).toContain("NODE_EXTRA_CA_CERTS=/x");
    expect(text).toContain("http.sslCAInfo /x");
    expect(text).not.toContain("keytool");
  });

  test("a path with spaces is quoted", () => {
    expect(trustInstructions("/a b/ca.crt", ["curl"], PLAIN).join("\n")).toContain(
      "CURL_CA_BUNDLE='/a b/ca.crt'",
    );
  });

  test("the commands for a shell are accepted by one", () => {
    for (const name of Object.keys(PLATFORMS)) {
      if (name === "docker") continue;
      const commands = trustInstructions("/a b/c'd.crt", [name], PLAIN)
        .filter((line) => line.startsWith("  "))
        .join("\n");
      const { exitCode, stderr } = Bun.spawnSync(["sh", "-n"], { stdin: Buffer.from(commands) });
      expect([name, exitCode, stderr.toString()]).toEqual([name, 0, ""]);
    }
  });
});

const keytool = works(["keytool", "-help"]);
test.skipIf(!keytool)(
  "keytool takes the certificate with the options given",
  () => {
    using place = scratch();
    writeFileSync(place.file("ca.crt"), ca.certPem);
    const command = trustInstructions(place.file("ca.crt"), ["java"], PLAIN)
      .filter((line) => /^ {2}(keytool| )/.test(line))
      .join("\n")
      // A store of the test's own instead of the JDK's.
      .replace("-cacerts", `-keystore ${place.file("store")}`);
    const { exitCode, stderr } = Bun.spawnSync(["sh", "-c", command]);
    expect([exitCode, stderr.toString()]).toEqual([0, expect.stringContaining("added to keystore")]);
    expect(existsSync(place.file("store"))).toBe(true);
  },
  30_000,
);

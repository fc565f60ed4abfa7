// The roots for upstream servers: the operator's file adds to the runtime's list and never replaces it, and a file
// that cannot serve is an error of one line that names it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import { upstreamRoots } from "../../src/net/roots.ts";
import { DialWitness, dialOptions, target } from "../support/net-dials.ts";
import { interceptionCa } from "../support/net-wires.ts";
import { pki } from "../support/pki.ts";
import { runProgram } from "../support/programs.ts";
import { startUpstream } from "../support/upstream.ts";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "moat-roots-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function file(name: string, content: string): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

function certificates(roots: string | undefined): string[] {
  const blocks = roots?.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((pem) => new X509Certificate(pem).fingerprint256);
}

describe("roots", () => {
  test("without a file are the runtime's own", () => {
    expect(upstreamRoots({ file: undefined, system: false })).toBeUndefined();
  });

  test("with a file are the runtime's and the file's", () => {
    const path = file("one.pem", pki().ca);
    const expected = [...getCACertificates("default"), pki().ca].map(
      (pem) => new X509Certificate(pem).fingerprint256,
    );
    expect(certificates(upstreamRoots({ file: path, system: false })?.())).toEqual([...new Set(expected)]);
  });

  test.each([
    ["no file", undefined],
    ["a file", () => file("beside.pem", interceptionCa().certPem)],
  ])("of this host's own store come on top: %s", (_, make) => {
    const path = make?.();
    const all = certificates(upstreamRoots({ file: path, system: true })?.());
    const expected = [
      ...getCACertificates("default"),
      ...getCACertificates("system"),
      ...(path === undefined ? [] : [interceptionCa().certPem]),
    ].map((pem) => new X509Certificate(pem).fingerprint256);
    expect(new Set(all)).toEqual(new Set(expected));
    expect(all).toHaveLength(new Set(expected).size);
  });

  // The runtime reads the store once per process, from where the environment says.
  test.each([
    ["system", "dialled"],
    ["runtime only", "certificate-rejected"],
  ])("of this host's own store vouch for an upstream when they are asked for: %s", async (which, outcome) => {
    await using upstream = startUpstream();
    file("store.pem", pki().ca);
    const child = await runProgram(
      [
        process.execPath,
        join(import.meta.dir, "../support/net-system-roots-child.ts"),
        upstream.authority,
        which,
      ],
      { SSL_CERT_DIR: dir, SSL_CERT_FILE: join(dir, "nowhere.pem") },
    );
    expect(child.stdout.trim()).toBe(outcome);
  });

  test.each([
    ["text around the certificate", () => `# our own authority\n${pki().ca}\n# the end`],
    ["no line end at its end", () => pki().ca.trimEnd()],
    ["lines that end with CRLF", () => pki().ca.replaceAll("\n", "\r\n")],
    ["several certificates", () => interceptionCa().certPem + pki().ca],
  ])("vouch for an upstream of that authority, and for no other: %s", async (what, content) => {
    const roots = upstreamRoots({
      file: file(`${what.replaceAll(" ", "-")}.pem`, content()),
      system: false,
    })?.();
    await using good = startUpstream();
    await using bad = startUpstream({ tls: pki().otherCa });
    const wire = await new DialWitness(target("https", good.authority), dialOptions({ roots })).wire();
    wire.destroy();
    const error = await new DialWitness(target("https", bad.authority), dialOptions({ roots })).error();
    expect(error.code).toBe("certificate-rejected");
  });
});

describe("a file that cannot serve is one line that names it", () => {
  const cases: readonly (readonly [string, () => string, string])[] = [
    ["missing", () => join(dir, "nowhere.pem"), "cannot be read (ENOENT)"],
    ["a directory", () => dir, "cannot be read (EISDIR)"],
    ["empty", () => file("empty.pem", ""), "no PEM certificate in it"],
    ["a private key", () => file("key.pem", pki().valid.key), "no PEM certificate in it"],
    ["DER", () => file("ca.der", "0\x82\x01\x0a"), "no PEM certificate in it"],
    [
      "a damaged certificate",
      () => file("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
      "",
    ],
  ];
  for (const [what, make, reason] of cases) {
    test(what, () => {
      const path = make();
      let message = "nothing was thrown";
      try {
        upstreamRoots({ file: path, system: false });
      } catch (error) {
        message = error instanceof Error ? error.message : "not an Error";
      }
      expect(message).toStartWith(`upstream CA ${path}: `);
      expect(message).toContain(reason);
      expect(message).not.toContain("\n");
    });
  }
});

// The proxy's own certificate authority (wire.md section 3): made once, loaded ever after, never overwritten.
import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { complaints, type RunningProxy, run, startProxy } from "../support/binary.ts";
import { within } from "../support/byte-stream.ts";
import { connectProxy } from "../support/client.ts";
import { readResponse } from "../support/http-message.ts";
import { openssl } from "../support/pki.ts";
import { chainFor, described, extension } from "../support/shown-chain.ts";

const DAY = 86_400_000;

describe("the CA", () => {
  test("is made on first use: EC P-256, O=Moat, CN=Moat CA, 10 years, pathlen 0, critical, SKI; files 0644, 0600, 0700", async () => {
    await using proxy = await startProxy();
    const root = new X509Certificate(readFileSync(proxy.caPath));
    expect(root.subject.split("\n").sort()).toEqual(["CN=Moat CA", "O=Moat"]);
    expect(root.checkIssued(root)).toBe(true);
    expect(root.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
    expect(Date.parse(root.validTo) - Date.now()).toBeWithin(3640 * DAY, 3660 * DAY);
    const text = described(root);
    expect(extension(text, "X509v3 Basic Constraints")).toBe("critical CA:TRUE, pathlen:0");
    expect(extension(text, "X509v3 Key Usage")).toMatch(/^(critical )?Certificate Sign, CRL Sign$/);
    expect(text).toContain("X509v3 Subject Key Identifier");
    const dir = join(proxy.dir, "ca");
    const modes = ["ca.crt", "ca.key", "."].map((name) =>
      (statSync(join(dir, name)).mode & 0o777).toString(8),
    );
    expect(modes).toEqual(["644", "600", "700"]);
    expect(readdirSync(dir).sort()).toEqual(["ca.crt", "ca.key"]);
  });

  test("is loaded when both files exist", async () => {
    await using first = await startProxy();
    const pem = readFileSync(first.caPath, "utf8");
    await using second = await startProxy({
      standardArgs: false,
      args: ["--port", "0", "--ca-dir", join(first.dir, "ca")],
    });
    const client = await connectProxy(second);
    await client.write("GET /ca.crt HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const answer = await readResponse(client);
    expect(new X509Certificate(answer.body).fingerprint256).toBe(new X509Certificate(pem).fingerprint256);
    expect(readFileSync(first.caPath, "utf8")).toBe(pem);
    client.destroy();
  });

  const rsa = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
  const ec = (curve: string): string[] => [
    "genpkey",
    "-algorithm",
    "EC",
    "-pkeyopt",
    `ec_paramgen_curve:${curve}`,
  ];
  const kinds: readonly (readonly [name: string, make: readonly string[], convert: readonly string[]])[] = [
    ["RSA in PKCS#8", rsa, ["pkey"]],
    ["RSA in PKCS#1", rsa, ["rsa", "-traditional"]],
    ["EC P-256 in PKCS#8", ec("P-256"), ["pkey"]],
    ["EC P-256 in SEC1", ec("P-256"), ["ec"]],
    ["EC P-384 in PKCS#8", ec("P-384"), ["pkey"]],
    ["EC P-384 in SEC1", ec("P-384"), ["ec"]],
  ];

  /** Writes a CA of one's own into a new directory under `dir`. */
  function ownCa(dir: string, key: string, days = "30"): string {
    const ca = join(dir, "own-ca");
    mkdirSync(ca, { mode: 0o700 });
    writeFileSync(join(ca, "ca.key"), key, { mode: 0o600 });
    const args = [
      "req",
      "-x509",
      "-new",
      "-key",
      join(ca, "ca.key"),
      "-subj",
      "/O=Mine/CN=My CA",
      "-days",
      days,
    ];
    const extensions = ["basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign,cRLSign"].flatMap(
      (line) => ["-addext", line],
    );
    openssl([...args, ...extensions, "-out", join(ca, "ca.crt")]);
    return ca;
  }

  for (const [name, make, convert] of kinds) {
    test(`"Loads RSA and EC P-256/P-384 keys in PKCS#1, SEC1 and PKCS#8": ${name}`, async () => {
      await using donor = await startProxy();
      const key = openssl([...convert], openssl([...make]));
      const ca = ownCa(donor.dir, key);
      await using proxy = await startProxy({ standardArgs: false, args: ["--port", "0", "--ca-dir", ca] });
      const there = Object.defineProperties(Object.create(proxy) as RunningProxy, {
        caPath: { value: join(ca, "ca.crt") },
      });
      const [leaf] = await chainFor(there, "own.test:443");
      expect(leaf?.issuer).toContain("CN=My CA");
      expect(readFileSync(join(ca, "ca.key"), "utf8")).toBe(key);
    });
  }

  test("a leaf is never valid beyond the CA", async () => {
    await using donor = await startProxy();
    const ca = ownCa(donor.dir, openssl(ec("P-256")), "2");
    await using proxy = await startProxy({ standardArgs: false, args: ["--port", "0", "--ca-dir", ca] });
    const there = Object.defineProperties(Object.create(proxy) as RunningProxy, {
      caPath: { value: join(ca, "ca.crt") },
    });
    const [leaf, root] = await chainFor(there, "short.test:443");
    expect(Date.parse(leaf?.validTo ?? "")).toBeLessThanOrEqual(Date.parse(root?.validTo ?? ""));
  });

  test("tls.ca_cert and tls.ca_key in the config file name another CA", async () => {
    await using donor = await startProxy();
    const ca = ownCa(donor.dir, openssl(ec("P-256")));
    const tls = { ca_cert: join(ca, "ca.crt"), ca_key: join(ca, "ca.key") };
    await using proxy = await startProxy({ standardArgs: false, args: ["--port", "0"], config: { tls } });
    const there = Object.defineProperties(Object.create(proxy) as RunningProxy, {
      caPath: { value: tls.ca_cert },
    });
    expect((await chainFor(there, "configured.test:443"))[0]?.issuer).toContain("CN=My CA");
  });

  describe("Decision: one of the two missing, a pair that does not match, or an expired CA is a hard error; nothing is overwritten", () => {
    const makePem = (): string => openssl(ec("P-256"));
    const spoil: readonly (readonly [name: string, spoil: (dir: string) => string])[] = [
      [
        "the key is missing",
        (dir) => {
          const ca = ownCa(dir, makePem());
          rmSync(join(ca, "ca.key"));
          return ca;
        },
      ],
      [
        "the certificate is missing",
        (dir) => {
          const ca = ownCa(dir, makePem());
          rmSync(join(ca, "ca.crt"));
          return ca;
        },
      ],
      [
        "a pair that does not match",
        (dir) => {
          const ca = ownCa(dir, makePem());
          writeFileSync(join(ca, "ca.key"), makePem());
          return ca;
        },
      ],
      [
        "a certificate that is none",
        (dir) => {
          const ca = ownCa(dir, makePem());
          writeFileSync(join(ca, "ca.crt"), "nonsense\n");
          return ca;
        },
      ],
      [
        "a key that is none",
        (dir) => {
          const ca = ownCa(dir, makePem());
          writeFileSync(join(ca, "ca.key"), "nonsense\n");
          return ca;
        },
      ],
      [
        "a certificate that is no CA",
        (dir) => {
          const ca = ownCa(dir, makePem());
          openssl([
            "req",
            "-x509",
            "-new",
            "-key",
            join(ca, "ca.key"),
            "-subj",
            "/CN=leaf",
            "-addext",
            "basicConstraints=critical,CA:false",
            "-out",
            join(ca, "ca.crt"),
          ]);
          return ca;
        },
      ],
      [
        "an expired CA",
        (dir) => {
          const ca = ownCa(dir, makePem());
          writeFileSync(join(ca, "index.txt"), "");
          const settings = join(dir, "expired.cnf");
          const lines = [
            "[req]",
            "distinguished_name=dn",
            "[dn]",
            "[ca]",
            "default_ca=d",
            "[d]",
            `database=${ca}/index.txt`,
            `new_certs_dir=${dir}`,
            "rand_serial=yes",
            "default_md=sha256",
            "policy=p",
            "[p]",
            "commonName=supplied",
            "[x]",
            "basicConstraints=critical,CA:true",
          ];
          writeFileSync(settings, `${lines.join("\n")}\n`);
          openssl([
            "req",
            "-new",
            "-key",
            join(ca, "ca.key"),
            "-subj",
            "/CN=old",
            "-config",
            settings,
            "-out",
            join(dir, "old.csr"),
          ]);
          openssl([
            "ca",
            "-batch",
            "-notext",
            "-selfsign",
            "-config",
            settings,
            "-keyfile",
            join(ca, "ca.key"),
            "-startdate",
            "20200101000000Z",
            "-enddate",
            "20210101000000Z",
            "-extensions",
            "x",
            "-in",
            join(dir, "old.csr"),
            "-out",
            join(ca, "ca.crt"),
          ]);
          return ca;
        },
      ],
    ];
    for (const [name, make] of spoil) {
      test(name, async () => {
        await using donor = await startProxy();
        const ca = make(donor.dir);
        const content = (): Record<string, string> =>
          Object.fromEntries(readdirSync(ca).map((file) => [file, readFileSync(join(ca, file), "utf8")]));
        const before = content();
        await using child = run({ standardArgs: false, args: ["--port", "0", "--ca-dir", ca] });
        expect(await within(child.exited, "end")).toBe(1);
        expect(child.stdout).toBe("");
        expect(complaints(child.stderr)).toHaveLength(1);
        expect(child.stderr).toContain("ca.");
        expect(child.stderr).not.toContain("PRIVATE KEY");
        expect(content()).toEqual(before);
      });
    }
  });
});

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { openCa } from "../../src/config/ca-files.ts";
import { moatProxy, scratch } from "../support/command.ts";

/** A directory with a CA in `ca`. */
function withCa(): ReturnType<typeof scratch> & { readonly pem: string } {
  const place = scratch();
  const { ca } = openCa({ dir: place.file("ca") }, new Date());
  return Object.assign(place, { pem: ca.certPem });
}

test("path, show and export of one directory", () => {
  using place = withCa();
  const where = ["--ca-dir", place.file("ca")];
  expect(moatProxy(["ca", "path", ...where])).toEqual({
    status: 0,
    stdout: `${place.file("ca/ca.crt")}\n`,
    stderr: "",
  });
  const show = moatProxy(["ca", "show", ...where]);
  expect(show.status).toBe(0);
  expect(show.stdout).toContain("subject      O=Moat, CN=Moat CA\n");
  const facts: unknown = JSON.parse(moatProxy(["ca", "show", "--json", ...where]).stdout);
  expect(facts).toMatchObject({ path: place.file("ca/ca.crt"), subject: "O=Moat, CN=Moat CA" });
  expect(moatProxy(["ca", "export", ...where])).toEqual({ status: 0, stdout: place.pem, stderr: "" });
});

test("trust-instructions hold the path, for one platform or all", () => {
  using place = withCa();
  const { status, stdout } = moatProxy([
    "ca",
    "trust-instructions",
    "--for",
    "node",
    "--ca-dir",
    place.file("ca"),
  ]);
  expect(status).toBe(0);
  expect(stdout).toContain(`NODE_EXTRA_CA_CERTS=${place.file("ca/ca.crt")}`);
  expect(stdout).not.toContain("keytool");
});

test("the default directory, and the config file's pair", () => {
  using place = withCa();
  openCa({ dir: place.file(".moat/proxy/ca") }, new Date());
  expect(moatProxy(["ca", "path"], { env: { HOME: place.dir } }).stdout).toBe(
    `${place.file(".moat/proxy/ca/ca.crt")}\n`,
  );
  const config = place.file("moat.yaml");
  writeFileSync(config, "tls: { ca_cert: ca/ca.crt, ca_key: ca/ca.key }\n");
  const env = { HOME: place.dir, MOAT_PROXY_CONFIG: config };
  expect(moatProxy(["ca", "path"], { env, cwd: place.dir }).stdout).toBe(`${place.file("ca/ca.crt")}\n`);
});

describe("export --out", () => {
  test("writes a file once, and a second time only the same", () => {
    using place = withCa();
    const out = place.file("copy.crt");
    const args = ["ca", "export", "--ca-dir", place.file("ca"), "--out", out];
    expect(moatProxy(args)).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(readFileSync(out, "utf8")).toBe(place.pem);
    expect(moatProxy(args).status).toBe(0);
    writeFileSync(out, "something else");
    expect(moatProxy(args)).toEqual({
      status: 1,
      stdout: "",
      stderr: `moat-proxy: ${out}: exists already with other contents and is left as it is\n`,
    });
    expect(readFileSync(out, "utf8")).toBe("something else");
  });
});

test("a key in the same file is never shown", () => {
  using place = withCa();
  const key = readFileSync(place.file("ca/ca.key"), "utf8");
  writeFileSync(place.file("ca/ca.crt"), key + place.pem);
  for (const command of ["show", "export", "trust-instructions"]) {
    const { status, stdout } = moatProxy(["ca", command, "--ca-dir", place.file("ca")]);
    expect(status).toBe(0);
    expect(stdout).not.toContain("PRIVATE");
  }
});

describe("no command makes a CA", () => {
  for (const command of ["show", "path", "export", "trust-instructions"]) {
    test(command, () => {
      using place = scratch();
      const dir = place.file("none");
      expect(moatProxy(["ca", command, "--ca-dir", dir])).toEqual({
        status: 1,
        stdout: "",
        stderr:
          `moat-proxy: no CA certificate at ${dir}/ca.crt: the first start of moat-proxy makes the CA, ` +
          "or name another directory with --ca-dir\n",
      });
      expect(existsSync(dir)).toBe(false);
      expect(readdirSync(place.dir)).toEqual([]);
    });
  }
});

describe("certificates that are none", () => {
  const cases: readonly (readonly [string, (pem: string) => string, string])[] = [
    ["empty", () => "", "0 certificates in it, expected one in PEM form"],
    ["two", (pem) => pem + pem, "2 certificates in it, expected one in PEM form"],
    ["damaged", (pem) => pem.replace(/\n[A-Za-z0-9+/]{20}/, "\nAAAA"), "damaged, expected X.509 in PEM form"],
  ];
  for (const [name, change, message] of cases) {
    test(name, () => {
      using place = withCa();
      writeFileSync(place.file("ca/ca.crt"), change(place.pem));
      const { status, stderr } = moatProxy(["ca", "show", "--ca-dir", place.file("ca")]);
      expect([status, stderr]).toEqual([
        1,
        `moat-proxy: CA certificate ${place.file("ca/ca.crt")}: ${message}\n`,
      ]);
    });
  }
});

describe("usage", () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [[], "ca needs a command behind it: show, path, export, trust-instructions"],
    [["--ca-dir", "x", "show"], "ca needs a command behind it: show, path, export, trust-instructions"],
    [["shwo"], 'unknown ca command "shwo", did you mean show?'],
    [["show", "--ca-dri", "x"], "unknown flag --ca-dri, did you mean --ca-dir?"],
    [["show", "x"], 'unexpected argument "x", see --help'],
    [["trust-instructions", "--for", "debain"], 'unknown platform "debain", did you mean debian?'],
  ];
  for (const [args, message] of cases) {
    test(args.join(" ") || "nothing", () => {
      expect(moatProxy(["ca", ...args])).toEqual({
        status: 2,
        stdout: "",
        stderr: `moat-proxy: ${message}\n`,
      });
    });
  }
});

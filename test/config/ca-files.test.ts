import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCa } from "../../src/config/ca-files.ts";
import { CertificateAuthority } from "../../src/x509/ca.ts";

const root = mkdtempSync(join(tmpdir(), "moat-ca-files-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const now = new Date();
const later = new Date(now.getTime() + 11 * 365 * 86_400_000);
const SOURCE = join(import.meta.dir, "../../src/config/ca-files.ts");

let dir = "";
let count = 0;
beforeEach(() => {
  dir = join(root, `ca${count++}`);
});

const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);
const read = (name: string): string => readFileSync(join(dir, name), "utf8");
const fill = (files: Record<string, string>): void => {
  mkdirSync(dir, { mode: 0o700 });
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(dir, name), content, { mode: 0o600 });
};
const newPair = (): { cert: string; key: string } => {
  const { ca, keyPem } = CertificateAuthority.generate(now);
  return { cert: ca.certPem, key: keyPem };
};
const failure = (part: string, ...texts: string[]) =>
  expect.objectContaining({
    name: "CaError",
    part,
    message: expect.stringMatching(
      new RegExp(`^(?=[^\\n]*$)${texts.map((text) => `(?=.*${RegExp.escape(text)})`).join("")}`),
    ),
  });

describe("an empty or missing directory", () => {
  test("gets a pair with the modes of the contract, and nothing else", () => {
    dir = join(dir, "deep", "er");
    const opened = openCa({ dir }, now);
    expect(opened).toMatchObject({ certPath: join(dir, "ca.crt"), created: true, warnings: [] });
    expect(readdirSync(dir).sort()).toEqual(["ca.crt", "ca.key"]);
    expect(read("ca.crt")).toBe(opened.ca.certPem);
    expect([mode(dir), mode(join(dir, "ca.crt")), mode(join(dir, "ca.key"))]).toEqual(["700", "644", "600"]);
  });

  test("the second start loads what the first one made", () => {
    const first = openCa({ dir }, now);
    const files = [read("ca.crt"), read("ca.key")];
    const second = openCa({ dir }, now);
    expect(second).toMatchObject({ created: false, warnings: [] });
    expect(second.ca.certPem).toBe(first.ca.certPem);
    expect([read("ca.crt"), read("ca.key")]).toEqual(files);
  });

  test.each([["000"], ["077"]])("the modes do not depend on umask %s", async (umask) => {
    await run(`process.umask(0o${umask}); openCa({ dir: ${JSON.stringify(dir)} }, new Date());`);
    expect([mode(dir), mode(join(dir, "ca.crt")), mode(join(dir, "ca.key"))]).toEqual(["700", "644", "600"]);
  });

  test("other files in it are left alone", () => {
    fill({ "README.txt": "mine" });
    openCa({ dir }, now);
    expect(readdirSync(dir).sort()).toEqual(["README.txt", "ca.crt", "ca.key"]);
  });

  test.each([
    ["file", "EEXIST"],
    ["file/ca", "ENOTDIR"],
  ])("that cannot be made is an error that names it: %s", (name, code) => {
    fill({ file: "" });
    const path = join(dir, name);
    const message = `CA directory ${path}: cannot be created (${code})`;
    expect(() => openCa({ dir: path }, now)).toThrow(failure("pair", message));
  });
});

describe("a pair that is there", () => {
  test("is loaded from two named files, without any being written", () => {
    const { cert, key } = newPair();
    fill({ "my.pem": cert, "my-key.pem": key });
    const location = { certPath: join(dir, "my.pem"), keyPath: join(dir, "my-key.pem") };
    expect(openCa(location, now)).toMatchObject({
      certPath: location.certPath,
      created: false,
      warnings: [],
    });
    expect(readdirSync(dir).sort()).toEqual(["my-key.pem", "my.pem"]);
  });

  test.each([
    ["640", 1],
    ["604", 1],
    ["600", 0],
    ["400", 0],
  ])("a key of mode %s gives %i warning", (bits, warnings) => {
    const { cert, key } = newPair();
    fill({ "ca.crt": cert, "ca.key": key });
    chmodSync(join(dir, "ca.key"), Number.parseInt(bits, 8));
    const opened = openCa({ dir }, now);
    expect(opened.warnings).toHaveLength(warnings);
    if (warnings > 0) expect(opened.warnings[0]).toContain(`CA key ${join(dir, "ca.key")} has mode 0${bits}`);
    expect(mode(join(dir, "ca.key"))).toBe(bits);
  });

  test("a directory that others can write to gives a warning", () => {
    const { cert, key } = newPair();
    fill({ "ca.crt": cert, "ca.key": key });
    chmodSync(dir, 0o777);
    expect(openCa({ dir }, now).warnings).toEqual([
      expect.stringContaining(`CA directory ${dir} has mode 0777`),
    ]);
  });
});

describe("Decision: a hard error that names the file, and nothing is overwritten", () => {
  const one = newPair();
  const other = newPair();
  const cases: [string, Record<string, string>, Date, string, string[]][] = [
    [
      "the key is missing",
      { "ca.crt": one.cert },
      now,
      "pair",
      ["ca.key is missing while ", "ca.crt exists"],
    ],
    [
      "the certificate is missing",
      { "ca.key": one.key },
      now,
      "pair",
      ["ca.crt is missing while ", "ca.key exists"],
    ],
    [
      "a mismatch",
      { "ca.crt": one.cert, "ca.key": other.key },
      now,
      "pair",
      ["ca.crt and ", "ca.key: the key does not"],
    ],
    ["expired", { "ca.crt": one.cert, "ca.key": one.key }, later, "certificate", ["ca.crt: expired on"]],
    [
      "an empty certificate",
      { "ca.crt": "", "ca.key": one.key },
      now,
      "certificate",
      ["ca.crt: 0 certificates"],
    ],
    ["an empty key", { "ca.crt": one.cert, "ca.key": "" }, now, "key", ["ca.key: 0 private keys"]],
  ];
  test.each(cases)("%s", (_, files, at, part, texts) => {
    fill(files);
    expect(() => openCa({ dir }, at)).toThrow(failure(part, `${dir}/`, ...texts));
    expect(readdirSync(dir).sort()).toEqual(Object.keys(files).sort());
    for (const [name, content] of Object.entries(files)) expect(read(name)).toBe(content);
  });

  test("a dangling link is a file that is there", () => {
    fill({});
    symlinkSync(join(dir, "nowhere"), join(dir, "ca.key"));
    expect(() => openCa({ dir }, now)).toThrow(failure("pair", "ca.crt is missing while"));
    expect(existsSync(join(dir, "nowhere"))).toBe(false);
  });

  test.each([
    ["certificate", "a.pem", "key.pem"],
    ["key", "cert.pem", "b.pem"],
  ])("a named %s that does not exist", (part, certName, keyName) => {
    fill({ "cert.pem": one.cert, "key.pem": one.key });
    const location = { certPath: join(dir, certName), keyPath: join(dir, keyName) };
    const missing = part === "key" ? location.keyPath : location.certPath;
    expect(() => openCa(location, now)).toThrow(
      failure(part, `CA ${part} ${missing}: cannot be read (ENOENT)`),
    );
    expect(readdirSync(dir).sort()).toEqual(["cert.pem", "key.pem"]);
  });
});

describe("a publication that broke off is finished by the next start", () => {
  const { cert, key } = newPair();
  const cases: [string, Record<string, string>][] = [
    ["before either file", {}],
    ["between the files", { "ca.key": key }],
    ["after both files", { "ca.key": key, "ca.crt": cert }],
  ];
  test.each(cases)("%s", (_, files) => {
    fill({ ".ca.pending": key + cert, ...files });
    expect(openCa({ dir }, now)).toMatchObject({ created: false, warnings: [] });
    expect(readdirSync(dir).sort()).toEqual(["ca.crt", "ca.key"]);
    expect([read("ca.crt"), read("ca.key")]).toEqual([cert, key]);
    expect(mode(join(dir, "ca.key"))).toBe("600");
  });

  test("a pair that is complete wins over a pending one", () => {
    const complete = newPair();
    fill({ ".ca.pending": key + cert, "ca.crt": complete.cert, "ca.key": complete.key });
    expect(openCa({ dir }, now).ca.certPem).toBe(complete.cert);
    expect(readdirSync(dir).sort()).toEqual(["ca.crt", "ca.key"]);
  });

  test("a foreign key without its certificate stays an error beside a pending pair", () => {
    const foreign = newPair();
    fill({ ".ca.pending": key + cert, "ca.key": foreign.key });
    expect(() => openCa({ dir }, now)).toThrow(failure("pair", "ca.crt is missing while"));
    expect(read("ca.key")).toBe(foreign.key);
    expect(existsSync(join(dir, "ca.crt"))).toBe(false);
  });

  test("a left-over temporary file does no harm", () => {
    fill({ ".ca.pending": key + cert });
    linkSync(join(dir, ".ca.pending"), join(dir, ".ca.key.0011"));
    expect(openCa({ dir }, now).ca.certPem).toBe(cert);
  });
});

test("processes that start at once in the same empty directories end with one pair each", async () => {
  const dirs = Array.from({ length: 20 }, (_, i) => join(dir, `d${i}`));
  const code = `
    process.stdout.write("r");
    (await import("node:fs")).readSync(0, Buffer.alloc(1));
    const all = ${JSON.stringify(dirs)}.map((dir) => openCa({ dir }, new Date()));
    console.log(JSON.stringify(all.map(({ ca, created }) => ({ pem: ca.certPem, created }))));`;
  const children = Array.from({ length: 5 }, () => spawn(code));
  const readers = children.map(({ stdout }) => stdout.getReader());
  // One byte each: all have loaded the module and stand at the line.
  for (const reader of readers) expect(new TextDecoder().decode((await reader.read()).value)).toBe("r");
  for (const child of children) {
    child.stdin.write("g");
    child.stdin.end();
  }
  const outputs = await Promise.all(readers.map(rest));
  expect(await Promise.all(children.map(({ stderr }) => new Response(stderr).text()))).toEqual([
    "",
    "",
    "",
    "",
    "",
  ]);
  const results = outputs.map((text) => JSON.parse(text) as { pem: string; created: boolean }[]);
  for (const [i, each] of dirs.entries()) {
    expect(readdirSync(each).sort()).toEqual(["ca.crt", "ca.key"]);
    const pem = openCa({ dir: each }, now).ca.certPem;
    expect(results.map((result) => result[i]?.pem === pem)).toEqual([true, true, true, true, true]);
    expect(results.filter((result) => result[i]?.created)).toHaveLength(1);
  }
}, 30_000);

function spawn(code: string) {
  const script = `import { openCa } from ${JSON.stringify(SOURCE)};\n${code}`;
  return Bun.spawn([process.execPath, "-e", script], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
}

async function run(code: string): Promise<void> {
  const child = spawn(code);
  expect(await new Response(child.stderr).text()).toBe("");
  expect(await child.exited).toBe(0);
}

async function rest(reader: {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
}): Promise<string> {
  const parts: Uint8Array[] = [];
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (part.value !== undefined) parts.push(part.value);
  }
  return Buffer.concat(parts).toString();
}

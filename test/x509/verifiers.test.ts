// The verifiers that clients use, each asked about every CA and host: OpenSSL and Python in strict mode, Node.js and
// Java over TLS, Go on the chain. What is served is what a session would serve. wire.md section 3.

import { afterAll, describe, expect, test } from "bun:test";
import { isIP } from "node:net";
import { join } from "node:path";
import { canonicalHost } from "../../src/values/authority.ts";
import { CertificateAuthority } from "../../src/x509/ca.ts";
import { generateLeafKey, issueLeaf } from "../../src/x509/leaf.ts";
import { runProgram } from "../support/programs.ts";
import { foreignCa, LONG_HOST, openWorkshop } from "./support.ts";

const workshop = openWorkshop();
const VERIFIERS = join(import.meta.dir, "verifiers");
const IGNORE = { data() {} };

/** Names that each served host must not be taken for: a sub domain, a parent, another name, another address. */
const HOSTS: Record<string, readonly string[]> = {
  "api.example.com": ["x.api.example.com", "example.com", "other.test", "127.0.0.1"],
  "my_service.example.com": ["a.my_service.example.com"],
  localhost: ["localhost.test"],
  "127.0.0.1": ["127.0.0.2", "a.test"],
  "2001:db8::1": ["::1"],
  [LONG_HOST]: [LONG_HOST.slice(2)],
};

interface Question {
  readonly caName: string;
  readonly caFile: string;
  readonly chainFile: string;
  readonly port: number;
  readonly host: string;
  readonly asked: string;
}

const questions: Question[] = [];
const servers: { stop(force: boolean): void }[] = [];
afterAll(() => {
  for (const server of servers) server.stop(true);
  workshop.remove();
});

const leafKey = generateLeafKey();
const authorities = {
  "our own": CertificateAuthority.generate(new Date()).ca,
  "RSA in PKCS#1": foreignCa(workshop, "RSA in PKCS#1"),
  "RSA in PKCS#8": foreignCa(workshop, "RSA in PKCS#8", { subject: ["O=Lab", "CN=Foreign CA"] }),
  "EC P-384 in SEC1": foreignCa(workshop, "EC P-384 in SEC1", { request: "string_mask=MASK:0x0002" }),
};
for (const [caName, ca] of Object.entries(authorities)) {
  const caFile = workshop.file(`ca${questions.length}.crt`, ca.certPem);
  for (const [host, others] of Object.entries(HOSTS)) {
    const leaf = issueLeaf(ca, host, canonicalHost(host).kind, leafKey, Date.now());
    const tls = { cert: leaf.certPem, key: leaf.keyPem };
    const server = Bun.listen({ hostname: "127.0.0.1", port: 0, tls, socket: IGNORE });
    servers.push(server);
    const chainFile = workshop.file(`leaf${questions.length}.crt`, leaf.certPem);
    for (const asked of [host, ...others]) {
      questions.push({ caName, caFile, chainFile, port: server.port, host, asked });
    }
  }
}

const label = ({ caName, host, asked }: Question): string => `${caName}: ${host} asked as ${asked}`;
const expected = (asked: readonly Question[]): string[] =>
  asked.map((question) => `${label(question)}: ${question.host === question.asked ? "ok" : "refused"}`);

/** Asks a program all questions on its stdin; one word of its answer to each. */
async function ask(
  command: readonly string[],
  asked: readonly Question[],
  place: (question: Question) => string | number,
  env: Record<string, string> = {},
): Promise<string[]> {
  const input = asked
    .map((question) => `${question.caFile}\t${place(question)}\t${question.asked}\n`)
    .join("");
  const { code, stdout, stderr } = await runProgram(command, env, input);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const answers = stdout.trim().split("\n");
  return asked.map((question, i) => `${label(question)}: ${/^\w+/.exec(answers[i] ?? "")?.[0]}`);
}

const overTls = (question: Question): number => question.port;

describe("leaves are accepted for their host and refused for any other", () => {
  test("by OpenSSL with -x509_strict", () => {
    const answers = questions.map((question) => {
      const name = isIP(question.asked) > 0 ? "-verify_ip" : "-verify_hostname";
      const args = ["verify", "-x509_strict", "-purpose", "sslserver", name, question.asked];
      try {
        workshop.openssl(...args, "-CAfile", question.caFile, question.chainFile);
        return `${label(question)}: ok`;
      } catch (error) {
        expect(String(error)).toMatch(/(hostname|IP address) mismatch/);
        return `${label(question)}: refused`;
      }
    });
    expect(answers).toEqual(expected(questions));
  }, 30_000);

  test.skipIf(Bun.which("python3") === null)(
    "by Python with VERIFY_X509_STRICT (skipped without python3)",
    async () => {
      const answers = await ask(["python3", join(VERIFIERS, "check.py")], questions, overTls);
      expect(answers).toEqual(expected(questions));
    },
    30_000,
  );

  test.skipIf(Bun.which("node") === null)(
    "by Node.js (skipped without node)",
    async () => {
      const answers = await ask(["node", join(VERIFIERS, "check.mjs")], questions, overTls);
      expect(answers).toEqual(expected(questions));
    },
    30_000,
  );

  test.skipIf(Bun.which("javac") === null)(
    "by Java (skipped without a JDK)",
    async () => {
      // Java's own rule for host names knows no underscore, whatever the certificate says.
      const asked = questions.filter((question) => !question.asked.includes("_"));
      const answers = await ask(["java", join(VERIFIERS, "Check.java")], asked, overTls);
      expect(answers).toEqual(expected(asked));
    },
    60_000,
  );

  test.skipIf(Bun.which("go") === null)(
    "by Go (skipped without go)",
    async () => {
      const program = join(workshop.dir, "check");
      const offline = { GOTOOLCHAIN: "local", GOPROXY: "off", GO111MODULE: "off", CGO_ENABLED: "0" };
      const build = Bun.spawn(["go", "build", "-o", program, join(VERIFIERS, "check.go")], {
        // A cache of its own when there is no home to keep one in.
        env: {
          ...(process.env.HOME === undefined && { GOCACHE: join(workshop.dir, "go") }),
          ...process.env,
          ...offline,
        },
        stdout: "ignore",
        stderr: "pipe",
        timeout: 110_000,
      });
      expect(await new Response(build.stderr).text()).toBe("");
      expect(await build.exited).toBe(0);
      const answers = await ask([program], questions, (question) => question.chainFile);
      expect(answers).toEqual(expected(questions));
    },
    120_000,
  );
});

test("the chain on the wire is the leaf and the CA", async () => {
  const { port, caFile } = questions[0] ?? { port: 0, caFile: "" };
  const shown = await runProgram(
    [
      "openssl",
      "s_client",
      "-connect",
      `127.0.0.1:${port}`,
      "-showcerts",
      "-CAfile",
      caFile,
      "-verify_return_error",
    ],
    {},
    "",
  );
  expect(shown.stdout.match(/-----BEGIN CERTIFICATE-----/g)).toHaveLength(2);
  expect(shown.stdout).toContain(workshop.read("ca0.crt").trim());
});

// The format is moat's, and moat is written in Go: a Go program writes files that are read here, and reads files that
// were written here, with either side's key. Said aloud when there is no Go.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MoatHome } from "../../src/credentials/moat-home.ts";
import type { StoredCredential } from "../../src/credentials/store.ts";
import { Secret } from "../../src/values/secret.ts";
import { runProgram } from "../support/programs.ts";

setDefaultTimeout(120_000);

const directory = mkdtempSync(join(tmpdir(), "moat-go-"));
const program = join(directory, "store");
const CREATED = "2026-01-02T03:04:05Z";
const NOW = Date.parse(CREATED) + 1_000;
/** As Go's time.Time is when it was never set. */
const NEVER = "0001-01-01T00:00:00Z";

interface GoCredential {
  readonly provider: string;
  readonly token: string;
  readonly scopes?: readonly string[];
  readonly expires_at?: string;
  readonly created_at: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

const AWKWARD = 'caf\u00e9 <b>&amp;</b> "\\/" \u2028 \u{1f511} \u007f';

/** [in Go's JSON, as it is here] */
const CASES: readonly (readonly [GoCredential, StoredCredential])[] = [
  [
    { provider: "github", token: "ghp_0123", created_at: CREATED },
    { provider: "github", token: new Secret("ghp_0123"), createdAt: Date.parse(CREATED) },
  ],
  [
    {
      provider: "mcp-linear",
      token: AWKWARD,
      scopes: ["repo", "read:org"],
      expires_at: "2030-01-31T12:00:00.25Z",
      created_at: CREATED,
      metadata: { kind: "oauth", note: AWKWARD },
    },
    {
      provider: "mcp-linear",
      token: new Secret(AWKWARD),
      scopes: ["repo", "read:org"],
      expiresAt: Date.parse("2030-01-31T12:00:00.250Z"),
      createdAt: Date.parse(CREATED),
      metadata: { kind: "oauth", note: AWKWARD },
    },
  ],
  [
    { provider: "oauth:x.y_z", token: "x".repeat(60_000), created_at: CREATED },
    { provider: "oauth:x.y_z", token: new Secret("x".repeat(60_000)), createdAt: Date.parse(CREATED) },
  ],
];

let places = 0;

function place() {
  const home = join(directory, `home${places++}`);
  const store = join(home, ".moat/credentials");
  return {
    store,
    keyFile: join(home, ".moat/encryption.key"),
    open: () => new MoatHome({ env: { HOME: home }, now: () => NOW, keychain: () => undefined }).store(),
  };
}

async function go(args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await runProgram([program, ...args], {}, input);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

const plain = ({ token, ...rest }: StoredCredential): object => ({ ...rest, token: token.reveal() });

describe.skipIf(Bun.which("go") === null)("with a program in Go (skipped without go)", () => {
  beforeAll(async () => {
    const offline = { GOTOOLCHAIN: "local", GOPROXY: "off", GO111MODULE: "off", CGO_ENABLED: "0" };
    const build = Bun.spawn(["go", "build", "-o", program, join(import.meta.dir, "go/store.go")], {
      // A cache of its own when there is no home to keep one in.
      env: {
        ...(process.env.HOME === undefined && { GOCACHE: join(directory, "go") }),
        ...process.env,
        ...offline,
      },
      stdout: "ignore",
      stderr: "pipe",
      timeout: 110_000,
    });
    expect(await new Response(build.stderr).text()).toBe("");
    expect(await build.exited).toBe(0);
  }, 120_000);

  test("what Go has written is read here", async () => {
    const { store, keyFile, open } = place();
    mkdirSync(store, { recursive: true, mode: 0o700 });
    // moat writes its key without a line end.
    writeFileSync(keyFile, Buffer.alloc(32, 7).toString("base64"), { mode: 0o600 });
    await go(["save", store, keyFile], CASES.map(([one]) => `${JSON.stringify(one)}\n`).join(""));
    for (const [{ provider }, expected] of CASES) {
      const found = await open().get(provider);
      expect(found && plain(found)).toEqual(plain(expected));
    }
    expect((await open().list()).length).toBe(CASES.length);
  });

  test("what is written here, with a key made here, is read by Go", async () => {
    const { store, keyFile, open } = place();
    for (const [, credential] of CASES) await open().save(credential);
    const names = CASES.map(([{ provider }]) => provider);
    const lines = (await go(["get", store, keyFile, ...names])).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual(
      CASES.map(([one]) => ({ expires_at: NEVER, ...one })),
    );
  });

  test("what each of them replaces, the other reads", async () => {
    const { store, keyFile, open } = place();
    await open().save({ provider: "github", token: new Secret("first"), createdAt: NOW });
    await go(
      ["save", store, keyFile],
      JSON.stringify({ provider: "github", token: "second", created_at: CREATED }),
    );
    expect((await open().get("github"))?.token.reveal()).toBe("second");
    await open().save({ provider: "github", token: new Secret("third"), createdAt: NOW });
    expect(JSON.parse(await go(["get", store, keyFile, "github"])).token).toBe("third");
  });

  test("both refuse what was changed", async () => {
    const { store, keyFile, open } = place();
    await open().save({ provider: "github", token: new Secret("first"), createdAt: NOW });
    const path = join(store, "github.enc");
    const bytes = new Uint8Array(await Bun.file(path).arrayBuffer());
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(path, bytes, { mode: 0o600 });
    await expect(open().get("github")).rejects.toThrow("cannot be decrypted");
    const refused = await runProgram([program, "get", store, keyFile, "github"]);
    expect([refused.code, refused.stderr]).toEqual([1, "github: cipher: message authentication failed\n"]);
  });
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

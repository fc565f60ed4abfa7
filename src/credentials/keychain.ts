// The operating system's keychain, where moat keeps its encryption key: Bun.secrets on macOS and Windows, on Linux
// secret-tool, for Bun's own items there have attributes under which moat finds nothing. It never waits without end,
// and that there is none is no error. Secret Service API (freedesktop.org), secret-tool(1).

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { childEnvironment } from "./process.ts";

export type KeychainAnswer =
  | { readonly state: "found"; readonly value: string }
  /** It works, and has no such item. */
  | { readonly state: "absent" }
  /** It does not work here. */
  | { readonly state: "unavailable" }
  /** It may wait for somebody to unlock it. */
  | { readonly state: "silent" };

/** One item of the keychain: moat's key. Neither method rejects. */
export interface Keychain {
  get(): Promise<KeychainAnswer>;
  /** Whether it has been stored. */
  set(value: string): Promise<boolean>;
}

export interface KeychainDeps {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  readonly timeoutMs?: number | undefined;
}

/** `off`: the key is kept in its file, and no keychain is asked. */
export const KEYCHAIN_VARIABLE = "MOAT_PROXY_KEYCHAIN";

/** As moat names it. */
const SERVICE = "moat";
const ACCOUNT = "encryption-key";
/** Enough to type a password, and less than a source may take at the start of the proxy. */
export const KEYCHAIN_MS = 15_000;
/** A key in base64 has 44 characters. */
const MAX_OUTPUT = 4 * 1024;

/**
 * The keychain of this machine; undefined when it has none, or none is wanted.
 * @throws Error when the variable says neither on nor off
 */
export function systemKeychain({
  env,
  platform,
  timeoutMs = KEYCHAIN_MS,
}: KeychainDeps): Keychain | undefined {
  const wanted = env[KEYCHAIN_VARIABLE] || "on";
  if (wanted === "off") return undefined;
  if (wanted !== "on") throw new Error(`${KEYCHAIN_VARIABLE}: expected off, or on, which is the default`);
  if (platform !== "linux") return new BunKeychain(timeoutMs);
  // Without a session bus there is no Secret Service: a server, a container.
  const bus = env.XDG_RUNTIME_DIR === undefined ? undefined : join(env.XDG_RUNTIME_DIR, "bus");
  const hasBus = env.DBUS_SESSION_BUS_ADDRESS || (bus !== undefined && existsSync(bus));
  const tool = hasBus ? Bun.which("secret-tool", { PATH: env.PATH ?? "" }) : null;
  return tool === null ? undefined : new SecretTool(tool, env, timeoutMs);
}

class BunKeychain implements Keychain {
  readonly #timeoutMs: number;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  async get(): Promise<KeychainAnswer> {
    try {
      const found = await within(Bun.secrets.get({ service: SERVICE, name: ACCOUNT }), this.#timeoutMs);
      if (found === SILENT) return { state: "silent" };
      return found === null ? { state: "absent" } : { state: "found", value: unwrapped(found) };
    } catch {
      // Locked without anybody to ask, or not there: the key may lie in its file as well.
      return { state: "unavailable" };
    }
  }

  async set(value: string): Promise<boolean> {
    try {
      const storing = Bun.secrets.set({ service: SERVICE, name: ACCOUNT, value });
      return (await within(storing, this.#timeoutMs)) !== SILENT;
    } catch {
      // The file takes it.
      return false;
    }
  }
}

/** The keychain of a desktop on Linux, with the attributes that moat gives its item. */
class SecretTool implements Keychain {
  readonly #tool: string;
  readonly #env: Record<string, string>;
  readonly #timeoutMs: number;

  constructor(tool: string, env: KeychainDeps["env"], timeoutMs: number) {
    this.#tool = tool;
    this.#env = childEnvironment(env);
    this.#timeoutMs = timeoutMs;
  }

  async get(): Promise<KeychainAnswer> {
    const ended = await this.#run(["lookup", ...ATTRIBUTES]);
    if (ended === SILENT) return { state: "silent" };
    const { code, stdout, stderr } = ended;
    if (code === 0 && stdout !== "") return { state: "found", value: stdout };
    // It says nothing at all of what it did not find.
    return { state: code !== null && stderr === "" ? "absent" : "unavailable" };
  }

  async set(value: string): Promise<boolean> {
    const label = `--label=Password for '${ACCOUNT}' on '${SERVICE}'`;
    // The value goes over stdin: the command line can be seen by others.
    const ended = await this.#run(["store", label, ...ATTRIBUTES], value);
    return ended !== SILENT && ended.code === 0;
  }

  #run(args: readonly string[], input = ""): Promise<Ended | typeof SILENT> {
    return new Promise((resolve) => {
      const child = spawn(this.#tool, args, { env: this.#env, stdio: "pipe" });
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        resolve(SILENT);
      }, this.#timeoutMs);
      const end = (code: number | null): void => {
        clearTimeout(timer);
        resolve({ code, stdout: stdout.text, stderr: stderr.text });
      };
      const stdout = gathered(child.stdout);
      const stderr = gathered(child.stderr);
      child.on("error", () => end(null));
      child.on("close", end);
      // It may end without having read.
      child.stdin.on("error", () => undefined);
      child.stdin.end(input);
    });
  }
}

/** As go-keyring names them, which moat uses. */
const ATTRIBUTES = ["service", SERVICE, "username", ACCOUNT];

interface Ended {
  /** Null when it was not run to its end. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function gathered(stream: NodeJS.ReadableStream): { readonly text: string } {
  const all = { text: "" };
  stream.on("data", (chunk: Buffer) => {
    if (all.text.length < MAX_OUTPUT) all.text += chunk.toString("latin1");
  });
  return all;
}

const SILENT = Symbol("no answer in time");

function within<T>(answer: Promise<T>, ms: number): Promise<T | typeof SILENT> {
  const { promise, resolve } = Promise.withResolvers<typeof SILENT>();
  const timer = setTimeout(() => resolve(SILENT), ms);
  return Promise.race([answer, promise]).finally(() => clearTimeout(timer));
}

/** The value of an item: on macOS go-keyring wraps what it stores in one more layer. */
export function unwrapped(value: string): string {
  const [, encoding, wrapped] = /^go-keyring-(base64|encoded):(.*)$/s.exec(value.trim()) ?? [];
  if (wrapped === undefined) return value;
  return Buffer.from(wrapped, encoding === "base64" ? "base64" : "hex").toString("utf8");
}

// Runs a command of the program from its sources, as a shell would: own environment, no terminal, no config of the
// machine. For tests of commands that end by themselves.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NO_KEYCHAIN } from "./binary.ts";

const MAIN = new URL("../../src/main.ts", import.meta.url).pathname;

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** What the command reads on stdin; by default it is at its end. */
  readonly input?: string | Uint8Array;
}

export function moatProxy(args: readonly string[], { env = {}, cwd, input }: Surroundings = {}): Ended {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, MAIN, ...args], {
    env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent", ...NO_KEYCHAIN, ...env },
    ...(cwd === undefined ? {} : { cwd }),
    stdin: input === undefined ? "ignore" : Buffer.from(input),
    timeout: 20_000,
  });
  return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** A directory that is gone when the test is over. */
export function scratch(): Disposable & { readonly dir: string; file(name: string): string } {
  const dir = mkdtempSync(join(tmpdir(), "moat-command-"));
  return {
    dir,
    file: (name) => join(dir, name),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}

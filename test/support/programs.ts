// Runs the client programs that people use (curl, Python, Node.js, git, openssl) with an environment of
// their own, and finds out which of them this machine has. Tests of a missing program are skipped, by name.
import { existsSync } from "node:fs";
import { join } from "node:path";

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, without the proxy variables of this process. */
export async function runProgram(
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input?: string,
  cwd?: string,
): Promise<Outcome> {
  const child = Bun.spawn([...command], {
    ...(cwd === undefined ? {} : { cwd }),
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin", HOME: "/nonexistent", ...env },
    stdin: input === undefined ? "ignore" : Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    timeout: 30_000,
  });
  const [code, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, stdout, stderr };
}

/** Whether `command` can be run and exits 0. */
export function works(command: readonly string[]): boolean {
  try {
    return (
      Bun.spawnSync([...command], { stdout: "ignore", stderr: "ignore", stdin: "ignore" }).exitCode === 0
    );
  } catch {
    // Bun throws when there is no such program: that is the answer.
    return false;
  }
}

const ROOT = join(import.meta.dir, "../..");

function atLeast24(path: string): boolean {
  try {
    const major = /^v(\d+)/.exec(Bun.spawnSync([path, "--version"]).stdout.toString())?.[1];
    return Number(major) >= 24;
  } catch {
    // No such program.
    return false;
  }
}

/** Node.js 24 or later: MOAT_NODE, the npm package `node`, or the one on PATH. */
export function node24(): string | undefined {
  const packaged = join(ROOT, "node_modules/node/bin/node");
  const choices = [process.env.MOAT_NODE, existsSync(packaged) ? packaged : undefined, "node"];
  return choices.find((path): path is string => path !== undefined && atLeast24(path));
}

/** The folder of the npm package `undici`, for scripts that import it by path. */
export function undiciEntry(): string | undefined {
  const path = process.env.MOAT_UNDICI ?? join(ROOT, "node_modules/undici/index.js");
  return existsSync(path) ? path : undefined;
}

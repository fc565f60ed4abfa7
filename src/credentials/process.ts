// A secret that a command prints: `op read …`, `gcloud auth print-access-token`. Runs `sh -c` in a process group of
// its own, so that a timeout ends everything it started; it has no terminal to ask on. What it prints is shown
// nowhere; of its error output the end only. wire.md section 2, source type `process`.

import { type ChildProcess, spawn } from "node:child_process";
import { readOutput, readStderr } from "./process-output.ts";
import type { CredentialSource, Fetched } from "./source.ts";

export interface ProcessSettings {
  /** Given to `sh -c`. */
  readonly command: string;
  /** Lifetime of plain text, and of JSON without an Expiration. */
  readonly ttlMs: number;
}

export interface ProcessDeps {
  /** Environment of the proxy; the command gets it without the proxy's own secrets and switches. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Default 30 s: a sign-in over a slow network, and still less than a client waits. */
  readonly timeoutMs?: number | undefined;
}

const TIMEOUT_MS = 30_000;
/** No header value is longer: a request head is 64 KiB at most. */
const MAX_STDOUT = 64 * 1024;
/** Of which at most 256 characters are shown. */
const KEPT_STDERR = 4 * 1024;

/** BUN_* would change how a Bun program behaves that the command starts; the token is none of its business. */
const WITHHELD: readonly string[] = ["BUN_OPTIONS", "BUN_BE_BUN", "MOAT_PROXY_AUTH_TOKEN"];

export class ProcessSource implements CredentialSource {
  readonly #settings: ProcessSettings;
  readonly #deps: ProcessDeps;
  readonly #running = new Set<Run>();

  constructor(settings: ProcessSettings, deps: ProcessDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  /** Rejects with an Error that names the command and how it failed. */
  async fetch(): Promise<Fetched> {
    const { env, now, timeoutMs = TIMEOUT_MS } = this.#deps;
    let run: Run | undefined;
    try {
      run = new Run(this.#settings.command, childEnvironment(env), timeoutMs);
      this.#running.add(run);
      return readOutput(await run.finished, this.#settings.ttlMs, now());
    } catch (error) {
      const reason = error instanceof Error ? error.message : "failed";
      throw new Error(`${this.describe()} ${reason}`);
    } finally {
      if (run !== undefined) this.#running.delete(run);
    }
  }

  /** The program only: arguments may hold secrets. */
  describe(): string {
    const program = /^[\w./~-]+(?=\s|$)/.exec(this.#settings.command.trim())?.[0];
    return program === undefined ? "command" : `command "${program} …"`;
  }

  close(): void {
    for (const run of this.#running) run.end("was ended because the proxy stops");
  }
}

/** One run of the command, from start to the end of its output. */
class Run {
  /** What was printed on stdout, after status 0. */
  readonly finished: Promise<Buffer>;
  readonly #settled = Promise.withResolvers<Buffer>();
  readonly #child: ChildProcess;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #stdout: Buffer[] = [];
  #stdoutBytes = 0;
  #stderr = Buffer.alloc(0);
  #ended = { process: false, stdout: false, stderr: false };
  #failure: string | undefined;

  constructor(command: string, env: Record<string, string>, timeoutMs: number) {
    this.finished = this.#settled.promise;
    // detached: a group of its own, which a signal reaches as a whole.
    this.#child = spawn("/bin/sh", ["-c", command], {
      detached: true,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#timer = setTimeout(
      () => this.end(`did not finish within ${timeoutMs / 1000} s and was ended`),
      timeoutMs,
    );
    const { stdout, stderr } = this.#child;
    stdout?.on("data", (chunk: Buffer) => this.#keepStdout(chunk));
    stderr?.on("data", (chunk: Buffer) => this.#keepStderr(chunk));
    stdout?.on("close", () => this.#over("stdout"));
    stderr?.on("close", () => this.#over("stderr"));
    this.#child.on("error", () => this.end("could not be started: is there a /bin/sh?"));
    this.#child.on("exit", (code, signal) => {
      if (signal !== null) this.#failure = `was ended by ${signal}`;
      else if (code !== 0) this.#failure = `ended with status ${code}`;
      this.#over("process");
    });
  }

  /** Kills the whole group and fails with the reason. Does nothing after the end. */
  end(reason: string): void {
    this.#settled.reject(new Error(reason));
    clearTimeout(this.#timer);
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch (error) {
      // ESRCH: the last of the group has just ended.
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  }

  #keepStdout(chunk: Buffer): void {
    this.#stdoutBytes += chunk.length;
    if (this.#stdoutBytes > MAX_STDOUT) this.end("printed more than 64 KiB and was ended");
    else this.#stdout.push(chunk);
  }

  #keepStderr(chunk: Buffer): void {
    const all = Buffer.concat([this.#stderr, chunk]);
    this.#stderr = all.subarray(Math.max(0, all.length - KEPT_STDERR));
  }

  /** Like `$(…)` in a shell, a success does not wait for a daemon that keeps stderr open. */
  #over(part: "process" | "stdout" | "stderr"): void {
    this.#ended[part] = true;
    const { process: ended, stdout, stderr } = this.#ended;
    if (!ended || !stdout || (this.#failure !== undefined && !stderr)) return;
    clearTimeout(this.#timer);
    const printed = Buffer.concat(this.#stdout);
    if (this.#failure === undefined) {
      this.#settled.resolve(printed);
      // Nobody reads on: a daemon that keeps it must not hold a descriptor of the proxy.
      this.#child.stderr?.destroy();
      return;
    }
    const said = readStderr(this.#stderr, printed);
    this.#settled.reject(new Error(said === "" ? this.#failure : `${this.#failure}: ${said}`));
  }
}

/** What a program that the proxy runs gets of its environment. */
export function childEnvironment(env: ProcessDeps["env"]): Record<string, string> {
  const child: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !WITHHELD.includes(name)) child[name] = value;
  }
  return child;
}

// The ground that a run stands on: a temporary directory with certificates and bodies, the upstream servers, and
// every child process. All of it goes away at the end, also after ^C or a failure. Loopback and free ports only.

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateAuthority } from "../src/x509/ca.ts";
import { generateLeafKey, issueLeaf } from "../src/x509/leaf.ts";
import { manyHost } from "./plan.ts";
import { isAlive } from "./processes.ts";

/** From the signal that asks to the one that does not. */
const STOP_MS = 3_000;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const READY_MS = 20_000;
const POLL_MS = 2;

export class Ground {
  readonly dir: string;
  /** The secret that is injected; new in each run. */
  readonly secret = `bench-${crypto.randomUUID()}`;
  readonly #children = new Set<Bun.Subprocess>();
  #stopped = false;
  // The process is going, and nothing asynchronous happens any more.
  readonly #abort = (): void => {
    for (const child of this.#children) if (isAlive(child.pid)) child.kill("SIGTERM");
    rmSync(this.dir, { recursive: true, force: true });
  };
  readonly #interrupt = (): void => {
    this.stop().finally(() => process.exit(130));
  };

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), "moat-bench-"));
    // Squid gives up root, and has to find its own directory in here.
    chmodSync(this.dir, 0o755);
    process.on("exit", this.#abort);
    for (const signal of SIGNALS) process.on(signal, this.#interrupt);
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  write(name: string, content: string | Uint8Array): string {
    const path = this.path(name);
    writeFileSync(path, content);
    return path;
  }

  directory(name: string): string {
    mkdirSync(this.path(name), { recursive: true });
    return this.path(name);
  }

  /** Starts a program that is stopped with the ground at the latest. What it says goes to NAME.out. */
  start(
    name: string,
    command: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Bun.Subprocess {
    if (this.#stopped) throw new Error("the bench is being stopped");
    const output = Bun.file(this.path(`${name}.out`));
    const child = Bun.spawn([...command], {
      cwd: this.dir,
      env: { ...process.env, ...env },
      stdin: "ignore",
      stdout: output,
      stderr: output,
    });
    this.#children.add(child);
    return child;
  }

  /** Runs a program to its end; its standard output. Throws with its last words when it fails. */
  async run(command: readonly string[]): Promise<string> {
    if (this.#stopped) throw new Error("the bench is being stopped");
    const child = Bun.spawn([...command], { cwd: this.dir, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    this.#children.add(child);
    const [out, errors, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    this.#children.delete(child);
    if (code !== 0) throw new Error(errors.trim().slice(-400) || `exit code ${code}`);
    return out;
  }

  /** Waits until something accepts on the port, or the child is dead. Milliseconds since the call. */
  async ready(name: string, child: Bun.Subprocess, port: number): Promise<number> {
    const start = performance.now();
    while (performance.now() < start + READY_MS) {
      if (child.exitCode !== null || child.signalCode !== null) break;
      if (await accepts(port)) return performance.now() - start;
      await Bun.sleep(POLL_MS);
    }
    const said = await Bun.file(this.path(`${name}.out`)).text();
    throw new Error(`${name} is not ready on port ${port}: ${said.trim().slice(-400)}`);
  }

  async end(child: Bun.Subprocess): Promise<void> {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await child.exited;
    clearTimeout(late);
    this.#children.delete(child);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#children].map((child) => this.end(child)));
    rmSync(this.dir, { recursive: true, force: true });
    process.off("exit", this.#abort);
    for (const signal of SIGNALS) process.off(signal, this.#interrupt);
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: { data: (): void => undefined },
  }).catch(() => undefined);
  socket?.end();
  return socket !== undefined;
}

export interface Certificates {
  /** The one CA of a run: it signs the upstreams' certificates, and is the one that the proxies mint with. */
  readonly ca: string;
  readonly caKey: string;
  readonly leaf: string;
  readonly leafKey: string;
  /** Certificate files of the many hosts. */
  readonly many: readonly string[];
}

export function makeCertificates(ground: Ground, hosts: number): Certificates {
  const now = new Date();
  const { ca, keyPem } = CertificateAuthority.generate(now);
  const key = generateLeafKey();
  const leaf = issueLeaf(ca, "localhost", "name", key, now.getTime());
  return {
    ca: ground.write("ca.crt", ca.certPem),
    caKey: ground.write("ca.key", keyPem),
    leaf: ground.write("leaf.crt", leaf.certPem),
    leafKey: ground.write("leaf.key", key.pem),
    many: Array.from({ length: hosts }, (_, i) =>
      ground.write(`host-${i}.crt`, issueLeaf(ca, manyHost(i), "ipv4", key, now.getTime()).certPem),
    ),
  };
}

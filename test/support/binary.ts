// Starts the compiled binary for a test: own HOME, own CA directory, clean environment, any port.
// Waits for the one line on stdout, reads the JSON records from stderr, and always ends the process.
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { within } from "./byte-stream.ts";
import { pki } from "./pki.ts";

/** The binary under test. */
export const BINARY = resolve(process.env.MOAT_BINARY ?? join(import.meta.dir, "../../dist/moat-proxy"));

/** Nothing that runs in a test asks the keychain of whoever runs it. */
export const NO_KEYCHAIN = { MOAT_PROXY_KEYCHAIN: "off" } as const;

export type LogLine = Readonly<Record<string, unknown>>;

export interface StartOptions {
  readonly args?: readonly string[];
  /** YAML text, or a value that is written as JSON (which is YAML). */
  readonly config?: string | object;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Default true: loopback upstreams are allowed, and the test authority is trusted. */
  readonly loopback?: boolean;
  /** Default true: `--port 0 --ca-dir … --log-format json` are passed. */
  readonly standardArgs?: boolean;
  /** Put before the command, such as `["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""]`. */
  readonly wrapper?: readonly string[];
}

/** Lines of `stderr` that say what is wrong: all but informational log lines. */
export function complaints(stderr: string): string[] {
  return stderr
    .split("\n")
    .filter((line) => line !== "" && !/"level":"(info|debug)"|^\S+ +(INFO|DEBUG) /i.test(line));
}

export interface Process extends AsyncDisposable {
  readonly pid: number;
  /** A directory of this process's own; it holds `home`, `ca` and the config file, and goes away with it. */
  readonly dir: string;
  readonly caPath: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly exited: Promise<number>;
  signal(name: NodeJS.Signals): void;
  /** The JSON lines on stderr. Throws when a line is no JSON. */
  logLines(): LogLine[];
  /** The lines with `msg` "request". */
  records(): LogLine[];
  /** Waits until `count` records match; gives those that do. */
  untilRecords(count: number, matching?: (record: LogLine) => boolean): Promise<LogLine[]>;
  /** Waits until a line of level WARN has been logged; gives its text. */
  untilWarning(): Promise<string>;
  /** Waits until `ready` holds of what was printed so far. */
  untilOutput(what: string, ready: () => boolean, ms?: number): Promise<void>;
  /** Waits for the ready line, or for the end of the process: which of the two. */
  started(): Promise<boolean>;
  /** Resident memory in bytes. */
  rss(): number;
  /** Open file descriptors; undefined where the system does not tell. */
  openFiles(): number | undefined;
}

export interface RunningProxy extends Process {
  /** The line on stdout. */
  readonly url: string;
  /** Where to connect: 127.0.0.1 for a wildcard bind. */
  readonly host: string;
  readonly port: number;
  /** The password in the URL. */
  readonly token: string | undefined;
  /** SIGTERM and wait; gives the exit code. */
  stop(): Promise<number>;
}

function arguments_(options: StartOptions, dir: string): string[] {
  const args: string[] = [];
  if (options.standardArgs !== false) {
    const standard = { "--port": "0", "--ca-dir": join(dir, "ca"), "--log-format": "json" };
    // A flag said twice is an error: the test's own comes first.
    const said = Object.entries(standard).filter(([flag]) => options.args?.includes(flag) !== true);
    args.push(...said.flat());
  }
  if (options.loopback !== false)
    args.push("--allow-ip", "127.0.0.0/8", "--allow-ip", "::1/128", "--upstream-ca", pki().caPath);
  if (options.config !== undefined) {
    const path = join(dir, "moat-proxy.yaml");
    const yaml =
      typeof options.config === "string" ? options.config : JSON.stringify(options.config, null, 2);
    writeFileSync(path, yaml);
    args.push("--config", path);
  }
  return [...args, ...(options.args ?? [])];
}

function residentBytes(pid: number): number {
  const path = `/proc/${pid}/status`;
  if (existsSync(path)) return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(path, "utf8"))?.[1] ?? 0) * 1024;
  const ps = Bun.spawnSync(["ps", "-o", "rss=", "-p", String(pid)]);
  return Number(ps.stdout.toString().trim()) * 1024;
}

/** Starts the binary and returns at once: for runs that are expected to fail or to print something. */
export function run(options: StartOptions = {}): Process {
  if (!existsSync(BINARY)) throw new Error(`no binary at ${BINARY}: build it first, or set MOAT_BINARY`);
  const dir = mkdtempSync(join(tmpdir(), "moat-e2e-"));
  chmodSync(dir, 0o755);
  const home = mkdtempSync(join(dir, "home-"));
  const child = Bun.spawn([...(options.wrapper ?? []), BINARY, ...arguments_(options, dir)], {
    cwd: options.cwd ?? dir,
    env: {
      PATH: process.env.PATH ?? "/usr/bin:/bin",
      ...NO_KEYCHAIN,
      HOME: home,
      TMPDIR: dir,
      ...options.env,
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const printed = { stdout: "", stderr: "" };
  let watchers: (() => void)[] = [];
  const notify = (): void => {
    for (const watcher of [...watchers]) watcher();
  };
  const collect = async (pipe: ReadableStream<Uint8Array>, into: "stdout" | "stderr"): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of pipe) {
      printed[into] += decoder.decode(chunk, { stream: true });
      notify();
    }
  };
  const drained = Promise.all([collect(child.stdout, "stdout"), collect(child.stderr, "stderr")]);
  const exited = child.exited.then(async (code) => {
    await drained;
    notify();
    return code;
  });
  const killAtExit = (): void => child.kill("SIGKILL");
  process.on("exit", killAtExit);

  const logLines = (): LogLine[] => {
    const whole = printed.stderr.slice(0, printed.stderr.lastIndexOf("\n") + 1);
    return whole
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        try {
          return JSON.parse(line) as LogLine;
        } catch {
          throw new Error(`not a JSON log line: ${JSON.stringify(line)}`);
        }
      });
  };
  const records = (): LogLine[] => logLines().filter((line) => line.msg === "request");
  const untilOutput = async (what: string, ready: () => boolean, ms?: number): Promise<void> => {
    if (ready()) return;
    const { promise, resolve: done } = Promise.withResolvers<void>();
    const watcher = (): void => {
      if (ready()) done();
    };
    watchers.push(watcher);
    try {
      await within(promise, what, ms);
    } catch (error) {
      const shown = `${String(error)}\nstdout: ${printed.stdout}\nstderr: ${printed.stderr.slice(-4000)}`;
      throw new Error(shown, { cause: error });
    } finally {
      watchers = watchers.filter((other) => other !== watcher);
    }
  };
  return {
    pid: child.pid,
    dir,
    caPath: join(dir, "ca", "ca.crt"),
    get stdout() {
      return printed.stdout;
    },
    get stderr() {
      return printed.stderr;
    },
    exited,
    signal: (name) => child.kill(name),
    logLines,
    records,
    untilOutput,
    async untilRecords(count, matching = () => true) {
      await untilOutput(`${count} records`, () => records().filter(matching).length >= count);
      return records().filter(matching);
    },
    async untilWarning() {
      const warnings = (): LogLine[] => logLines().filter((line) => /^warn/i.test(String(line.level)));
      await untilOutput("warning", () => warnings().length > 0);
      return warnings()
        .map((line) => String(line.msg))
        .join("\n");
    },
    async started() {
      let over = false;
      const ended = exited.then(() => {
        over = true;
        notify();
      });
      await untilOutput("ready line", () => over || printed.stdout.includes("\n"));
      if (over) await ended;
      return printed.stdout.includes("\n");
    },
    rss: () => residentBytes(child.pid),
    openFiles() {
      const path = `/proc/${child.pid}/fd`;
      return existsSync(path) ? readdirSync(path).length : undefined;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
      process.off("exit", killAtExit);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Starts the binary as a proxy and waits until it is ready. Fails with its stderr when it does not start. */
export async function startProxy(options: StartOptions = {}): Promise<RunningProxy> {
  const child = run(options);
  try {
    if (!(await child.started())) throw new Error(`the binary ended before it was ready:\n${child.stderr}`);
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
  const url = child.stdout.slice(0, child.stdout.indexOf("\n"));
  const parsed = new URL(url);
  const wildcard = parsed.hostname === "0.0.0.0" || parsed.hostname === "[::]";
  return Object.defineProperties(child as RunningProxy, {
    url: { value: url },
    host: { value: wildcard ? "127.0.0.1" : parsed.hostname },
    port: { value: Number(parsed.port) },
    token: { value: parsed.password === "" ? undefined : parsed.password },
    stop: {
      value: () => {
        child.signal("SIGTERM");
        return within(child.exited, "end of the process");
      },
    },
  });
}

// The reload command: SIGHUP to a running proxy, found by its ready file or its process id. Whether the new
// configuration is in use is said by that proxy, in its log. wire.md section 1.

import { readFileSync } from "node:fs";
import { defineCommand } from "citty";
import { shown } from "../config/setting.ts";
import { UsageError } from "./argv.ts";
import { orFail, printLines } from "./failure.ts";
import { flagShapes, readCommandLine, single } from "./operands.ts";

const STDOUT = 1;
/** Bit of SIGHUP, signal 1, in the SigCgt mask of /proc/PID/status. */
const SIGHUP_BIT = 1n;

const ARGS = {
  "ready-file": { type: "string", valueHint: "file", description: "What serve --ready-file wrote" },
  pid: { type: "string", valueHint: "n", description: "Process id of the proxy" },
} as const;

export const reloadCommand = defineCommand({
  meta: { name: "reload", description: "Have a running proxy read its config file again" },
  args: ARGS,
  run: ({ rawArgs }) => orFail(() => reload(rawArgs)),
});

function reload(args: readonly string[]): void {
  const { flags } = readCommandLine(args, flagShapes(ARGS), 0);
  const file = single(flags, "ready-file");
  const text = single(flags, "pid");
  if ((file === undefined) === (text === undefined)) {
    throw new UsageError("reload needs --ready-file FILE or --pid N, one of them");
  }
  const origin = file === undefined ? "" : `${file}: `;
  const pid = file === undefined ? parsePid(text ?? "") : readPid(file);
  refuseDeadly(pid, origin);
  try {
    process.kill(pid, "SIGHUP");
  } catch (error) {
    throw new Error(`${origin}${reason(pid, error)}`);
  }
  printLines(STDOUT, [
    `asked process ${pid} to reload; its log says whether the new configuration is in use`,
  ]);
}

function parsePid(text: string): number {
  // Zero and negative numbers mean groups of processes to kill(2).
  const pid = /^[1-9][0-9]{0,8}$/.test(text) ? Number(text) : 0;
  if (pid === 0)
    throw new UsageError(`--pid: ${shown(text)} is no process id, expected a number such as 4711`);
  return pid;
}

/** The pid in a ready file. Throws Error of one line. */
function readPid(file: string): number {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const code = codeOf(error);
    const why = code === "ENOENT" ? "no such file, so no proxy is ready" : `cannot be read (${code})`;
    throw new Error(`${file}: ${why}; expected what serve --ready-file wrote`);
  }
  const pid = pidIn(text);
  if (pid === undefined) throw new Error(`${file}: is no ready file, expected JSON with a "pid"`);
  return pid;
}

function pidIn(text: string): number | undefined {
  let ready: unknown;
  try {
    ready = JSON.parse(text);
  } catch {
    // Whatever is wrong with the syntax: it is no ready file.
    return undefined;
  }
  if (typeof ready !== "object" || ready === null || !("pid" in ready)) return undefined;
  const { pid } = ready;
  return typeof pid === "number" && Number.isInteger(pid) && pid > 0 ? pid : undefined;
}

/** SIGHUP ends a process that does not handle it, such as the next owner of a stale ready file's number. */
function refuseDeadly(pid: number, origin: string): void {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    // No such process, which kill(2) says better, or a system without /proc.
    return;
  }
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (caught !== undefined && (BigInt(`0x${caught}`) & SIGHUP_BIT) === 0n) {
    throw new Error(`${origin}process ${pid} does not handle SIGHUP and would end, so it is no moat-proxy`);
  }
}

function reason(pid: number, error: unknown): string {
  const code = codeOf(error);
  if (code === "ESRCH") return `no process ${pid}; the proxy has ended`;
  if (code === "EPERM") return `not permitted to signal process ${pid}; run this as the proxy's user`;
  return `cannot signal process ${pid} (${code})`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}

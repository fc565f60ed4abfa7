// What /proc says about a process and all its descendants: CPU time and memory. Linux only. It asks nobody else and
// changes nothing.

import { readFileSync } from "node:fs";

/** USER_HZ, which Linux has fixed at 100 for what it shows to programs. */
const TICKS_PER_SECOND = 100;
/** Positions behind the name in /proc/PID/stat, see proc_pid_stat(5). */
const UTIME = 11;
const STIME = 12;
const CUTIME = 13;
const CSTIME = 14;

/** User and system time in seconds, of the process, its living descendants and those it has waited for. */
export function cpuSeconds(pid: number): number {
  let ticks = 0;
  for (const id of family(pid)) {
    const fields = statOf(id);
    for (const at of [UTIME, STIME, CUTIME, CSTIME]) ticks += Number(fields[at] ?? 0);
  }
  return ticks / TICKS_PER_SECOND;
}

/** Resident memory in KiB, pages that are shared counted for each process. */
export function residentKib(pid: number): number {
  let sum = 0;
  for (const id of family(pid)) {
    sum += Number(/^VmRSS:\s+(\d+)/m.exec(readProc(id, "status"))?.[1] ?? 0);
  }
  return sum;
}

export function isAlive(pid: number): boolean {
  const state = statOf(pid)[0];
  return state !== undefined && state !== "" && state !== "Z";
}

function family(pid: number): number[] {
  const found = [pid];
  for (const id of found) {
    const children = readProc(id, `task/${id}/children`).trim();
    if (children !== "") found.push(...children.split(" ").map(Number));
  }
  return found;
}

function statOf(pid: number): string[] {
  const stat = readProc(pid, "stat");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Empty for a process that has gone: it has no more to say. */
function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch (error) {
    if (error instanceof Error && "code" in error && /^(?:ENOENT|ESRCH)$/.test(String(error.code))) return "";
    throw error;
  }
}

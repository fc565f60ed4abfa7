// How many connections fit under the process's limit on open files. Without this the kernel refuses accept() at the
// limit and the event loop spins on a listener it cannot serve. wire.md section 14 (EMFILE).

import { readFileSync } from "node:fs";

/** Log, listener, event loop, resolver and what libraries open. */
const RESERVED = 32;

/** Shares of what is left. A client and its upstream are two files. */
const CLIENT_SHARE = 0.35;
const IDLE_SHARE = 0.15;
const ATTEMPT_SHARE = 0.15;

export interface ConnectionBudget {
  readonly clients: number;
  readonly idleUpstreams: number;
  /** Connection attempts under way, those that have been given up but that the kernel goes on with included. */
  readonly attempts: number;
}

/** @param limits text of /proc/self/limits. Undefined when there is no limit or it cannot be read from it */
export function openFilesLimit(limits: string): number | undefined {
  const soft = /^Max open files\s+([0-9]+)\s/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

/** @param limit open files; undefined for no limit */
export function connectionBudget(limit: number | undefined): ConnectionBudget {
  const left = limit === undefined ? Number.MAX_SAFE_INTEGER : Math.max(5, limit - RESERVED);
  return {
    clients: Math.floor(left * CLIENT_SHARE),
    idleUpstreams: Math.floor(left * IDLE_SHARE),
    attempts: Math.max(2, Math.floor(left * ATTEMPT_SHARE)),
  };
}

/** The budget of this process. Where there is no /proc the operator's own limits are the only ones. */
export function ownConnectionBudget(): ConnectionBudget {
  try {
    return connectionBudget(openFilesLimit(readFileSync("/proc/self/limits", "latin1")));
  } catch {
    return connectionBudget(undefined);
  }
}

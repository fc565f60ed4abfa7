// Where the log goes: stderr, stdout, or a file that is appended to and can be opened anew under the same name. Writing
// is line-writer.ts. wire.md sections 1 and 2 (log.output).

import { closeSync, constants, openSync } from "node:fs";
import { descriptor, type Output, writeSome } from "./line-writer.ts";

export interface LogOutput {
  readonly output: Output;
  /** The file that has the name now takes over; nothing for stderr and stdout. Throws Error of one line. */
  reopen(): void;
  /** The descriptor whose terminal it may be; undefined for a file. */
  readonly fd: 1 | 2 | undefined;
}

/** A log may hold names of private repositories and users: nobody else's to read. */
const FILE_MODE = 0o600;
/** Non-blocking: a named pipe without room stalls nothing, one without a reader is an error and not a wait. */
const FLAGS =
  constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;

const STDOUT = 1;
const STDERR = 2;

/**
 * @param where `stderr`, `stdout` or a path; a file is made with mode 0600 when there is none
 * @throws Error of one line that names the file and the reason
 */
export function openLogOutput(where: string): LogOutput {
  if (where === "stderr" || where === "stdout") {
    const fd = where === "stderr" ? STDERR : STDOUT;
    return { output: descriptor(fd), reopen: () => undefined, fd };
  }
  let file = openFile(where);
  return {
    output: (bytes) => writeSome(file, bytes),
    reopen() {
      const next = openFile(where);
      closeSync(file);
      file = next;
    },
    fd: undefined,
  };
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EBADF: "it is closed",
  EDQUOT: "the quota is used up",
  EIO: "the device reports an error",
  EISDIR: "it is a directory",
  EFBIG: "the file may not grow further",
  ENOENT: "its directory does not exist",
  ENOSPC: "no space left on the device",
  ENOTDIR: "its directory is a file",
  ENXIO: "nobody reads the pipe",
  EPIPE: "nobody reads it any more",
  EROFS: "the file system is read-only",
};

/** The reason behind an errno code, for a person. */
export function outputReason(code: string): string {
  return REASONS[code] ?? (code === "" ? "refused by the operating system" : code);
}

function openFile(path: string): number {
  try {
    return openSync(path, FLAGS, FILE_MODE);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new Error(`log output ${path}: ${outputReason(code)}`);
  }
}

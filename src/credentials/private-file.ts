// Files and directories that hold secrets: read only when nobody else can, written whole or not at all. Errors name
// the path and what to do, never the content. POSIX.1-2017: link, rename, open (O_EXCL).

import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { shellWord } from "../values/shell-word.ts";

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
/** What anybody but the owner may do. */
const OTHERS = 0o077;
/** A pipe or a device must not block whoever opens it. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "read-only file system",
  ENOSPC: "no space left",
  EDQUOT: "quota exceeded",
  ENOTDIR: "a part of its path is no directory",
  EEXIST: "something else is in its place",
  EISDIR: "is a directory",
  ELOOP: "too many symbolic links",
};

/** @returns undefined when there is no such file. @throws Error when others can read it, or it cannot be read */
export function readPrivateFile(path: string, maxBytes: number): Buffer | undefined {
  return attempt(path, "cannot be read", () => {
    const file = openIfPresent(path);
    if (file === undefined) return undefined;
    try {
      // Taken from the open file: the mode belongs to what is read.
      const { mode, isFile } = inspect(file);
      if (!isFile) throw new Error(`${path} is no regular file`);
      checkMode(path, mode, FILE_MODE);
      return readAll(file, path, maxBytes);
    } finally {
      closeSync(file);
    }
  });
}

/** @returns whether it is there. @throws Error when others can read or change it */
export function checkPrivateDirectory(path: string): boolean {
  return attempt(path, "cannot be read", () => {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return false;
    if (!stats.isDirectory()) throw new Error(`${path} is no directory`);
    checkMode(path, stats.mode, DIRECTORY_MODE);
    return true;
  });
}

/** Makes it, and what is missing above it, for nobody else; one that is there stays as it is. */
export function makeDirectory(path: string): void {
  attempt(path, "cannot be made", () => mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE }));
}

/** Puts the file in its place at once, with mode 0600, instead of one that is there. */
export function replacePrivateFile(path: string, content: Uint8Array | string): void {
  publish(path, content, (temporary) => renameSync(temporary, path));
}

/** Makes the file, with mode 0600. @returns false when there is one, which is left as it is */
export function createPrivateFile(path: string, content: Uint8Array | string): boolean {
  return publish(path, content, (temporary) => {
    try {
      // link(2), unlike rename(2), never replaces what is there; and nobody reads half of it.
      linkSync(temporary, path);
      return true;
    } catch (error) {
      if (codeOf(error) === "EEXIST") return false;
      throw error;
    } finally {
      unlinkSync(temporary);
    }
  });
}

/** @returns whether there was one */
export function removeFile(path: string): boolean {
  return attempt(path, "cannot be removed", () => {
    try {
      unlinkSync(path);
      return true;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return false;
      throw error;
    }
  });
}

function publish<T>(path: string, content: Uint8Array | string, place: (temporary: string) => T): T {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString("hex")}`);
  return attempt(path, "cannot be written", () => {
    writeWhole(temporary, content);
    try {
      return place(temporary);
    } catch (error) {
      removeFile(temporary);
      throw error;
    }
  });
}

function writeWhole(path: string, content: Uint8Array | string): void {
  const file = openSync(path, "wx", FILE_MODE);
  try {
    writeFileSync(file, content);
    // The mode given to open is cut by the umask.
    fchmodSync(file, FILE_MODE);
    fsyncSync(file);
  } catch (error) {
    unlinkSync(path);
    throw error;
  } finally {
    closeSync(file);
  }
}

function openIfPresent(path: string): number | undefined {
  try {
    return openSync(path, OPEN_FLAGS);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function inspect(file: number): { readonly mode: number; readonly isFile: boolean } {
  const stats = fstatSync(file);
  return { mode: stats.mode, isFile: stats.isFile() };
}

function readAll(file: number, path: string, maxBytes: number): Buffer {
  const buffer = Buffer.alloc(maxBytes + 1);
  let length = 0;
  for (;;) {
    const read = readSync(file, buffer, length, buffer.length - length, length);
    length += read;
    if (length > maxBytes) throw new Error(`${path} is larger than ${maxBytes / 1024} KiB`);
    if (read === 0) return buffer.subarray(0, length);
  }
}

function checkMode(path: string, mode: number, wanted: number): void {
  if ((mode & OTHERS) === 0) return;
  const is = (mode & 0o777).toString(8).padStart(4, "0");
  throw new Error(
    `${path} is open to other users (mode ${is}); run: chmod ${wanted.toString(8)} ${shellWord(path)}`,
  );
}

/** Runs a file system call; its errno becomes one line of ours. */
function attempt<T>(path: string, failure: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    throw new Error(`${path} ${failure}: ${REASONS[code] ?? code}`);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

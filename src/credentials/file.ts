// A secret in a file, such as a mounted Kubernetes or Docker secret. Read again when the file is another one or has
// been written. Only regular files: a pipe or device could block the whole proxy. Errors name the path, never the
// content. wire.md section 2, source type `file`.

import { isUtf8 } from "node:buffer";
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { Secret } from "../values/secret.ts";
import { FileWatch } from "./file-watch.ts";
import type { CredentialSource, Fetched } from "./source.ts";

/** No header value is longer: a request head is 64 KiB at most. */
const MAX_BYTES = 64 * 1024;
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  ENOTDIR: "does not exist: a part of its path is no directory",
  EACCES: "cannot be read: permission denied",
  EPERM: "cannot be read: permission denied",
  EISDIR: "is a directory, but must be a file",
  ELOOP: "cannot be read: too many symbolic links",
  ENXIO: "is no regular file",
};

export class FileSource implements CredentialSource {
  readonly #path: string;
  readonly #watch: FileWatch;
  #warnings: readonly string[] = [];

  /** @param now milliseconds since the epoch */
  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#watch = new FileWatch(path, now);
  }

  /** @throws Error that names the path and what is wrong with the file */
  fetch(): Fetched {
    const { stats, content } = this.#read();
    if (!isUtf8(content)) throw this.#problem("is not UTF-8 text");
    const text = content
      .toString("utf8")
      .replace(/^\ufeff/, "")
      .replace(/[\r\n]+$/, "");
    if (text === "") throw this.#problem("is empty");
    if (/[\r\n]/.test(text)) throw this.#problem("holds more than one line");
    if (/\p{Cc}/u.test(text)) throw this.#problem("holds a control character");
    this.#watch.note(stats);
    this.#warnings = this.#judgeMode(Number(stats.mode));
    return { secret: new Secret(text) };
  }

  describe(): string {
    return `file ${this.#path}`;
  }

  changed(): boolean {
    return this.#watch.changed();
  }

  get warnings(): readonly string[] {
    return this.#warnings;
  }

  #read(): { stats: BigIntStats; content: Buffer } {
    let fd: number | undefined;
    try {
      fd = openSync(this.#path, OPEN_FLAGS);
      // Taken before the content: a write in between shows as a change at the next look.
      const stats = fstatSync(fd, { bigint: true });
      if (stats.isDirectory()) throw this.#problem("is a directory, but must be a file");
      if (!stats.isFile()) throw this.#problem("is no regular file");
      const buffer = Buffer.allocUnsafe(MAX_BYTES + 1);
      let length = 0;
      for (;;) {
        const read = readSync(fd, buffer, length, buffer.length - length, length);
        length += read;
        if (read === 0 || length > MAX_BYTES) break;
      }
      if (length > MAX_BYTES) throw this.#problem("is larger than 64 KiB");
      return { stats, content: buffer.subarray(0, length) };
    } catch (error) {
      throw this.#named(error);
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  #judgeMode(mode: number): readonly string[] {
    if ((mode & 0o066) === 0) return [];
    const who = (mode & 0o006) === 0 ? "its group" : "every user of this machine";
    const what = (mode & 0o022) === 0 ? "read" : (mode & 0o044) === 0 ? "written" : "read and written";
    return [`${this.describe()} can be ${what} by ${who}; chmod 600 keeps it private`];
  }

  #named(error: unknown): unknown {
    if (!(error instanceof Error && "code" in error)) return error;
    return this.#problem(REASONS[String(error.code)] ?? `cannot be read: ${String(error.code)}`);
  }

  #problem(problem: string): Error {
    return new Error(`${this.describe()} ${problem}`);
  }
}

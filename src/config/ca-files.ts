// The CA on disk: ca.crt and ca.key, loaded as a pair or made as a pair, never one without the other. Nothing is
// ever overwritten, and the key is readable by its owner only from its first byte on. wire.md section 3.
// Processes that start at once in an empty directory elect one pair: whoever links `.ca.pending` first has made
// it, and every process, the loser or the next one after a crash, can finish publishing it.

import { randomBytes } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { CertificateAuthority } from "../x509/ca.ts";
import { CaError, type CaPart } from "../x509/ca-error.ts";

const CERT_NAME = "ca.crt";
const KEY_NAME = "ca.key";
/** Key and certificate in one file, so that they appear in one step. */
const PENDING_NAME = ".ca.pending";
const DIR_MODE = 0o700;
const CERT_MODE = 0o644;
const KEY_MODE = 0o600;
const BEGIN_CERTIFICATE = "-----BEGIN CERTIFICATE-----";

/** A directory that may be filled, or two files that must be there. */
export type CaLocation = { readonly dir: string } | { readonly certPath: string; readonly keyPath: string };

export interface OpenedCa {
  readonly ca: CertificateAuthority;
  /** Absolute; the file a client trusts. */
  readonly certPath: string;
  /** True when this call made the pair. */
  readonly created: boolean;
  /** One line each, for the operator's log. */
  readonly warnings: readonly string[];
}

interface Pair {
  readonly certPath: string;
  readonly keyPath: string;
}

/**
 * Opens the CA; makes one only in a directory that holds neither file.
 * @param now judges the validity, and starts that of a new CA
 * @throws CaError one line that names the file, for a missing half, a mismatch, an expired or unusable CA, or a
 *   file system error
 */
export function openCa(location: CaLocation, now: Date): OpenedCa {
  if (!("dir" in location)) {
    const pair = { certPath: resolve(location.certPath), keyPath: resolve(location.keyPath) };
    return load(pair, now, [], undefined);
  }
  const dir = resolve(location.dir);
  const pair = { certPath: join(dir, CERT_NAME), keyPath: join(dir, KEY_NAME) };
  attempt("pair", `CA directory ${dir}: cannot be created`, () =>
    mkdirSync(dir, { recursive: true, mode: DIR_MODE }),
  );
  const made = isEmpty(pair, dir) ? create(dir, pair, now) : undefined;
  return load(pair, now, directoryWarnings(dir), made);
}

/** True when there is neither file, false when there are both. A lone half is an error. */
function isEmpty(pair: Pair, dir: string): boolean {
  // Twice: between two looks at two files, another process may have published both.
  for (let look = 0; look < 2; look++) {
    settle(dir, pair);
    const hasCert = exists(pair.certPath, "certificate");
    const hasKey = exists(pair.keyPath, "key");
    if (hasCert === hasKey) return !hasCert;
  }
  const [missing, other] = exists(pair.keyPath, "key")
    ? [pair.certPath, pair.keyPath]
    : [pair.keyPath, pair.certPath];
  const advice = `restore it, or move ${basename(other)} away to have a new CA made`;
  throw new CaError("pair", `CA file ${missing} is missing while ${other} exists; ${advice}`);
}

/** Makes a pair and has one published, ours or that of a faster process. Returns the certificate made here. */
function create(dir: string, pair: Pair, now: Date): string {
  const { ca, keyPem } = CertificateAuthority.generate(now);
  publish(join(dir, PENDING_NAME), "pair", keyPem + ca.certPem, KEY_MODE);
  settle(dir, pair);
  return ca.certPem;
}

/** Finishes a publication that was begun, by this process or another. Safe to run in several at once. */
function settle(dir: string, pair: Pair): void {
  const path = join(dir, PENDING_NAME);
  if (!exists(path, "pair")) return;
  const pending = readIfPresent(path, "pair");
  if (pending === undefined) return;
  const split = pending.indexOf(BEGIN_CERTIFICATE);
  const keyPem = pending.slice(0, split);
  // Another key there: an operator's, or a pair completed since we looked. Then the pending one lost.
  const ours =
    publish(pair.keyPath, "key", keyPem, KEY_MODE) || readIfPresent(pair.keyPath, "key") === keyPem;
  // The certificate comes last: who waits for ca.crt finds a complete pair.
  if (ours) publish(pair.certPath, "certificate", pending.slice(split), CERT_MODE);
  removeIfPresent(path);
}

/** Creates `path` whole or not at all. False when it exists already. */
function publish(path: string, part: CaPart, content: string, mode: number): boolean {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString("hex")}`);
  return attempt(part, `CA file ${path}: cannot be created`, () => {
    const file = openSync(temporary, "wx", KEY_MODE);
    try {
      try {
        writeFileSync(file, content);
        // The mode given to open is cut by the umask.
        fchmodSync(file, mode);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      // link(2), unlike rename(2), never replaces what is there.
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

function load(pair: Pair, now: Date, warnings: readonly string[], made: string | undefined): OpenedCa {
  const certPem = attempt("certificate", `CA certificate ${pair.certPath}: cannot be read`, () =>
    readFileSync(pair.certPath, "utf8"),
  );
  const key = attempt("key", `CA key ${pair.keyPath}: cannot be read`, () => readKey(pair.keyPath));
  const all = key.warning === undefined ? warnings : [...warnings, key.warning];
  try {
    const ca = CertificateAuthority.fromPem(certPem, key.pem, now);
    return { ca, certPath: pair.certPath, created: made === ca.certPem, warnings: all };
  } catch (error) {
    if (!(error instanceof CaError)) throw error;
    const file = {
      certificate: `CA certificate ${pair.certPath}`,
      key: `CA key ${pair.keyPath}`,
      pair: `CA files ${pair.certPath} and ${pair.keyPath}`,
    }[error.part];
    throw new CaError(error.part, `${file}: ${error.message}`);
  }
}

/** The mode is taken from the open file, so that it belongs to what was read. */
function readKey(path: string): { readonly pem: string; readonly warning: string | undefined } {
  const file = openSync(path, "r");
  try {
    const mode = fstatSync(file).mode & 0o777;
    const open = (mode & 0o077) !== 0;
    const warning = `CA key ${path} has mode 0${mode.toString(8)}: other users can use it; run chmod 600 on it`;
    return { pem: readFileSync(file, "utf8"), warning: open ? warning : undefined };
  } finally {
    closeSync(file);
  }
}

/** Who may write to the directory can replace the CA. */
function directoryWarnings(dir: string): readonly string[] {
  const { mode } = attempt("pair", `CA directory ${dir}: cannot be read`, () => statSync(dir));
  if ((mode & 0o022) === 0) return [];
  return [
    `CA directory ${dir} has mode 0${(mode & 0o777).toString(8)}: other users can replace the CA; run chmod 700 on it`,
  ];
}

/** Does not follow links: a dangling one is an entry too, and nothing may be created in its place. */
function exists(path: string, part: CaPart): boolean {
  const found = attempt(part, `CA file ${path}: cannot be read`, () =>
    lstatSync(path, { throwIfNoEntry: false }),
  );
  return found !== undefined;
}

function readIfPresent(path: string, part: CaPart): string | undefined {
  return attempt(part, `CA file ${path}: cannot be read`, () => {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw error;
    }
  });
}

function removeIfPresent(path: string): void {
  attempt("pair", `CA file ${path}: cannot be removed`, () => {
    try {
      unlinkSync(path);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
    }
  });
}

/** Runs a file system call; its errno becomes one line of ours. */
function attempt<T>(part: CaPart, failure: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    throw new CaError(part, `${failure} (${code})`);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

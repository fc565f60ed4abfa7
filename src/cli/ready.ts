// How the proxy says that it listens: the URL for a client, the ready file, and the word to a service manager.
// Only the line on stdout may hold the token, or the file that --token-out names instead. wire.md section 1.

import { execFile } from "node:child_process";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Secret } from "../values/secret.ts";

/** User name in front of the token; the proxy only logs it. */
const USER = "moat";
const READY_FILE_MODE = 0o644;
const TOKEN_FILE_MODE = 0o600;
/** Where distributions install it. Not searched on PATH, which is not ours to trust. */
const SYSTEMD_NOTIFY = "/usr/bin/systemd-notify";
const NOTIFY_WAIT_MS = 5_000;

export interface Listening {
  /** Address bound. */
  readonly host: string;
  /** The host that clients are told, where it is another. */
  readonly advertiseHost: string | undefined;
  readonly port: number;
  readonly caCertPath: string | undefined;
  readonly version: string;
  readonly pid: number;
  readonly authToken: Secret | undefined;
}

/** `http://127.0.0.1:43121`, or with `moat:<token>@` in front of the host. */
export function proxyUrl(listening: Listening, withToken: boolean): string {
  const { advertiseHost, port, authToken } = listening;
  const host = advertiseHost ?? listening.host;
  const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  if (!withToken || authToken === undefined) return `http://${authority}`;
  return `http://${USER}:${encodeURIComponent(authToken.reveal())}@${authority}`;
}

/** The text of the ready file: no token in it. */
export function readyJson(listening: Listening): string {
  const { host, port, pid, version, caCertPath, authToken } = listening;
  const ready = {
    url: proxyUrl(listening, false),
    host,
    port,
    pid,
    version,
    ca_cert: caCertPath ?? null,
    auth_required: authToken !== undefined,
  };
  return `${JSON.stringify(ready)}\n`;
}

/** Appears whole or not at all. Throws Error with one line. */
export function writeReadyFile(path: string, text: string, pid: number): void {
  writeWhole("--ready-file", path, text, READY_FILE_MODE, pid);
}

/** The token and a line feed, for the owner's eyes only; whatever stood there is replaced. Throws Error with one line. */
export function writeTokenFile(path: string, token: Secret, pid: number): void {
  writeWhole("--token-out", path, `${token.reveal()}\n`, TOKEN_FILE_MODE, pid);
}

/** Written beside its place, never through what may lie there, then renamed. */
function writeWhole(flag: string, path: string, text: string, mode: number, pid: number): void {
  const temporary = join(dirname(path), `.${basename(path)}.${pid}`);
  try {
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { mode, flag: "wx" });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw fileError(flag, path, error);
  }
}

/** A file of an earlier run would tell a waiting client to go on too early. Throws Error with one line. */
export function removeReadyFile(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    throw fileError("--ready-file", path, error);
  }
}

/**
 * Sends READY=1 where NOTIFY_SOCKET points, through systemd-notify: the runtime has no unix datagram sockets.
 * A unit of a user other than root needs NotifyAccess=all, since the message then comes from a child.
 * @param failed gets one line when it did not work; the proxy serves all the same
 */
export function notifyReady(socket: string, failed: (line: string) => void, program = SYSTEMD_NOTIFY): void {
  const options = { env: { NOTIFY_SOCKET: socket }, timeout: NOTIFY_WAIT_MS };
  execFile(program, ["--ready"], options, (error) => {
    if (error !== null) failed(`NOTIFY_SOCKET is set, but ${program} could not send READY=1`);
  });
}

function fileError(flag: string, path: string, error: unknown): Error {
  const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
  return new Error(`${flag}: cannot write ${JSON.stringify(path)}${code}`);
}

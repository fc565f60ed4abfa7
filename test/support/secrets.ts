// The words that the end-to-end tests send and look for: placeholders that a client knows, the real values
// that only the proxy knows, and the check that a real value is nowhere it must not be.
import { expect } from "bun:test";
import type { Process } from "./binary.ts";

/** What the client sends. */
export const PLACEHOLDER = "placeholder-0123456789";

/** What the upstream must receive. */
export const SECRET = "real-value-9f8e7d6c5b4a3210";

/** A second pair, for tests with two credentials. */
export const OTHER_SECRET = "other-real-value-00112233";

/** A static credential for config files. */
export interface Credential {
  readonly host: string;
  readonly header?: string;
  readonly prefix?: string;
  readonly format?: string;
  readonly grant?: string;
  readonly source: { readonly type: string; readonly value?: string; readonly var?: string };
}

/** A static credential: `value` goes to `host` in `header` (default Authorization). */
export function credential(host: string, more: Partial<Credential> & { value?: string } = {}): Credential {
  const { value = SECRET, ...rest } = more;
  return { host, source: { type: "static", value }, ...rest };
}

/** Fails when one of `secrets` was printed by the process. */
export function expectNotPrinted(process: Process, secrets: readonly string[]): void {
  for (const secret of secrets) {
    expect(process.stdout).not.toContain(secret);
    expect(process.stderr).not.toContain(secret);
  }
}

/** What a reply about a failed upstream never shows: an errno, a TLS error code, an address. */
export const NO_ERRNO = /\bE[A-Z]{3,}\b|[Ee]rrno|ERR_|CERT_|127\.0\.0\.1|::1/;
